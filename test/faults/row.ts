// What a row of the fault matrix is to the lab: its number, what it does to the machines, and in which kinds.

import type { Scene } from './scene.ts';

/** What a run measured beside what every run does, by name, as it stands in the table. */
export type Figures = Readonly<Record<string, number | string>>;

export interface Row {
  /** As in the fault matrix; 0 is no fault at all. */
  readonly number: number;
  readonly fault: string;
  /** Seeds take them in turn. */
  readonly variants: readonly string[];
  /**
   * Starts machines and server (`scene.begin()`), injects the fault and waits until all is installed, as far as it can be.
   * Notes by `scene.must` what does not hold. What every row promises is checked afterwards, with all faults taken back.
   */
  run(scene: Scene, variant: string): Promise<Figures>;
}

/** `20 %` of `count`, at least one. */
export function partOf(variant: string, count: number): number {
  return Math.max(1, Math.round((Number.parseFloat(variant) / 100) * count));
}
