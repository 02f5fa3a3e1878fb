// One swarm for one test: content, torrent, tracker, our peer, and one of another maker.

import { equal } from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Torrent } from '../../agent/core/torrent.ts';
import { hex, MIB } from '../../agent/core/units.ts';
import { admissionBy, digests } from '../../agent/io/digest.ts';
import { openStore } from '../../agent/io/store.ts';
import type { Transfer } from '../../agent/transfer.ts';
import { TrackerServer } from '../../scripts/tracker.ts';
import { type Made, makeTorrent, noise, scratch } from '../content.ts';
import type { Job, ReadingClient, Running } from '../foreign/clients.ts';
import { startOpenTracker } from '../foreign/opentracker.ts';
import { freePort } from '../foreign/process.ts';
import { seedersAt } from '../foreign/scrape.ts';
import { startEngine } from '../nodes.ts';

export interface Case {
  readonly client: ReadingClient;
  readonly kind: 'v1' | 'hybrid';
  readonly tracker: 'http' | 'udp';
  /** Addresses of our peer and the tracker, and of the foreign client. */
  readonly ours: string;
  readonly theirs: string;
}

/** A tracker at some URL. */
export interface Meeting {
  readonly url: string;
  /** `host:port` of its scrape. */
  readonly scrape: string;
  allow(torrent: Torrent): void;
}

const SIZE_BYTES = 8 * MIB + 12_345;
const PIECE_BYTES = 256 * 1024;
const NAME = 'image.tar';
const CONTENT = noise(SIZE_BYTES, 1);
/** Transmission gives its upload places anew every ten seconds, and is slow between them. */
const PATIENCE_MS = 60_000;

/** Our own tracker. */
export async function ourTracker(test: TestContext, { tracker, ours }: Case): Promise<Meeting> {
  const clock = () => performance.now();
  const server = await TrackerServer.start({
    host: ours,
    port: 0,
    random: Math.random,
    clock,
    log: () => {},
  });
  test.after(() => server.close());
  return {
    url: `${tracker}://${ours}:${tracker === 'http' ? server.httpPort : server.udpPort}/announce`,
    scrape: `${ours}:${server.httpPort}`,
    allow: (torrent) => server.allow(torrent.infoHashV1!),
  };
}

/** Debian's opentracker, told of both torrents beforehand: an info hash does not hang on the tracker's URL. */
export async function openTracker(test: TestContext, { tracker, ours }: Case): Promise<Meeting> {
  const torrents = (['v1', 'hybrid'] as const).map((kind) => make(kind, []).torrent);
  const server = await startOpenTracker(ours, scratch(test), torrents);
  test.after(() => server.program.stop());
  return {
    url: `${tracker}://${ours}:${server.port}/announce`,
    scrape: `${ours}:${server.port}`,
    allow: () => {},
  };
}

/** The foreign client gets the content from us. */
export async function seedTo(test: TestContext, which: Case, meeting: Meeting): Promise<void> {
  const { made, job, folder } = await prepare(test, which, meeting);
  const [transfer] = await seed(test, which, meeting, folder, made.torrent);
  const running = await which.client.fetch(job);
  test.after(() => running.program.stop());
  await running.complete(PATIENCE_MS);
  equal(Buffer.compare(readFileSync(join(job.folder, NAME)), CONTENT), 0);
  equal(transfer!.view().uploadedBytes >= CONTENT.length, true);
}

/** The foreign client meets a closed swarm of ours, which gives it nothing. */
export async function refuseTo(test: TestContext, which: Case, meeting: Meeting): Promise<void> {
  const { made, job, folder } = await prepare(test, which, meeting);
  const { torrent } = made;
  const path = join(folder, 'closed');
  writeFileSync(path, CONTENT);
  const reasons: string[] = [];
  const closed = await startEngine(test, {
    host: which.ours,
    company: { networks: null, admission: admissionBy(() => Buffer.alloc(32, 7)) },
    log: (fact, values) => {
      if (fact === 'caller gone') reasons.push(String(Reflect.get(values ?? {}, 'reason')));
    },
  });
  const store = await openStore(torrent, { path, mode: 'seed', hashes: digests });
  const guarded = closed.join(torrent, store, store.have);
  while (!(await known(meeting, torrent))) await sleep(20);
  const running = await which.client.fetch(job);
  test.after(() => running.program.stop());
  // Some begin when they are waited for.
  running.complete(PATIENCE_MS).catch(() => {});
  const refused = () => reasons.some((reason) => reason.startsWith('was not admitted'));
  await running.program.until('our refusal', refused, PATIENCE_MS);
  // Long enough for it to come again.
  await sleep(500);
  equal(guarded.view().uploadedBytes, 0);
  equal(guarded.view().peers, 0);
  await running.program.stop();
}

