// Whether this node is fit to be installed: what it has measured of itself and its surroundings before anything is written
// becomes findings, each with what to do next. Fatal is only what would surely fail or ruin the install, for an alarm that
// stops a cluster at night for nothing is worse than a slow node. Measuring is agent/check's, with agent/io/probe.

import { messageOf, SwarmbootError } from './errors.ts';
import type { LinkSight } from './inventory.ts';
import type { Lease } from './lease.ts';
import { chooseStaging, type Pool, type StagingDemand } from './staging.ts';
import { formatRate, MIB, type Ms } from './units.ts';

/** What is wrong, where, and what to do next. A `fatal` one parks the node, a `warning` is only told. */
export interface Finding {
  readonly severity: 'fatal' | 'warning';
  readonly text: string;
}

/** How long something took, or a phrase that says what went wrong and with whom. */
export type Outcome = { readonly ms: Ms } | { readonly fault: string };

export interface NetworkFacts {
  /** The interface that this node has booted from; null when that is not known. */
  readonly link: LinkSight | null;
  /** The image server: `10.9.0.1:8080`. */
  readonly server: string;
  /** A few bytes to it and back. */
  readonly small: Outcome;
  /** Packets as large as the link has them, to it and back; null: not tried, or it sends nothing back. */
  readonly large: Outcome | null;
  /** Each tracker of the image, asked once. */
  readonly trackers: readonly Outcome[];
  /** Peers that trackers named, called once each. */
  readonly peers: readonly Outcome[];
  /** The image is to be had by HTTP, too. */
  readonly webSeed: boolean;
}

export interface MemoryFacts {
  /** Where tarballs could be staged now, before the disks are made. */
  readonly pools: readonly Pool[];
  /** The pool that BITTORRENT_STAGING names, if it is there already; null: none is named. */
  readonly forced: Pool | null;
  readonly availableBytes: number;
  /** What the BOEL binaries are going to take of memory, packed and unpacked. */
  readonly boelBytes: number;
  /** The image and its overrides, on file systems that are yet to be made. */
  readonly demand: StagingDemand;
}

/** One disk after a trial: what was read there has been written again. */
export interface DiskTrial {
  /** `/dev/vda`. */
  readonly path: string;
  readonly bytes: number;
  /** Of the writing alone. */
  readonly ms: Ms;
  /** Reading or writing has not come to an end. */
  readonly stuck: boolean;
  /** What went wrong; null: nothing. */
  readonly fault: string | null;
}

/** A GiB would take more than a quarter of an hour: nobody waits for that, and the disk is about to fail. */
export const DISK_MIN_BYTES_PER_SEC = MIB;
/** What a healthy disk of any kind exceeds, a worn USB stick or a disk that tries again and again does not. */
const DISK_SLOW_BYTES_PER_SEC = 10 * MIB;
/** What every cluster's network has; below it, a cable or a port is bad. */
const LINK_MEGABIT_PER_SEC = 1000;

/** The interface that this node has booted from, by name, or by its address when a VLAN lies on it; null: not among them. */
export function bootLink(links: readonly LinkSight[], { device, mac }: Lease): LinkSight | null {
  const named = links.find(({ name }) => name === device);
  return named ?? links.find((link) => link.up && link.mac === mac) ?? null;
}

/** What is wrong with the network. */
export function judgeNetwork(facts: NetworkFacts): Finding[] {
  const { link, server, small, large } = facts;
  const findings = link === null ? [] : judgeLink(link);
  if ('fault' in small) {
    findings.push(
      warning(`${small.fault}; reports of this node get lost; look whether "swarmboot serve" still runs`),
    );
  } else if (large !== null && 'fault' in large) {
    const mtu = link === null ? '' : `, whose MTU is ${link.mtu}`;
    findings.push(
      fatal(
        `small packets reach the image server ${server}, large ones get lost (${large.fault}): something on the way carries less than ${link?.name ?? 'this interface'}${mtu}; give every switch port, tunnel and server on the way the same MTU`,
      ),
    );
  }
  return [...findings, ...judgeSwarm(facts)];
}

/** What keeps this node from the others is fatal; that there are none as yet is not while the image server has the image. */
function judgeSwarm({ small, trackers, peers, webSeed }: NetworkFacts): Finding[] {
  const alone = (text: string) =>
    webSeed && 'ms' in small
      ? warning(`${text}; until then the image comes from the image server by HTTP`)
      : fatal(text);
  const silent = trackers.flatMap((outcome) => ('fault' in outcome ? outcome.fault : []));
  if (silent.length === trackers.length) {
    const list = silent.length === 0 ? 'the torrent of the image names none' : silent.join('; ');
    return [
      alone(
        `no tracker answers: ${list}; look whether "swarmboot serve" runs, and that its tracker's port (6969) is open`,
      ),
    ];
  }
  const findings = silent.map((fault) => warning(`${fault}; the other trackers answer; open its port`));
  const deaf = peers.flatMap((outcome) => ('fault' in outcome ? outcome.fault : []));
  if (peers.length === 0) {
    findings.push(
      alone('the tracker knows nobody who has the image; look whether a seeder runs ("swarmboot serve")'),
    );
  } else if (deaf.length === peers.length) {
    findings.push(
      fatal(
        `no peer can be called, of ${peers.length} that the tracker names: ${deaf.join('; ')}; open their ports (6881) between all nodes and the image server`,
      ),
    );
  }
  return findings;
}

