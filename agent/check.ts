// What a node finds out about itself before anything is written: it asks the image server, the trackers and some peers, looks
// at its link and its memory, and tries the disks. core/readiness judges; here is what is measured, in which order, for how
// long, and that a network which fails for a moment parks nobody.

import type { Stretch } from './core/diskplan.ts';
import { messageOf, SwarmbootError } from './core/errors.ts';
import type { Params } from './core/params.ts';
import {
  bootLink,
  type DiskTrial,
  describeReadiness,
  type Finding,
  judgeDisks,
  judgeMemory,
  judgeNetwork,
  type NetworkFacts,
  slowestDisk,
} from './core/readiness.ts';
import type { EngineRoom, Rooms } from './core/rooms.ts';
import type { Pool } from './core/staging.ts';
import type { SystemJob } from './core/systemrooms.ts';
import type { AnnounceReply, PeerAddress } from './core/tracker.ts';
import type { Ms } from './core/units.ts';
import type { Plan } from './plan.ts';
import type { Staging } from './staging.ts';

/** Who does not answer by then does not answer: on a cluster's network that takes a millisecond. */
const ANSWER_MAX_MS: Ms = 5000;
/** A disk may have to spin up first; one that has done nothing by then is stuck. */
const DISK_MAX_MS: Ms = 30_000;
/** Each takes a thread of Node's four while it reads and writes, and what waits for a thread looks slow. */
const DISKS_AT_ONCE = 3;
/** Waits before a bad network is looked at again: a server that was just started anew is back by then. */
export const NETWORK_WAITS_MS: readonly Ms[] = [2000, 5000, 10_000, 20_000, 30_000];
const SMALL_BYTES = 16;
/** Several packets in a row, each as large as the link has them. */
const LARGE_PACKETS = 4;
const MTU_USUAL = 1500;
const PEERS_WANTED = 20;

/** What is to be installed, as far as it is checked here. */
export interface Candidate {
  readonly params: Params;
  readonly plan: Plan;
  readonly job: SystemJob;
  readonly engine: EngineRoom;
  readonly staging: Pick<Staging, 'pools'>;
}

export interface Readiness {
  /** What the slowest disk writes; null: none was measured. */
  readonly diskBytesPerSec: number | null;
  /** Why the install must end here; null: it may go on. */
  readonly refusal: SwarmbootError | null;
}

/** Checks this node and tells what it finds. Nothing is different afterwards. Throws the signal's reason. */
export async function checkNode(
  candidate: Candidate,
  rooms: Rooms,
  signal: AbortSignal,
  diskMaxMs: Ms = DISK_MAX_MS,
): Promise<Readiness> {
  const { params, job } = candidate;
  const note = (text: string) => rooms.tell({ fact: 'note', text: `check: ${text}` });
  const network = await measureNetwork(candidate, rooms, signal);
  const trials = await tryDisks(job, rooms, diskMaxMs, signal);
  note(describeReadiness(network, trials));
  const findings = [
    ...judgeNetwork(network),
    ...(await checkMemory(candidate, rooms)),
    ...judgeDisks(trials),
  ];
  for (const { severity, text } of findings) note(severity === 'fatal' ? text : `warning: ${text}`);
  const fatal = findings.filter(({ severity }) => severity === 'fatal');
  // A write that is still on its way could come down on what is made there next.
  const park = params.check === 'park' || trials.some(({ stuck }) => stuck);
  if (fatal.length > 0 && !park) note('CHECK=warn: the install goes on');
  const refusal = fatal.length > 0 && park ? refusalOf(fatal, params) : null;
  return { diskBytesPerSec: slowestDisk(trials), refusal };
}

function refusalOf(fatal: readonly Finding[], { check }: Params): SwarmbootError {
  const all = check === 'park' ? '; CHECK=warn installs all the same' : '';
  const list = fatal.map(({ text }) => text).join('\n  ');
  return new SwarmbootError(
    'check',
    `nothing was written, for this node is not fit: ${list}\n  Mend that, then arm it again or start it anew${all}.`,
  );
}

/** A network that is bad is looked at again, for a minute. */
async function measureNetwork(
  candidate: Candidate,
  rooms: Rooms,
  signal: AbortSignal,
): Promise<NetworkFacts> {
  let told = '';
  for (const waitMs of NETWORK_WAITS_MS) {
    const facts = await lookAround(candidate, rooms, signal);
    const fatal = judgeNetwork(facts).filter(({ severity }) => severity === 'fatal');
    if (fatal.length === 0) return facts;
    const text = fatal.map((finding) => finding.text).join('; ');
    const what = text === told ? 'no better' : text;
    rooms.tell({ fact: 'note', text: `check: ${what}; looked at again in ${waitMs / 1000} s` });
    told = text;
    await rooms.sleep(waitMs, signal);
  }
  return lookAround(candidate, rooms, signal);
}

/** What came of something: how long it took and what it gave, or what went wrong. */
type Result<Value> = { readonly ms: Ms; readonly value: Value } | { readonly fault: string };

