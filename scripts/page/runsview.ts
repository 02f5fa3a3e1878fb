// The runs that there were, one of them, and two beside each other.

import { reportRows } from '../core/reporttext.ts';
import type { InstallFacts, NodeInstall, RunHead } from '../core/run.ts';
import { NODE_CURVES } from '../core/run.ts';
import type { RunReport } from '../core/runreport.ts';
import { ownMs, stageDurations } from '../core/slowness.ts';
import { Chart } from './chart.ts';
import { bandwidthChart, showBandwidth, type View } from './clusterview.ts';
import { el, facts, fill, table } from './dom.ts';
import { formatBytes, formatMoment, formatShare, formatTime } from './words.ts';

const MIB = 2 ** 20;
const COLOURS = ['--line-1', '--line-2', '--line-3', '--line-4', '--line-5', '--line-6'];

interface RunPage {
  readonly report: RunReport;
  readonly run: RunHead;
}

/** All runs; two of them can be chosen to be compared. */
export class RunsView implements View {
  readonly title = 'Runs';
  readonly element = el('article', {}, el('h1', {}, 'Runs'), el('p', { class: 'quiet' }, 'loading ...'));
  readonly #chosen = new Set<string>();

  constructor() {
    void this.#load();
  }

  end(): void {}

  async #load(): Promise<void> {
    const runs = await get<readonly Omit<RunHead, 'curves'>[]>('/runs.json');
    const compare = el(
      'button',
      { type: 'button', disabled: true, onclick: () => this.#compare() },
      'Compare two',
    );
    const rows = (runs ?? []).map(({ id, image, beganAt, untilMs }) => [
      el('input', {
        type: 'checkbox',
        'aria-label': `Compare ${id}`,
        onchange: (event) => {
          if ((event.target as HTMLInputElement).checked) this.#chosen.add(id);
          else this.#chosen.delete(id);
          compare.disabled = this.#chosen.size !== 2;
        },
      }),
      el('a', { href: `#/run/${id}` }, id),
      image.name,
      formatBytes(image.sizeBytes),
      formatMoment(beganAt),
      formatTime(untilMs),
    ]);
    const none = el('p', { class: 'quiet' }, 'Nothing has been installed from here yet.');
    fill(
      this.element,
      el('h1', {}, 'Runs'),
      rows.length === 0
        ? none
        : el(
            'div',
            { class: 'scroll' },
            table('Runs', ['', 'Run', 'Image', 'Size', 'Began', 'Went on for'], rows),
          ),
      compare,
    );
  }

  #compare(): void {
    location.hash = `#/compare/${[...this.#chosen].sort().join('/')}`;
  }
}

/** One run: its report, what all did together, and its nodes. */
export class RunView implements View {
  readonly title: string;
  readonly element = el('article', {}, el('h1', {}, 'Run'), el('p', { class: 'quiet' }, 'loading ...'));
  readonly #charts: Chart[] = [];
  readonly #id: string;

  constructor(id: string) {
    this.#id = id;
    this.title = id;
    void this.#load();
  }

  recolour(): void {
    for (const chart of this.#charts) chart.recolour();
  }

  end(): void {
    for (const chart of this.#charts) chart.destroy();
  }

  async #load(): Promise<void> {
    const page = await get<RunPage>(`/runs/${this.#id}.json`);
    if (page === null)
      return fill(this.element, el('h1', {}, 'Run'), el('p', {}, `There is no run ${this.#id}.`));
    const { report, run } = page;
    const nodes = (await get<readonly InstallFacts[]>(`/runs/${this.#id}/nodes.json`)) ?? [];
    const chart = bandwidthChart();
    const single = new Chart({
      title: 'Received by single nodes: first, median, slow, last',
      unit: 'MiB/s',
      scale: MIB,
      spanGaps: true,
      lines: chosenNodes(report, nodes).map(({ name }, index) => ({ label: name, colour: COLOURS[index]! })),
    });
    this.#charts.push(chart, single);
    fill(
      this.element,
      el('h1', {}, `Run ${report.id}`),
      el(
        'p',
        {},
        el('a', { href: `/runs/${report.id}.html`, download: `${report.id}.html` }, 'The report as one file'),
      ),
      facts(reportRows(report).map(([key, value]) => [key.trim(), value])),
      ...slowNodes(report),
      ...failures(report),
      chart.element,
      single.element,
      el('h2', {}, 'Nodes'),
      el('div', { class: 'scroll' }, nodesTable(nodes)),
    );
    showBandwidth(chart, run);
    await this.#showNodes(single, chosenNodes(report, nodes));
  }

  async #showNodes(chart: Chart, nodes: readonly InstallFacts[]): Promise<void> {
    const installs = await Promise.all(
      nodes.map(({ mac }) => get<NodeInstall>(`/runs/${this.#id}/${mac}.json`)),
    );
    const down = NODE_CURVES.indexOf('downBytesPerSec');
    const stepMs = Math.max(...installs.map((install) => install?.curves.stepMs ?? 1), 1);
    const lines = installs.map((install) => resampled(install, down, stepMs));
    const length = Math.max(0, ...lines.map((line) => line.length));
    const seconds = Array.from({ length }, (_, index) => (index * stepMs) / 1000);
    chart.set(
      seconds,
      lines.map((line) => seconds.map((_, index) => line[index] ?? null)),
    );
  }
}

