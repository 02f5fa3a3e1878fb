import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANNOUNCE_LIMITS, AnnounceSchedule } from '../agent/core/announce.ts';
import { Bitfield } from '../agent/core/bitfield.ts';
import { Budget } from '../agent/core/budget.ts';
import type { Stretch } from '../agent/core/events.ts';
import { LIMITS } from '../agent/core/limits.ts';
import type { Link, StorePort, WirePort } from '../agent/core/ports.ts';
import { Rng } from '../agent/core/rng.ts';
import { BLOCK_BYTES, KIB } from '../agent/core/units.ts';
import { Transfer } from '../agent/transfer.ts';
import { makeTorrent, noise } from './content.ts';

const PIECE = 64 * KIB;
const { torrent, space } = makeTorrent('image', [{ bytes: noise(4 * PIECE, 7) }], PIECE, 'v1');

/** Keeps everything in memory; a frame may be held back. */
class FakeStore implements StorePort {
  readonly written = Buffer.alloc(torrent.length);
  framesMax = Number.POSITIVE_INFINITY;
  failure: Error | null = null;
  #out = 0;

  write(piece: number, bytes: Uint8Array, done: (error: Error | null) => void): void {
    if (this.failure === null) this.written.set(bytes, piece * PIECE);
    done(this.failure);
  }

  verify(piece: number, bytes: Uint8Array): boolean {
    return space.subarray(piece * PIECE, (piece + 1) * PIECE).equals(bytes);
  }