/** We get the content from the foreign client. */
export async function fetchFrom(test: TestContext, which: Case, meeting: Meeting): Promise<void> {
  const { made, job, folder } = await prepare(test, which, meeting);
  writeFileSync(join(job.folder, NAME), CONTENT);
  const running = await which.client.seed(job);
  test.after(() => running.program.stop());
  await running.program.until('its first announce', () => known(meeting, made.torrent), PATIENCE_MS);
  const path = join(folder, NAME);
  const store = await openStore(made.torrent, { path, mode: 'create', hashes: digests });
  const engine = await startEngine(test, { host: which.ours });
  const transfer = engine.join(made.torrent, store, store.have);
  await served(running, transfer.complete);
  equal(Buffer.compare(readFileSync(path), CONTENT), 0);
  equal(transfer.view().hashFailures, 0);
}

/**
 * True when the client can read our hybrid torrents. aria2 up to 1.36 loses the empty names of BEP 52's file tree, and
 * so reads another info hash; Transmission before 4.0 refuses the file.
 */
export function readsHybrid(test: TestContext, client: ReadingClient): boolean {
  const made = make('hybrid', []);
  const file = join(scratch(test), 'one.torrent');
  writeFileSync(file, made.file);
  return client.infoHash(file) === hex(made.torrent.infoHashV1!);
}

/** One file and one peer of ours in two swarms: a hybrid torrent's, and that of the v1 torrent for the client. */
export async function seedTwins(test: TestContext, which: Case, meeting: Meeting): Promise<void> {
  const { made, job, folder } = await prepare(test, { ...which, kind: 'v1' }, meeting);
  const hybrid = make('hybrid', [meeting.url]);
  meeting.allow(hybrid.torrent);
  await seed(test, which, meeting, folder, made.torrent, hybrid.torrent);
  const store = await openStore(hybrid.torrent, {
    path: join(folder, 'copy'),
    mode: 'create',
    hashes: digests,
  });
  const leecher = await startEngine(test, { host: which.ours });
  const running = await which.client.fetch(job);
  test.after(() => running.program.stop());
  await leecher.join(hybrid.torrent, store, store.have).complete;
  await running.complete(PATIENCE_MS);
  for (const path of [join(job.folder, NAME), join(folder, 'copy')]) {
    equal(Buffer.compare(readFileSync(path), CONTENT), 0);
  }
}

function make(kind: Case['kind'], announce: readonly string[]): Made {
  return makeTorrent(NAME, [{ bytes: CONTENT }], PIECE_BYTES, kind, announce);
}

/** Our seeder of every torrent given, all of the same file; the tracker knows it in each swarm. */
async function seed(
  test: TestContext,
  which: Case,
  meeting: Meeting,
  folder: string,
  ...torrents: Torrent[]
): Promise<Transfer[]> {
  const path = join(folder, NAME);
  writeFileSync(path, CONTENT);
  const engine = await startEngine(test, { host: which.ours });
  const transfers: Transfer[] = [];
  for (const torrent of torrents) {
    const store = await openStore(torrent, { path, mode: 'seed', hashes: digests });
    transfers.push(engine.join(torrent, store, store.have));
    while (!(await known(meeting, torrent))) await sleep(20);
  }
  return transfers;
}

async function known(meeting: Meeting, torrent: Torrent): Promise<boolean> {
  return (await seedersAt(meeting.scrape, torrent.infoHashV1!)) > 0;
}

/** The torrent at the tracker, and what the foreign client is told: in folders of its own. */
async function prepare(test: TestContext, { kind, theirs }: Case, meeting: Meeting) {
  const folder = scratch(test);
  const made = make(kind, [meeting.url]);
  meeting.allow(made.torrent);
  const torrent = join(folder, 'one.torrent');
  writeFileSync(torrent, made.file);
  for (const name of ['theirs', 'state']) mkdirSync(join(folder, name));
  const job: Job = {
    torrent,
    folder: join(folder, 'theirs'),
    name: NAME,
    state: join(folder, 'state'),
    host: theirs,
    port: await freePort(theirs),
    seeder: '',
    launch: {},
  };
  return { made, job, folder };
}

/** Waits for `complete`; when it takes too long, the error says what the foreign seeder said. */
async function served({ program }: Running, complete: Promise<void>): Promise<void> {
  let done = false;
  const end = complete.then(() => {
    done = true;
  });
  await Promise.race([end, program.until('seeding to us', () => done, PATIENCE_MS)]);
}
