// One machine: where it stands, its stages along a line of time, its rates, its log, and what it is made of.

import type { StageBegin } from '../../agent/core/monitor.ts';
import type { NodeReport } from '../../agent/core/report.ts';
import type { NodeDetail } from '../core/cluster.ts';
import { NODE_CURVES } from '../core/run.ts';
import { Chart } from './chart.ts';
import type { View } from './clusterview.ts';
import { el, facts, fill, setText, table } from './dom.ts';
import type { Live } from './live.ts';
import { formatAgo, formatBytes, formatRate, formatTime } from './words.ts';

const REFRESH_MS = 2000;
const MIB = 2 ** 20;

export class NodeView implements View {
  title = 'Node';
  readonly element: HTMLElement;
  readonly #live: Live;
  readonly #mac: string;
  readonly #head = el('h1', {}, 'Node');
  readonly #facts = el('div');
  readonly #fault = el('pre', { class: 'fault' });
  readonly #stages = el('div', { class: 'stages' });
  readonly #log = el('div', {
    class: 'log',
    tabindex: 0,
    role: 'log',
    'aria-label': 'Log',
    'aria-live': 'off',
  });
  readonly #parts = el('div');
  readonly #chart: Chart;
  readonly #timer: ReturnType<typeof setInterval>;
  #shownLog = '';

  constructor(live: Live, mac: string) {
    this.#live = live;
    this.#mac = mac;
    this.#chart = new Chart({
      title: 'This node',
      unit: 'MiB/s',
      scale: MIB,
      spanGaps: true,
      lines: [
        { label: 'received', colour: '--line-1' },
        { label: 'given', colour: '--line-2', dash: [8, 4] },
      ],
    });
    this.element = el(
      'article',
      {},
      this.#head,
      this.#facts,
      this.#fault,
      el('h2', {}, 'Stages'),
      this.#stages,
      this.#chart.element,
      el('h2', {}, 'Log'),
      this.#log,
      el('h2', {}, 'Machine'),
      this.#parts,
    );
    this.#timer = setInterval(() => void this.#load(), REFRESH_MS);
    void this.#load();
  }

  recolour(): void {
    this.#chart.recolour();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#chart.destroy();
  }

  async #load(): Promise<void> {
    const response = await fetch(`/nodes/${this.#mac}.json`).catch(() => null);
    if (response === null) return;
    if (response.status === 404) return setText(this.#head, `Nothing is known of ${this.#mac}`);
    if (response.ok) this.#show((await response.json()) as NodeDetail);
  }

  #show(detail: NodeDetail): void {
    const { node, record, install } = detail;
    const message = record?.message ?? null;
    const report = message?.report ?? null;
    this.title = node.name;
    document.title = `${node.name} - Swarmboot`;
    setText(this.#head, node.name);
    const now = this.#live.picture?.at ?? new Date().toISOString();
    const rows: [string, string][] = [
      ['state', node.phrase],
      ['heard', formatAgo(node.heard, now)],
      ['MAC', node.mac],
      ['address', node.address || '-'],
      ['image', node.image ?? '-'],
      ['groups', node.groups.join(', ') || '-'],
    ];
    if (report !== null) {
      rows.push(
        ['verified', `${formatBytes(report.bytesVerified)} of ${formatBytes(report.bytesTotal)}`],
        ['written', formatBytes(report.bytesWritten)],
        ['comes by', comesBy(report)],
        ['given to others', formatBytes(report.uploadedBytes)],
        ['now', `${formatRate(node.downBytesPerSec)} down, ${formatRate(node.upBytesPerSec)} up`],
        ['peers', `${report.peers}, ${report.seeders} of them seeders`],
        ['thrown away', `${formatBytes(report.wastedBytes)}, ${report.hashFailures} pieces damaged`],
        ['tried again', `${report.retries} stages`],
        ['processors', `${Math.round(report.busyPercent)} % busy`],
        ['staging pool', report.pool ?? '-'],
      );
    }
    fill(this.#facts, facts(rows));
    setText(this.#fault, message?.text ?? '');
    this.#fault.hidden = (message?.text ?? '') === '';
    fill(this.#stages, timeline(message?.stages ?? [], report?.elapsedMs ?? null));
    if (install !== null) {
      const { stepMs, columns } = install.curves;
      const lines = [
        columns[NODE_CURVES.indexOf('downBytesPerSec')] ?? [],
        columns[NODE_CURVES.indexOf('upBytesPerSec')] ?? [],
      ];
      this.#chart.set(
        lines[0]!.map((_, index) => (index * stepMs) / 1000),
        lines,
      );
    }
    this.#showLog(detail);
    fill(this.#parts, ...partsOf(detail));
  }

  /** Stays at the end when the reader is there. */
  #showLog({ log }: NodeDetail): void {
    const lines = log.map(({ atMs, text }) => `${formatTime(atMs).padStart(9)}  ${text}`);
    const text = lines.join('\n');
    if (text === this.#shownLog) return;
    this.#shownLog = text;
    const atEnd = this.#log.scrollTop + this.#log.clientHeight >= this.#log.scrollHeight - 8;
    fill(
      this.#log,
      text === '' ? el('p', { class: 'quiet' }, 'It has said nothing yet.') : el('pre', {}, text),
    );
    if (atEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }
}

/** A bar for each stage, as long as it took, and the same as a table. */
/** By what the image comes, and why not by something better; what came by HTTP. */
function comesBy({ fallback: { step, reason }, webSeedBytes }: NodeReport): string {
  const why = reason === '' ? '' : ` (${reason})`;
  return `${step}${why}${webSeedBytes === 0 ? '' : `; ${formatBytes(webSeedBytes)} by HTTP`}`;
}

function timeline(stages: readonly StageBegin[], elapsedMs: number | null): HTMLElement {
  if (stages.length === 0) return el('p', { class: 'quiet' }, 'No install of it is known.');
  const endMs = Math.max(elapsedMs ?? 0, stages.at(-1)!.atMs + 1);
  const rows = stages.map(({ stage, atMs }, index) => {
    const untilMs = stages[index + 1]?.atMs ?? endMs;
    const bar = el('i', { class: 'bar' });
    bar.style.marginLeft = `${(100 * atMs) / endMs}%`;
    bar.style.width = `${Math.max(0.3, (100 * (untilMs - atMs)) / endMs)}%`;
    return [stage, formatTime(atMs), formatTime(untilMs - atMs), el('div', { class: 'track' }, bar)];
  });
  return table('Stages of the install', ['Stage', 'began after', 'took', ''], rows);
}

function partsOf({ record, listed }: NodeDetail): HTMLElement[] {
  const inventory = record?.message.inventory ?? null;
  const rows: [string, string][] = [];
  if (inventory !== null) {
    const { vendor, model, serial, firmware, cpu, cores, memoryBytes } = inventory;
    rows.push(
      ['machine', [vendor, model].filter(Boolean).join(' ') || '-'],
      ['serial', serial || '-'],
      ['firmware', firmware || '-'],
      ['processor', `${cpu || '-'}, ${cores} threads`],
      ['memory', formatBytes(memoryBytes)],
    );
    for (const disk of inventory.disks) {
      const text = [formatBytes(disk.sizeBytes), disk.type, disk.model, disk.serial]
        .filter(Boolean)
        .join(', ');
      rows.push([`disk ${disk.name}`, text]);
    }
    for (const { name, mac, up, megabitPerSec, fullDuplex, mtu, addresses } of inventory.links) {
      const speed = megabitPerSec === null ? '' : `${megabitPerSec} Mbit/s`;
      const words = [
        mac,
        up ? 'up' : 'down',
        speed,
        fullDuplex === false ? 'half duplex' : '',
        `MTU ${mtu}`,
        ...addresses,
      ];
      rows.push([`link ${name}`, words.filter(Boolean).join(', ')]);
    }
  }
  if (listed !== null) {
    rows.push(
      ['layout', listed.layout ?? '-'],
      ['serial= in nodes.conf', listed.serial ?? '-'],
      ['overrides', listed.overrides.join(', ') || '-'],
      ['parameters', listed.params.join(' ') || '-'],
    );
  }
  return rows.length === 0
    ? [el('p', { class: 'quiet' }, 'It has not told what it is made of.')]
    : [facts(rows)];
}