  read(piece: number, begin: number, length: number) {
    if (this.failure !== null) throw this.failure;
    if (this.#out === this.framesMax) return null;
    this.#out++;
    const bytes = space.subarray(piece * PIECE + begin, piece * PIECE + begin + length);
    return { bytes, release: () => void this.#out-- };
  }
}

/** A wire that keeps what it is told. `taken` says that the kernel took the oldest block. */
class FakeWire implements WirePort {
  readonly asked: Stretch[] = [];
  readonly served: { bytes: Uint8Array; done: () => void }[] = [];
  closed: string | null = null;

  send(): void {}
  sendField(): void {}
  fetchInfo(): void {}
  flush(): void {}

  request({ piece, begin, length }: Stretch): void {
    this.asked.push({ piece, begin, length });
  }

  serve(bytes: Uint8Array, done: () => void): void {
    this.served.push({ bytes, done });
  }

  close(reason: string): void {
    this.closed = reason;
  }
}

function start(store: StorePort, have: Bitfield, clock = () => 1000): Transfer {
  let slots = 0;
  return new Transfer({
    torrent,
    store,
    have,
    limits: { ...LIMITS, pipelineMin: 16 },
    rng: new Rng(1),
    budget: new Budget(0),
    schedule: new AnnounceSchedule([], ANNOUNCE_LIMITS, () => 0),
    tracker: { announce: () => Promise.reject(new Error('no tracker')) },
    web: { fetchRange: () => Promise.reject(new Error('no web server')) },
    peerId: new Uint8Array(20),
    port: 1,
    clock,
    log: () => {},
    exchanges: false,
    slot: () => slots++,
    touch: () => {},
    dial: () => Promise.reject(new Error('nobody there')),
    left: () => {},
  });
}

/** A peer with BEP 6 that is ready to talk. */
function meet(transfer: Transfer, index: number) {
  const link: Link = {
    remote: { host: '127.0.0.1', port: 1000 + index },
    outgoing: true,
    open: () => {},
    write: () => {},
    close: () => {},
  };
  const wire = new FakeWire();
  const peer = transfer.meet(link, () => wire);
  peer.ready(String(index).padStart(40, '0'), true);
  const blockOf = ({ piece, begin, length }: Stretch) =>
    space.subarray(piece * PIECE + begin, piece * PIECE + begin + length);
  return {
    wire,
    peer,
    /** A whole block comes in, as the framing layer tells of it. */
    sends: (stretch: Stretch) => {
      if (peer.accepts(stretch)) peer.block(stretch, blockOf(stretch));
      else peer.said({ type: 'blockUnwanted', ...stretch });
    },
    blockOf,
  };
}

function blocksOf(stretches: readonly Stretch[]): Stretch[] {
  return stretches.flatMap(({ piece, begin, length }) =>
    Array.from({ length: length / BLOCK_BYTES }, (_, block) => ({
      piece,
      begin: begin + block * BLOCK_BYTES,
      length: BLOCK_BYTES,
    })),
  );
}

function keyOf({ piece, begin }: Stretch): number {
  return piece * PIECE + begin;
}

test('a block that another peer finishes first, while it is coming in, is thrown away', async () => {
  const store = new FakeStore();
  let now = 1000;
  const transfer = start(store, new Bitfield(torrent.pieceCount), () => now);
  const [slow, quick] = [meet(transfer, 1), meet(transfer, 2)];
  slow.peer.said({ type: 'hadAll' });
  slow.peer.said({ type: 'unchoked' });
  transfer.work();
  slow.peer.said({ type: 'choked' });
  // It begins a block and stops in the middle of it, until others are asked.
  const first = blocksOf(slow.wire.asked)[0]!;
  assert.ok(slow.peer.accepts(first));
  now += LIMITS.stallMs + LIMITS.chokeRoundMs;
  transfer.work();
  quick.peer.said({ type: 'hadAll' });
  quick.peer.said({ type: 'unchoked' });
  transfer.work();
  const asked = blocksOf(quick.wire.asked);
  assert.equal(asked.length, 16);
  quick.sends(first);
  slow.peer.block(first, Buffer.alloc(first.length));
  for (const block of asked.filter((one) => keyOf(one) !== keyOf(first))) quick.sends(block);
  transfer.work();
  await transfer.complete;
  assert.ok(store.written.equals(space));
  assert.equal(slow.wire.closed, 'both are complete');
});

test('blocks that wait for a frame are served after a peer before them has gone', () => {
  const store = new FakeStore();
  store.framesMax = 1;
  const transfer = start(store, Bitfield.full(torrent.pieceCount));
  const peers = [1, 2, 3].map((index) => meet(transfer, index));
  for (const { peer } of peers) peer.said({ type: 'interested' });
  transfer.work();
  for (const { peer } of peers) peer.said({ type: 'requested', piece: 0, begin: 0, length: PIECE });
  transfer.work();
  const [first, second, third] = peers.map(({ wire }) => wire.served);
  assert.deepEqual([first!.length, second!.length, third!.length], [1, 0, 0]);
  peers[1]!.peer.closed('gone');
  first![0]!.done();
  assert.equal(third!.length, 1);
});

test('a store that cannot write rejects `complete` and `front` with its error', async () => {
  const store = new FakeStore();
  store.failure = new Error('disk full');
  const transfer = start(store, new Bitfield(torrent.pieceCount));
  const front = transfer.front(1, AbortSignal.timeout(1000));
  const { peer, wire, sends } = meet(transfer, 1);
  peer.said({ type: 'hadAll' });
  peer.said({ type: 'unchoked' });
  transfer.work();
  for (const block of blocksOf(wire.asked)) sends(block);
  transfer.work();
  await assert.rejects(transfer.complete, /disk full/);
  await assert.rejects(front, /disk full/);
  await assert.rejects(transfer.front(1, AbortSignal.timeout(1000)), /disk full/);
  await transfer.leave();
  assert.notEqual(wire.closed, null);
});

test('`front` says no once the transfer has left, but for what is there', async () => {
  const transfer = start(new FakeStore(), new Bitfield(torrent.pieceCount));
  const early = transfer.front(1, AbortSignal.timeout(1000));
  const gone = transfer.leave();
  transfer.work();
  await gone;
  await assert.rejects(early, /left the swarm/);
  await assert.rejects(transfer.front(1, AbortSignal.timeout(1000)), /left the swarm/);
  await assert.rejects(transfer.complete, /left the swarm/);
  await transfer.front(0, AbortSignal.timeout(1000));
});

test('`front` resolves for whole pieces in order, and gives up with its signal', async () => {
  const have = new Bitfield(torrent.pieceCount);
  have.set(0);
  have.set(2);
  const transfer = start(new FakeStore(), have);
  await transfer.front(PIECE, AbortSignal.timeout(1000));
  const abort = new AbortController();
  const front = transfer.front(PIECE + 1, abort.signal);
  abort.abort(new Error('enough'));
  await assert.rejects(front, /enough/);
  await assert.rejects(transfer.front(1, abort.signal), /enough/);
});

test('corrupt pieces are fetched again, elsewhere, and their sender is let go', async () => {
  const store = new FakeStore();
  const transfer = start(store, new Bitfield(torrent.pieceCount));
  const [liar, honest] = [meet(transfer, 1), meet(transfer, 2)];
  liar.peer.said({ type: 'hadAll' });
  liar.peer.said({ type: 'unchoked' });
  transfer.work();
  const piece = blocksOf(liar.wire.asked).slice(0, 4);
  for (const block of piece) liar.peer.block(block, Buffer.alloc(block.length));
  transfer.work();
  assert.match(liar.wire.closed ?? '', /fail its hash/);
  assert.equal(transfer.view().hashFailures, 1);
  assert.equal(transfer.view().wastedBytes, PIECE);
  honest.peer.said({ type: 'hadAll' });
  honest.peer.said({ type: 'unchoked' });
  transfer.work();
  for (const block of blocksOf(honest.wire.asked)) honest.sends(block);
  transfer.work();
  await transfer.complete;
  assert.ok(store.written.equals(space));
  assert.equal(honest.wire.closed, 'both are complete');
});
