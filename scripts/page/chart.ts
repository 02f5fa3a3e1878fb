// Plots of numbers over time (uPlot), in the colours of the page.

import uPlot from 'uplot';
import { el } from './dom.ts';

export interface Line {
  readonly label: string;
  /** A custom property of page.css: `--line-1`. */
  readonly colour: string;
  readonly dash?: readonly number[];
}

export interface ChartOptions {
  /** What is seen, for those who do not see it. */
  readonly title: string;
  readonly unit: string;
  readonly lines: readonly Line[];
  /** Divides what is given. */
  readonly scale: number;
  /** Draws on where nothing was told for a moment, as of a node that reports every two seconds. */
  readonly spanGaps?: boolean;
}

const HEIGHT = 240;

/** A plot that is as wide as its place. The first list of its data is seconds, the others are the lines' values. */
export class Chart {
  readonly element: HTMLElement;
  readonly #options: ChartOptions;
  readonly #observer: ResizeObserver;
  #plot: uPlot | null = null;
  #data: (number | null)[][] = [];

  constructor(options: ChartOptions) {
    this.#options = options;
    this.element = el(
      'figure',
      { class: 'chart' },
      el('figcaption', {}, `${options.title}, ${options.unit}`),
    );
    // In the next frame: what is drawn may itself change the width, by a scroll bar.
    this.#observer = new ResizeObserver(() => requestAnimationFrame(() => this.#fit()));
    this.#observer.observe(this.element);
  }

  set(seconds: readonly number[], lines: readonly (readonly (number | null)[])[]): void {
    const { scale } = this.#options;
    this.#data = [
      [...seconds],
      ...lines.map((line) => line.map((value) => (value === null ? null : value / scale))),
    ];
    this.#plot?.setData(this.#data as uPlot.AlignedData);
  }

  /** Adds one moment at the end. */
  add(second: number, values: readonly number[]): void {
    const { scale, lines } = this.#options;
    if (this.#data.length === 0) this.#data = [[], ...lines.map(() => [])];
    if (second <= (this.#data[0]!.at(-1) ?? Number.NEGATIVE_INFINITY)) return;
    this.#data[0]!.push(second);
    for (const [index, value] of values.entries()) this.#data[index + 1]!.push(value / scale);
    this.#plot?.setData(this.#data as uPlot.AlignedData);
  }

  /** Draws it anew in the colours that hold now. */
  recolour(): void {
    this.#plot?.destroy();
    this.#plot = null;
    this.#fit();
  }

  destroy(): void {
    this.#observer.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  #fit(): void {
    const width = this.element.clientWidth;
    if (width === 0) return;
    if (this.#plot === null) this.#draw(width);
    else if (this.#plot.width !== width) this.#plot.setSize({ width, height: HEIGHT });
  }

  #draw(width: number): void {
    const { lines, unit } = this.#options;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const axis: uPlot.Axis = {
      stroke: colour('--muted'),
      grid: { stroke: colour('--rule'), width: 1 },
      ticks: { stroke: colour('--rule'), width: 1 },
    };
    const options: uPlot.Options = {
      width,
      height: HEIGHT,
      scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(1e-6, most * 1.05)] } },
      axes: [
        { ...axis, values: (_, values) => values.map((value) => `${value} s`) },
        { ...axis, size: 60 },
      ],
      series: [
        { label: 'time', value: (_, value) => (value === null ? '-' : `${value.toFixed(0)} s`) },
        ...lines.map(
          (line): uPlot.Series => ({
            label: line.label,
            stroke: colour(line.colour),
            width: 2,
            ...(line.dash === undefined ? {} : { dash: [...line.dash] }),
            points: { show: false },
            spanGaps: this.#options.spanGaps ?? false,
            value: (_, value) => (value === null ? '-' : `${value.toFixed(1)} ${unit}`),
          }),
        ),
      ],
    };
    const empty = [[], ...lines.map(() => [])];
    const data = (this.#data.length === 0 ? empty : this.#data) as uPlot.AlignedData;
    this.#plot = new uPlot(options, data, this.element);
  }
}