async function lookAround(
  { plan, job, engine }: Candidate,
  { servers, probe, now }: Rooms,
  signal: AbortSignal,
): Promise<NetworkFacts> {
  const ask = async <Value>(
    who: string,
    work: (limit: AbortSignal) => Promise<Value>,
  ): Promise<Result<Value>> => {
    const startedMs = now();
    try {
      const value = await within(ANSWER_MAX_MS, who, work, signal);
      return { ms: now() - startedMs, value };
    } catch (error) {
      signal.throwIfAborted();
      return { fault: messageOf(error) };
    }
  };
  const { torrent } = plan.image;
  const link = bootLink(probe.links(), job.lease);
  const small = await ask(servers!.first.host, (limit) =>
    servers!.ask((server, until) => probe.echo(server, SMALL_BYTES, until), limit),
  );
  // Whoever has answered: one that has died meanwhile says nothing of the size of packets.
  const server = servers!.first;
  const sendsBack = 'value' in small && small.value;
  const largeBytes = LARGE_PACKETS * (link?.mtu ?? MTU_USUAL);
  const large = sendsBack ? await ask(server.host, (limit) => probe.echo(server, largeBytes, limit)) : null;
  const trackers = await Promise.all(
    [...new Set(torrent.announce.flat())].map((url) =>
      ask(withoutSecrets(url), (limit) => engine.askTracker(torrent, url, PEERS_WANTED, limit)),
    ),
  );
  const own = `${job.lease.address.split('/')[0]}:${engine.port}`;
  const others = [...peersOf(trackers)].filter(([name]) => name !== own);
  const peers = await Promise.all(
    others.map(([name, address]) => ask(name, (limit) => probe.call(address, limit))),
  );
  const webSeed = plan.image.webSeeds.length > 0;
  return { link, server: server.host, small, large, trackers, peers, webSeed };
}

/** The peers that trackers have named, by address as people write it. */
function peersOf(replies: readonly Result<AnnounceReply>[]): Map<string, PeerAddress> {
  const named = replies.flatMap((reply) => ('value' in reply ? reply.value.peers : []));
  return new Map(
    named.map((peer) => [`${peer.host.includes(':') ? `[${peer.host}]` : peer.host}:${peer.port}`, peer]),
  );
}

/** Neither a password nor a pass key belongs into a log. */
function withoutSecrets(url: string): string {
  const parsed = URL.parse(url);
  return parsed === null ? 'a tracker' : `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}

async function checkMemory({ params, plan, job, staging }: Candidate, { host }: Rooms): Promise<Finding[]> {
  const { boel, image, overrides } = plan;
  const target: Pool = {
    folder: params.target,
    fileSystem: 'to be made',
    device: 'to be made',
    inMemory: false,
    freeBytes: job.plan.capacityBytes,
    heldBytes: 0,
    unusable: null,
  };
  const forced = await forcedPool(params, target, staging);
  if (forced === undefined) return [];
  const tarballs = [image, ...overrides];
  return judgeMemory({
    pools: forced === null ? await staging.pools() : host.pools(),
    forced,
    availableBytes: await host.memoryAvailableBytes(),
    boelBytes: boel === null ? 0 : boel.torrent.length + boel.unpackedBytes,
    demand: {
      keptBytes: tarballs.reduce((sum, { torrent }) => sum + torrent.length, 0),
      unpackedBytes: tarballs.reduce((sum, { unpackedBytes }) => sum + unpackedBytes, 0),
      target,
    },
  });
}

/** The pool that BITTORRENT_STAGING names; null: it names none; undefined: a script before the disks may still mount it. */
async function forcedPool(
  { stagingPool, target }: Params,
  made: Pool,
  staging: Candidate['staging'],
): Promise<Pool | null | undefined> {
  if (stagingPool === null) return null;
  if (`${stagingPool}/`.startsWith(`${target}/`)) return { ...made, folder: stagingPool };
  try {
    return (await staging.pools())[0]!;
  } catch (error) {
    if (error instanceof SwarmbootError && error.code === 'staging') return undefined;
    throw error;
  }
}

/** The disks, some at a time, in the order of the plan. */
async function tryDisks(
  { plan }: SystemJob,
  { probe }: Rooms,
  diskMaxMs: Ms,
  signal: AbortSignal,
): Promise<DiskTrial[]> {
  const tryDisk = async (stretch: Stretch): Promise<DiskTrial> => {
    const { path } = stretch;
    let stuck = true;
    const work = (limit: AbortSignal) =>
      probe.rewrite(stretch, limit).finally(() => {
        stuck = false;
      });
    try {
      const written = await within(diskMaxMs, 'it', work, signal);
      return { path, ...written, stuck, fault: null };
    } catch (error) {
      signal.throwIfAborted();
      return { path, bytes: 0, ms: 0, stuck, fault: messageOf(error) };
    }
  };
  const trials: DiskTrial[] = [];
  for (let at = 0; at < plan.trials.length; at += DISKS_AT_ONCE) {
    const some = plan.trials.slice(at, at + DISKS_AT_ONCE);
    trials.push(...(await Promise.all(some.map(tryDisk))));
  }
  return trials;
}

/** `work` with a time limit: when that has passed, `who` did not answer, whether the work has ended or not. */
async function within<Value>(
  ms: Ms,
  who: string,
  work: (limit: AbortSignal) => Promise<Value>,
  signal: AbortSignal,
): Promise<Value> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(ms)]);
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const late = () => reject(new Error(`${who} did not answer within ${ms / 1000} s`));
  either.addEventListener('abort', late, { once: true });
  try {
    return await Promise.race([ended, work(either)]);
  } finally {
    either.removeEventListener('abort', late);
  }
}
