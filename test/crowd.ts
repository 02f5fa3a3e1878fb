// Many nodes that install nothing and report like those that do: each has its own line to the image server, the agent's.

import { NO_CREDENTIALS } from '../agent/core/credentials.ts';
import type { Message, StageBegin } from '../agent/core/monitor.ts';
import { statusOf } from '../agent/core/monitor.ts';
import { STAGES, type StageName } from '../agent/core/report.ts';
import { Monitor } from '../agent/io/monitor.ts';
import { INVENTORY, message, REPORT } from './core/messages.ts';

export interface Crowd {
  readonly nodes: number;
  readonly image: string;
  readonly imageBytes: number;
  /** How long an install takes; each begins within the first tenth of it. */
  readonly installMs: number;
  /** Between two reports. */
  readonly reportMs: number;
}

/** Ends of the stages, as shares of an install. */
const PROGRESS: readonly (readonly [StageName, number])[] = [
  ['parameters', 0.01],
  ['catalog', 0.02],
  ['BOEL binaries', 0.06],
  ['disks', 0.1],
  ['staging', 0.11],
  ['image', 0.75],
  ['extract', 0.85],
  ['finish', 0.9],
  ['boot loader', 0.93],
  ['seed-wait', 1],
];

/** `52:54:00:aa:00:2a` of node 42. */
export function macOf(index: number): string {
  const bytes = [index >> 16, (index >> 8) & 255, index & 255].map((byte) =>
    byte.toString(16).padStart(2, '0'),
  );
  return `52:54:00:${bytes.join(':')}`;
}

/** Reports for all of them until the signal; every fiftieth fails half way. Returns when the signal is aborted. */
export async function reportLikeNodes(url: string, crowd: Crowd, signal: AbortSignal): Promise<void> {
  const startedMs = performance.now();
  const timers: NodeJS.Timeout[] = [];
  for (let index = 0; index < crowd.nodes; index++) {
    const monitor = new Monitor([new URL(url)], NO_CREDENTIALS);
    const beginMs = ((crowd.installMs / 10) * ((index * 7919) % crowd.nodes)) / crowd.nodes;
    const tell = () => {
      const ownMs = performance.now() - startedMs - beginMs;
      if (ownMs >= 0) monitor.send(messageOf(index, crowd, ownMs));
    };
    // Not all in step.
    timers.push(
      setTimeout(
        () => timers.push(setInterval(tell, crowd.reportMs)),
        (crowd.reportMs * index) / crowd.nodes,
      ),
    );
  }
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  for (const timer of timers) clearInterval(timer);
}

function messageOf(index: number, crowd: Crowd, ownMs: number): Message {
  const share = Math.min(1, ownMs / crowd.installMs);
  const stages: StageBegin[] = [];
  let atMs = 0;
  let stage: StageName = 'parameters';
  for (const [name, end] of PROGRESS) {
    stages.push({ stage: name, atMs });
    stage = name;
    if (share < end) break;
    atMs = Math.round(end * crowd.installMs);
  }
  const failed = index % 50 === 7 && share > 0.5;
  const fetched = Math.max(0, Math.min(1, (share - 0.11) / 0.64));
  const percent = Math.floor(100 * fetched);
  const moving = stage === 'image' && !failed;
  const wave = 1 + 0.2 * Math.sin(index + ownMs / 3000);
  return message({
    mac: macOf(index),
    host: `node${String(index + 1).padStart(5, '0')}`,
    image: crowd.image,
    install: `install-${index}`,
    status: failed ? -1 : statusOf(stage, percent, false),
    stage,
    stages,
    text: failed
      ? 'no disk fits the rule of disks[0]: vda has 4.0 GiB\ncorrect the layout, then arm it again'
      : '',
    code: failed ? 'layout' : null,
    report: {
      ...REPORT,
      stage: STAGES.find((name) => name === stage)!,
      percent,
      bytesTotal: crowd.imageBytes,
      bytesVerified: Math.round(crowd.imageBytes * fetched),
      bytesExtracted: Math.round(crowd.imageBytes * fetched),
      bytesWritten: Math.round(2.5 * crowd.imageBytes * fetched),
      downBytesPerSec: moving ? Math.round((wave * crowd.imageBytes * 1000) / (0.64 * crowd.installMs)) : 0,
      upBytesPerSec: moving ? Math.round((crowd.imageBytes * 1000) / (wave * 0.64 * crowd.installMs)) : 0,
      retries: 0,
      errors: [],
      leftMs: moving ? Math.round((0.75 - share) * crowd.installMs) : null,
      elapsedMs: Math.round(ownMs),
    },
    inventory:
      ownMs < crowd.reportMs
        ? { ...INVENTORY, links: [{ ...INVENTORY.links[0]!, mac: macOf(index) }] }
        : null,
    log: [{ atMs: Math.round(ownMs), text: `${stage} ${percent} %` }],
    logFrom: Math.floor(ownMs / crowd.reportMs),
  });
}
