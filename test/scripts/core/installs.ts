// Installs of a run as their nodes tell of them, for tests.

import type { Message } from '../../../agent/core/monitor.ts';
import type { NodeReport, StageName } from '../../../agent/core/report.ts';
import { Run, type RunImage } from '../../../scripts/core/run.ts';
import { INVENTORY, message, REPORT } from '../../core/messages.ts';

export const IMAGE: RunImage = { name: 'web', sizeBytes: 100_000_000, pieceCount: 400 };
export const BEGAN = '2026-01-31T12:00:00.000Z';
export const BEGAN_AT = Date.parse(BEGAN);

/** When each stage of an ordinary install begins, in ms. */
export const STAGES_AT: Readonly<Partial<Record<StageName, number>>> = {
  parameters: 0,
  catalog: 200,
  'BOEL binaries': 500,
  disks: 2000,
  staging: 4000,
  image: 5000,
  extract: 15_000,
  finish: 18_000,
  'boot loader': 19_000,
  'seed-wait': 20_000,
};

export interface Story {
  readonly number: number;
  /** After the run began. */
  readonly beginMs?: number;
  /** Stages that begin at other times. */
  readonly at?: Readonly<Partial<Record<StageName, number>>>;
  readonly report?: Partial<NodeReport>;
  readonly link?: Readonly<Record<string, unknown>>;
  /** How it ended. */
  readonly end?: 'imaged' | 'failed' | null;
  readonly text?: string;
}

export function macOf(number: number): string {
  return `52:54:00:09:00:${number.toString(16).padStart(2, '0')}`;
}

/** The last message of an install, with the time at which it comes. */
export function lastMessage(story: Story): { message: Message; atMs: number } {
  const { number, beginMs = 0, at = {}, report = {}, link = {}, end = 'imaged', text = '' } = story;
  const all = Object.entries({ ...STAGES_AT, ...at }) as [StageName, number][];
  const stages = all.map(([stage, atMs]) => ({ stage, atMs }));
  const told = end === 'imaged' ? stages : stages.slice(0, 7);
  const elapsedMs = told.at(-1)!.atMs;
  const mac = macOf(number);
  return {
    atMs: beginMs + elapsedMs,
    message: message({
      mac,
      host: `node${number}`,
      install: `install-${number}`,
      status: end === 'failed' ? -1 : end === null ? 50 : 100,
      stage: told.at(-1)!.stage,
      stages: told,
      text,
      code: end === 'failed' ? 'disk' : null,
      inventory: { ...INVENTORY, links: [{ ...INVENTORY.links[0]!, mac, ...link }] },
      report: {
        ...REPORT,
        stage: told.at(-1)!.stage,
        bytesTotal: 110_000_000,
        bytesVerified: 110_000_000,
        bytesWritten: 250_000_000,
        uploadedBytes: 90_000_000,
        downBytesPerSec: 0,
        retries: 0,
        errors: [],
        peers: 12,
        elapsedMs,
        ...report,
      },
    }),
  };
}

/** A run of these installs; `seen` first has each in the middle of its download. */
export function runOf(stories: readonly Story[]): Run {
  const run = Run.begin(IMAGE, BEGAN, BEGAN_AT);
  for (const story of stories) {
    const { message: last, atMs } = lastMessage(story);
    const { beginMs = 0 } = story;
    const early = last.stages.slice(0, 5);
    const before = { ...last.report!, stage: 'staging' as const, bytesVerified: 10_000_000, elapsedMs: 4000 };
    run.take(
      { ...last, status: 5, stage: 'staging', stages: early, report: before, text: '' },
      `node${story.number}`,
      BEGAN_AT + beginMs + 4000,
    );
    const during = {
      ...last.report!,
      stage: 'image' as const,
      bytesVerified: 10_000_000,
      downBytesPerSec: 10_000_000,
      elapsedMs: 5000,
    };
    run.take(
      { ...last, status: 10, stage: 'image', stages: last.stages.slice(0, 6), report: during, text: '' },
      `node${story.number}`,
      BEGAN_AT + beginMs + 5000,
    );
    run.take(last, `node${story.number}`, BEGAN_AT + atMs);
  }
  return run;
}