/** Two runs side by side. */
export class CompareView implements View {
  readonly title = 'Two runs';
  readonly element = el('article', {}, el('h1', {}, 'Two runs'), el('p', { class: 'quiet' }, 'loading ...'));
  #chart: Chart | null = null;

  constructor(ids: readonly [string, string]) {
    void this.#load(ids);
  }

  recolour(): void {
    this.#chart?.recolour();
  }

  end(): void {
    this.#chart?.destroy();
  }

  async #load(ids: readonly [string, string]): Promise<void> {
    const pages = await Promise.all(ids.map((id) => get<RunPage>(`/runs/${id}.json`)));
    const [left, right] = pages;
    if (!left || !right)
      return fill(this.element, el('h1', {}, 'Two runs'), el('p', {}, 'One of them is not there.'));
    const names = [left.report.id, right.report.id];
    const chart = new Chart({
      title: 'Received by all nodes together',
      unit: 'MiB/s',
      scale: MIB,
      lines: names.map((label, index) => ({ label, colour: COLOURS[index]! })),
    });
    this.#chart = chart;
    const rows = new Map<string, string[]>();
    for (const [index, { report }] of [left, right].entries()) {
      for (const [key, value] of reportRows(report)) {
        const row = rows.get(key.trim()) ?? ['-', '-'];
        row[index] = value;
        rows.set(key.trim(), row);
      }
    }
    fill(
      this.element,
      el('h1', {}, 'Two runs'),
      table(
        'The reports',
        ['', ...names],
        [...rows].map(([key, values]) => [key, ...values]),
      ),
      chart.element,
    );
    showBoth(chart, left.run, right.run);
  }
}

function showBoth(chart: Chart, left: RunHead, right: RunHead): void {
  const stepMs = Math.max(left.curves.stepMs, right.curves.stepMs);
  const lines = [left, right].map((run) => resampled(run, 0, stepMs));
  const length = Math.max(...lines.map((line) => line.length));
  const seconds = Array.from({ length }, (_, index) => (index * stepMs) / 1000);
  chart.set(
    seconds,
    lines.map((line) => seconds.map((_, index) => line[index] ?? null)),
  );
}

/** One curve in steps that may be longer than its own, by a whole factor. */
function resampled(
  of: Pick<RunHead, 'curves'> | null,
  column: number,
  stepMs: number,
): readonly (number | null)[] {
  if (of === null) return [];
  const { curves } = of;
  const factor = Math.max(1, Math.round(stepMs / curves.stepMs));
  return (curves.columns[column] ?? []).filter((_, index) => index % factor === 0);
}

/** The first, the median one, the slow ones, the last. */
function chosenNodes({ slow }: RunReport, nodes: readonly InstallFacts[]): readonly InstallFacts[] {
  const done = nodes.filter(({ endedMs }) => endedMs !== null).sort((a, b) => a.endedMs! - b.endedMs!);
  const slowOnes = slow.flatMap(({ mac }) => nodes.findLast((node) => node.mac === mac) ?? []);
  const chosen = new Set([done[0], done[done.length >> 1], ...slowOnes, done.at(-1)]);
  return [...chosen].filter((node) => node !== undefined).slice(0, COLOURS.length);
}

function slowNodes({ slow }: RunReport): HTMLElement[] {
  if (slow.length === 0) return [];
  const rows = slow.map(({ name, ownMs: own, reasons }) => [
    name,
    formatTime(own),
    reasons.map(({ text }) => text).join('; '),
  ]);
  return [el('h2', {}, 'Slow nodes, and why'), table('Slow nodes', ['Node', 'Own time', 'Why'], rows)];
}

function failures({ failures: list }: RunReport): HTMLElement[] {
  if (list.length === 0) return [];
  const rows = list.map(({ name, standing, stage, text }) => [name, `${standing} in ${stage}`, text]);
  return [el('h2', {}, 'Not installed'), table('Failures', ['Node', 'Where', 'Why'], rows)];
}

function nodesTable(nodes: readonly InstallFacts[]): HTMLElement {
  const rows = nodes.map((node) => [
    el('a', { href: `#/node/${node.mac}` }, node.name),
    node.end ?? node.stage,
    formatTime(node.beganMs),
    formatTime(ownMs(node)),
    formatTime(stageDurations(node).get('image') ?? null),
    node.report === null ? '-' : formatBytes(node.report.uploadedBytes),
    node.report === null ? '-' : formatShare(node.report.busyPercent / 100),
  ]);
  return table('Nodes of the run', ['Node', 'End', 'Began', 'Own time', 'Transfer', 'Given', 'Busy'], rows);
}

async function get<T>(path: string): Promise<T | null> {
  const response = await fetch(path).catch(() => null);
  return response?.ok ? ((await response.json()) as T) : null;
}
