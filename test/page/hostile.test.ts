// Names, texts, log lines, disk models and the like that hold HTML, script, terminal escapes, right-to-left marks and line
// ends: the page and the terminal show them as text, and nothing of them runs.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Inventory } from '../../agent/core/inventory.ts';
import { encodeMessage, type Message } from '../../agent/core/monitor.ts';
import { noise, scratch } from '../content.ts';
import { INVENTORY, message, REPORT } from '../core/messages.ts';
import { published, swarmboot } from '../scripts/commands.ts';
import { macOf } from '../scripts/core/installs.ts';
import { serveRepository } from '../scripts/server.ts';
import { assertClean, openPage } from './browser.ts';

const HOSTILE = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '"><svg onload=alert(1)>',
  "'-alert(1)-'",
  'javascript:alert(1)',
  '<iframe srcdoc="<script>parent.alert(1)</script>">',
  '</script><script>alert(1)</script>',
  '<style>*{display:none}</style>',
  '{{constructor.constructor("alert(1)")()}}',
  '&lt;b&gt;&#x41;',
  '\x1b[2J\x1b]0;owned\x07\x1b[31mred',
  '\x9b31m\x9d0;title\x9c',
  'abc\u202egpj.exe',
  'a\u2066b\u2069c\u200f',
  'two\nlines\r\nof text\u2028and more\u2029',
  '\u0000nul\u0008\u007f',
  '__proto__',
  '../../../etc/passwd',
  '%00%0d%0aSet-Cookie: x=1',
  `${'x'.repeat(3000)}<script>alert(1)</script>`,
];

/** A message with the text in every field that holds one. */
function hostileMessage(text: string, number: number): Message {
  const inventory: Inventory = {
    ...INVENTORY,
    vendor: text,
    model: text,
    serial: text,
    uuid: text,
    firmware: text,
    cpu: text,
    disks: [{ name: text, sizeBytes: 1, type: 'ssd', model: text, serial: text }],
    links: [{ ...INVENTORY.links[0]!, name: text, mac: macOf(number), addresses: [text] }],
  };
  return message({
    mac: macOf(number),
    host: text,
    image: number % 2 === 0 ? 'web' : text,
    install: text,
    stage: text,
    status: number % 3 === 0 ? -1 : 40,
    text,
    code: text,
    report: { ...REPORT, pool: text, errors: [text] },
    inventory,
    log: [{ atMs: 0, text }],
  });
}

async function attacked(t: TestContext) {
  const repo = scratch(t);
  const tree = join(repo, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'noise'), noise(100_000, 3));
  await published('web', '--kind', 'image', '--from', tree, '--repo', repo);
  const server = await serveRepository(t, repo);
  await server.manifest(({ entries }) => entries.length === 1);
  const post = async (body: string) =>
    (await fetch(`${server.url}/reports`, { method: 'POST', body })).status;
  for (const [index, text] of HOSTILE.entries()) {
    // The agent escapes what it sends; whoever is no agent does not, and is refused or harmless.
    const raw = await post(JSON.stringify(hostileMessage(text, index + 1)));
    assert.ok(raw === 204 || raw === 400, text);
    assert.equal(await post(encodeMessage(hostileMessage(text, index + 1))), 204, text);
  }
  return { repo, server };
}

/** Control and format characters, line separators: what could move a cursor or turn a line around. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

test('in every view of the page hostile texts are text', async (t) => {
  const { server } = await attacked(t);
  const window = await openPage(t, server.url);
  const { page } = window;
  await window.text('.totals', (text) => text.includes(String(HOSTILE.length)));
  await page.waitForTimeout(600);
  const names = await page.locator('table.nodes td:first-child').allInnerTexts();
  assert.ok(names.includes('<script>alert(1)</script>'), names.join('\n'));
  const scripts = await page.evaluate<number>(
    "document.querySelectorAll('script, iframe, img, style, svg').length",
  );
  assert.equal(scripts, 1);
  for (const [index, text] of HOSTILE.entries()) {
    await page.goto(`${server.url}/#/node/${macOf(index + 1)}`);
    await window.text('h1', (shown) => shown !== 'Node');
    const shown = await page.locator('article').innerText();
    assert.ok(!UNSAFE.test(shown.replaceAll(/[\n\t]/g, '')), JSON.stringify(text));
  }
  await page.goto(`${server.url}/#/runs`);
  await page.getByRole('link', { name: /^web-/ }).click();
  await window.text('h1', (text) => text.startsWith('Run web-'));
  const href = await page.getByRole('link', { name: 'The report as one file' }).getAttribute('href');
  assertClean(window);
  await page.setContent(await (await fetch(server.url + href!)).text());
  await page.waitForTimeout(300);
  assert.deepEqual(window.dialogs, []);
});

test('addresses of the page that mean nothing show nothing of themselves as more than text', async (t) => {
  const { server } = await attacked(t);
  const window = await openPage(t, server.url);
  for (const text of HOSTILE) {
    for (const kind of ['node', 'run', 'compare']) {
      await window.page.goto(
        `${server.url}/#/${kind}/${encodeURIComponent(text)}/${encodeURIComponent(text)}`,
      );
    }
  }
  await window.page.waitForTimeout(300);
  assert.deepEqual(window.dialogs, []);
  assert.equal(await window.page.evaluate<number>("document.querySelectorAll('script').length"), 1);
});

test('no terminal escape reaches the terminal of the admin', async (t) => {
  const { repo, server } = await attacked(t);
  const lines = (text: string) => text.replaceAll('\n', '');
  const commands = [
    ['status', '--server', server.url],
    ['status', '--server', server.url, '--json'],
    ['node', 'list', '--repo', repo],
    ['report', '--repo', repo],
    ...HOSTILE.flatMap((_, index) => [
      ['status', macOf(index + 1), '--server', server.url],
      ['logs', macOf(index + 1), '--repo', repo],
    ]),
  ];
  for (const words of commands) {
    const { out, err } = await swarmboot(words);
    assert.ok(!UNSAFE.test(lines(out + err)), words.join(' '));
  }
  assert.ok(!UNSAFE.test(lines(server.said())));
});
