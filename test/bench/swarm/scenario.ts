// What a run of the swarm bench is to be, as the environment says it.

import { GIB, MIB } from '../../../agent/core/units.ts';

export interface Scenario {
  /** Machines that fetch; the first seeder comes on top. */
  readonly nodes: number;
  /** Of each link, in each direction. */
  readonly bitsPerSec: number;
  readonly sizeBytes: number;
  readonly rounds: number;
  /** Share of the packets towards each node that its link loses. */
  readonly lossShare: number;
  /** This many nodes have links of this part of the rate; a run ends without waiting for them. */
  readonly slow: { readonly nodes: number; readonly factor: number };
  /** One node begins when the others have this share; null: they all begin at once. */
  readonly joinShare: number | null;
  /** A node leaves as soon as it has everything, if its program can. */
  readonly leave: boolean;
  /** Beginnings of the rivals' names; null: all of them. */
  readonly rivals: readonly string[] | null;
  /** Folder for what each node has left behind; null: nothing is kept. */
  readonly keep: string | null;
}

/** A link of full rate, a slow one, or one of full rate whose node begins later. */
export type NodeKind = 'full' | 'slow' | 'joined';

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads NODES, RATE, SIZE, ROUNDS, LOSS, SLOW, JOIN, LEAVE, RIVALS and KEEP. Throws when one cannot be read. */
export function readScenario(environment: Environment): Scenario {
  const text = (name: string, fallback: string) => environment[name] || fallback;
  const number = (name: string, fallback: string, pattern: RegExp, factors: Record<string, number> = {}) => {
    const given = text(name, fallback);
    const [, digits, unit = ''] = pattern.exec(given) ?? [];
    if (digits === undefined) throw new Error(`${name}=${given}: write it like ${name}=${fallback}`);
    return Number(digits) * (factors[unit.toLowerCase()] ?? 1);
  };
  const slow = text('SLOW', '0:1').split(':');
  const slowNodes = Number(slow[0]);
  const factor = Number(slow[1]);
  if (!Number.isInteger(slowNodes) || !(factor > 0 && factor <= 1))
    throw new Error(
      `SLOW=${slow.join(':')}: write how many nodes have which part of the rate, like SLOW=1:0.1`,
    );
  const nodes = number('NODES', '16', /^(\d+)$/);
  const joinShare = environment.JOIN ? number('JOIN', '0.5', /^(0?\.\d+)$/) : null;
  if (nodes <= slowNodes + (joinShare === null ? 0 : 1))
    throw new Error('NODES: one node at least must have the full rate and begin with the word');
  const rivals = text('RIVALS', 'all');
  return {
    nodes,
    bitsPerSec: number('RATE', '20mbit', /^([\d.]+)(kbit|mbit|gbit)$/i, { kbit: 1e3, mbit: 1e6, gbit: 1e9 }),
    sizeBytes: number('SIZE', '64MiB', /^(\d+)(M|G)(?:iB)?$/i, { m: MIB, g: GIB }),
    rounds: number('ROUNDS', '5', /^(\d+)$/),
    lossShare: number('LOSS', '0%', /^([\d.]+)%$/) / 100,
    slow: { nodes: slowNodes, factor },
    joinShare,
    leave: environment.LEAVE === 'y',
    rivals: rivals === 'all' ? null : rivals === 'none' ? [] : rivals.split(','),
    keep: environment.KEEP || null,
  };
}

/** The fetching nodes by number, and what each is: the slow ones are the last, and before them is the one that joins. */
export function kindsOf({ nodes, slow, joinShare }: Scenario): Map<number, NodeKind> {
  const full = nodes - slow.nodes;
  const kindOf = (node: number): NodeKind => {
    if (node > full) return 'slow';
    return node === full && joinShare !== null ? 'joined' : 'full';
  };
  return new Map(Array.from({ length: nodes }, (_, index) => [index + 1, kindOf(index + 1)]));
}

/** The links' rates: of node 0, which is the first seeder, and of all that fetch. */
export function ratesOf(scenario: Scenario): number[] {
  const { bitsPerSec, slow } = scenario;
  const fetching = [...kindsOf(scenario).values()];
  return [bitsPerSec, ...fetching.map((kind) => (kind === 'slow' ? bitsPerSec * slow.factor : bitsPerSec))];
}
