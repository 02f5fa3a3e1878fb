// The demo's screen: one line per node, redrawn in place on a terminal, else a line now and then.

import type { Writable } from 'node:stream';
import { formatBytes, formatRate, type Ms } from '../../agent/core/units.ts';
import type { NodeState } from './node.ts';

const BAR_CELLS = 20;
const REDRAW_MS = 200;
const PLAIN_MS = 5000;

const GREEN = '\u001b[32m';
const RED = '\u001b[31m';
const CYAN = '\u001b[36m';
const PLAIN = '\u001b[0m';
const CLEAR_TO_END = '\u001b[K';

/** One node as one line of under 100 columns. */
export function formatNode(state: NodeState): string {
  const percent = state.stage === 'done' ? 100 : (state.report?.percent ?? 0);
  const filled = Math.round((percent * BAR_CELLS) / 100);
  const bar = '█'.repeat(filled) + '░'.repeat(BAR_CELLS - filled);
  return `  node ${String(state.node).padStart(2)}  ${state.stage.padEnd(13)} ${String(percent).padStart(3)} %  ${bar}  ${formatTraffic(state)}`;
}

/** Rates while it runs, sums when it has ended. */
function formatTraffic({ report, stage, uploadedBytes }: NodeState): string {
  if (report === null) return '';
  const ended = stage === 'done' || stage === 'failed';
  const down = ended ? formatBytes(report.bytesVerified) : formatRate(report.downBytesPerSec);
  const up = ended ? formatBytes(uploadedBytes) : formatRate(report.upBytesPerSec);
  return `down ${down.padStart(11)}  up ${up.padStart(11)}${ended ? '' : `  peers ${report.peers}`}`;
}

function colour(state: NodeState): string {
  if (state.stage === 'done') return GREEN;
  return state.stage === 'failed' ? RED : CYAN;
}

/** Shows `nodes` on `out` until the returned function is called, which draws them for the last time. */
export function showNodes(
  nodes: readonly NodeState[],
  out: Writable & { readonly isTTY?: boolean },
  now: () => Ms,
): () => void {
  let drawn = false;
  const redraw = () => {
    if (drawn) out.write(`\u001b[${nodes.length}A`);
    out.write(nodes.map((state) => `${colour(state)}${formatNode(state)}${PLAIN}${CLEAR_TO_END}\n`).join(''));
    drawn = true;
  };
  const list = () => {
    const counts = new Map<string, number>();
    for (const { stage } of nodes) counts.set(stage, (counts.get(stage) ?? 0) + 1);
    const stages = [...counts].map(([stage, count]) => `${count} ${stage}`).join(', ');
    out.write(`  ${(now() / 1000).toFixed(0).padStart(4)} s  ${stages}\n`);
  };
  const timer = out.isTTY === true ? setInterval(redraw, REDRAW_MS) : setInterval(list, PLAIN_MS);
  return () => {
    clearInterval(timer);
    if (out.isTTY === true) redraw();
    else out.write(nodes.map((state) => `${formatNode(state)}\n`).join(''));
  };
}
