// A real browser, Debian's Chromium, for tests of the page. What the page says to its console as a fault, or tries to fetch
// in vain, ends the test.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';
/** As root Chromium has no sandbox; the others keep it from calling home. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

interface Test {
  after(done: () => void | Promise<void>): void;
}

export interface Window {
  readonly page: Page;
  /** Dialogs that the page has opened. */
  readonly dialogs: readonly string[];
  /** What went wrong in the page, by its console and its requests. */
  readonly faults: readonly string[];
  /** What `selector` shows, once `true` is said of it. */
  text(selector: string, when: (text: string) => boolean): Promise<string>;
}

/** Opens the page at this URL; all ends with the test, which fails when the page has had faults. */
export async function openPage(
  test: Test,
  url: string,
  look: { width?: number; height?: number; colours?: 'light' | 'dark' } = {},
): Promise<Window> {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is not there: apt-get install chromium`);
  const browser: Browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  test.after(() => browser.close());
  const { width = 1280, height = 900, colours = 'light' } = look;
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: colours });
  const [faults, dialogs]: [string[], string[]] = [[], []];
  page.on('dialog', (dialog) => {
    dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  page.on('pageerror', (error) => faults.push(String(error.stack)));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text());
  });
  await page.goto(url);
  return {
    page,
    dialogs,
    faults,
    text: async (selector, when) => {
      for (;;) {
        const text = await page.locator(selector).first().innerText();
        if (when(text)) return text;
        await page.waitForTimeout(50);
      }
    },
  };
}

/** The page has had no faults and has opened no dialogs. */
export function assertClean({ faults, dialogs }: Window): void {
  assert.deepEqual([faults, dialogs], [[], []]);
}