/** Whether image and overrides are going to find a place to be staged, by the rule that will choose it. */
export function judgeMemory(facts: MemoryFacts): Finding[] {
  const { forced, availableBytes, boelBytes, demand } = facts;
  const left = (pool: Pool): Pool =>
    pool.inMemory ? { ...pool, freeBytes: Math.max(0, pool.freeBytes - boelBytes) } : pool;
  const pools = [...facts.pools.map(left), demand.target];
  const memoryBytes = Math.max(0, availableBytes - boelBytes);
  try {
    const { pool, others } = chooseStaging(pools, forced && left(forced), demand, memoryBytes);
    if (forced !== null || pool !== demand.target) return [];
    return [
      warning(
        `the tarballs do not fit into memory and are staged on the disks, which takes longer (${others.join('; ')}); give the machine more memory`,
      ),
    ];
  } catch (error) {
    if (!(error instanceof SwarmbootError)) throw error;
    return [fatal(messageOf(error))];
  }
}

/** What is wrong with the disks that are to be written. */
export function judgeDisks(trials: readonly DiskTrial[]): Finding[] {
  return trials.flatMap((trial) => {
    const { path, fault } = trial;
    if (fault !== null)
      return fatal(`${path} cannot be written as it should: ${fault}; check its cables, or replace it`);
    const rate = rateOf(trial);
    if (rate === null || rate >= DISK_SLOW_BYTES_PER_SEC) return [];
    const slow = `${path} writes ${formatRate(rate)}`;
    if (rate >= DISK_MIN_BYTES_PER_SEC)
      return warning(`${slow}, less than any healthy disk; look at its health (SMART), or replace it`);
    const least = formatRate(DISK_MIN_BYTES_PER_SEC);
    return fatal(`${slow}, less than the ${least} that an install must have; replace it`);
  });
}

/** The rate of the slowest disk; null when none was measured. */
export function slowestDisk(trials: readonly DiskTrial[]): number | null {
  const rates = trials.flatMap((trial) => rateOf(trial) ?? []);
  return rates.length === 0 ? null : Math.min(...rates);
}

/** All figures in one line, good or bad. */
export function describeReadiness(network: NetworkFacts, trials: readonly DiskTrial[]): string {
  const { link, small, trackers, peers } = network;
  const good = (outcomes: readonly Outcome[]) => outcomes.filter((outcome) => 'ms' in outcome).length;
  const asked = `${good(trackers)} of ${trackers.length} trackers and ${good(peers)} of ${peers.length} peers answer`;
  const disks = trials.map((trial) => {
    const rate = rateOf(trial);
    const name = trial.path.replace(/^\/dev\//, '');
    return rate === null ? `${name} not measured` : `${name} writes ${formatRate(rate)}`;
  });
  return [
    link === null ? 'link not known' : `link ${describeLink(link)}`,
    'ms' in small ? `server ${small.ms.toFixed(1)} ms` : 'server does not answer',
    asked,
    ...(disks.length === 0 ? [] : [disks.join(', ')]),
  ].join('; ');
}

/** A wrong duplex or a low speed is told and no more: such a node is slow, and the others do not wait for it. */
function judgeLink(link: LinkSight): Finding[] {
  const { fullDuplex, megabitPerSec } = link;
  const slow = megabitPerSec !== null && megabitPerSec < LINK_MEGABIT_PER_SEC;
  if (!slow && fullDuplex !== false) return [];
  return [
    warning(
      `the link is slow: ${describeLink(link)}; try another cable and switch port, and let both ends negotiate`,
    ),
  ];
}

/** `eth0 1000 Mbit/s full duplex, MTU 1500`: what the interface does not tell is left out. */
function describeLink({ name, megabitPerSec, fullDuplex, mtu }: LinkSight): string {
  const speed = megabitPerSec === null ? '' : ` ${megabitPerSec} Mbit/s`;
  const duplex = fullDuplex === null ? '' : fullDuplex ? ' full duplex' : ' half duplex';
  return `${name}${speed}${duplex}, MTU ${mtu}`;
}

/** Null when nothing was written. A clock too coarse for what was written is no reason for an infinite rate. */
function rateOf({ bytes, ms, fault }: DiskTrial): number | null {
  return fault !== null || bytes === 0 ? null : (1000 * bytes) / Math.max(ms, 0.01);
}

function fatal(text: string): Finding {
  return { severity: 'fatal', text };
}

function warning(text: string): Finding {
  return { severity: 'warning', text };
}
