import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Bitfield } from '../../agent/core/bitfield.ts';
import type { Stretch } from '../../agent/core/events.ts';
import { Picker } from '../../agent/core/picker.ts';
import { Rng } from '../../agent/core/rng.ts';
import { pieceSize } from '../../agent/core/torrent.ts';
import { BLOCK_BYTES } from '../../agent/core/units.ts';
import { blankTorrent } from '../../scripts/sim/world.ts';

const BLOCKS = 4;
const PIECE = BLOCKS * BLOCK_BYTES;
const LAST_BYTES = BLOCK_BYTES + 5;
const PEERS = 4;

function prepare(pieces: number, { seed = 1, activeMax = 8, front = 0, lastBytes = PIECE } = {}) {
  const torrent = blankTorrent((pieces - 1) * PIECE + lastBytes, PIECE);
  const have = new Bitfield(pieces);
  const picker = new Picker(torrent, have, new Rng(seed), activeMax, front);
  return { torrent, have, picker, full: Bitfield.full(pieces) };
}

function fieldOf(length: number, pieces: readonly number[]): Bitfield {
  const field = new Bitfield(length);
  for (const piece of pieces) field.set(piece);
  return field;
}

/** The blocks of some stretches, as keys. */
function keysOf(picker: Picker, stretches: readonly Stretch[]): number[] {
  return stretches.flatMap(({ piece, begin, length }) =>
    Array.from({ length: Math.ceil(length / BLOCK_BYTES) }, (_, block) =>
      picker.key(piece, begin / BLOCK_BYTES + block),
    ),
  );
}

function pick(picker: Picker, slot: number, field: Bitfield, blocks: number): number[] {
  const out: Stretch[] = [];
  const taken = picker.pick(slot, field, blocks, out);
  const keys = keysOf(picker, out);
  assert.equal(keys.length, taken);
  return keys;
}

const split = (key: number) => ({ piece: Math.floor(key / BLOCKS), block: key % BLOCKS });

type Step =
  | { do: 'pick' | 'again'; peer: number; blocks: number }
  | { do: 'arrive' | 'release'; peer: number; which: number }
  | { do: 'leave'; peer: number }
  | { do: 'fail' | 'finish' };

const peers = fc.nat(PEERS - 1);
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('pick', 'again'), peer: peers, blocks: fc.integer({ min: 1, max: 9 }) }),
  { weight: 3, arbitrary: fc.record({ do: fc.constant('arrive'), peer: peers, which: fc.nat(50) }) },
  fc.record({ do: fc.constant('release'), peer: peers, which: fc.nat(50) }),
  fc.record({ do: fc.constant('leave'), peer: peers }),
  fc.record({ do: fc.constantFrom('fail', 'finish', 'finish') }),
);

/** A picker among peers, and beside it the plain truth of who was asked for what. */
class Model {
  readonly asked = Array.from({ length: PEERS }, () => new Set<number>());
  readonly sources = new Map<number, Set<number>>();
  readonly arrived = new Set<number>();
  readonly whole: number[] = [];
  readonly suspects = new Set<number>();
  readonly fields: readonly Bitfield[];
  readonly have: Bitfield;
  readonly picker: Picker;
  readonly activeMax = 3;

  constructor(fields: readonly (readonly number[])[], pieces: number, seed: number) {
    const options = { seed, activeMax: this.activeMax, lastBytes: LAST_BYTES, front: seed % 3 };
    const { picker, have } = prepare(pieces, options);
    this.picker = picker;
    this.have = have;
    this.fields = fields.map((field) => fieldOf(pieces, field));
    for (const field of this.fields) picker.counted(field, 1);
  }

  run(step: Step): void {
    if (step.do === 'pick') this.#pick(step.peer, step.blocks);
    else if (step.do === 'again') this.#again(step.peer, step.blocks);
    else if (step.do === 'arrive') this.#arrive(step.peer, step.which);
    else if (step.do === 'release') this.#release(step.peer, step.which);
    else if (step.do === 'leave') {
      for (const key of [...this.asked[step.peer]!]) this.#give(step.peer, key);
      this.picker.abandoned(step.peer);
    } else this.#settle(step.do === 'finish');
    assert.ok(this.picker.activePieces <= this.activeMax, 'too many active pieces');
  }

  /** How many peers are to send this block; one who was asked for a suspect piece before another does not count. */
  holders(key: number): number {
    return this.asked.filter((keys, peer) => keys.has(key) && this.#counts(peer, key)).length;
  }

  #counts(peer: number, key: number): boolean {
    const { piece, block } = split(key);
    const bytes = piece === this.have.length - 1 ? LAST_BYTES : PIECE;
    const begin = block * BLOCK_BYTES;
    return this.picker.misses(peer, { piece, begin, length: Math.min(BLOCK_BYTES, bytes - begin) });
  }

  #pick(peer: number, blocks: number): void {
    const keys = pick(this.picker, peer, this.fields[peer]!, blocks);
    assert.ok(keys.length <= blocks);
    for (const key of keys) {
      const { piece } = split(key);
      assert.ok(this.fields[peer]!.has(piece), 'the peer lacks the piece');
      assert.ok(!this.have.has(piece), 'we have the piece');
      assert.equal(this.holders(key), 0, 'asked of two at once');
      assert.ok(!this.arrived.has(key), 'asked for what has arrived');
      this.asked[peer]!.add(key);
    }
  }

  #again(peer: number, blocks: number): void {
    if (!this.picker.isEndgame) return;
    const mine = this.asked[peer]!;
    const out: Stretch[] = [];
    this.picker.pickAgain(this.fields[peer]!, blocks, (key) => mine.has(key), out);
    for (const key of keysOf(this.picker, out)) {
      assert.ok(!mine.has(key) && this.holders(key) === 1, 'asked of more than two');
      assert.ok(this.fields[peer]!.has(split(key).piece) && !this.arrived.has(key));
      assert.ok(!this.suspects.has(split(key).piece), 'a suspect piece is asked of one');
      mine.add(key);
    }
  }

  #arrive(peer: number, which: number): void {
    const keys = [...this.asked[peer]!];
    const key = keys[which % keys.length];
    if (key === undefined) return;
    const { piece, block } = split(key);
    if (!this.#counts(peer, key)) {
      this.asked[peer]!.delete(key);
      return;
    }
    for (const [other, mine] of this.asked.entries()) {
      const holds = mine.has(key) && this.#counts(other, key);
      if (holds && other !== peer) assert.ok(this.picker.isShared(piece, block));
      mine.delete(key);
    }
    this.arrived.add(key);
    this.sources.set(piece, (this.sources.get(piece) ?? new Set()).add(peer));
    if (this.picker.arrived(peer, piece, block)) this.whole.push(piece);
  }

  #release(peer: number, which: number): void {
    const keys = [...this.asked[peer]!];
    const key = keys[which % keys.length];
    if (key !== undefined) this.#give(peer, key);
  }

  #give(peer: number, key: number): void {
    const { piece, block } = split(key);
    this.asked[peer]!.delete(key);
    this.picker.released(peer, piece, block);
  }

  #settle(good: boolean): void {
    const piece = this.whole.shift();
    if (piece === undefined) return;
    for (let block = 0; block < BLOCKS; block++) this.arrived.delete(piece * BLOCKS + block);
    const sources = this.sources.get(piece)!;
    this.sources.delete(piece);
    if (good) {
      this.have.set(piece);
      this.picker.finished(piece);
      this.suspects.delete(piece);
    } else {
      assert.deepEqual(new Set(this.picker.failed(piece)), sources);
      if (sources.size > 1) this.suspects.add(piece);
    }
  }
}

const someFields = fc.array(fc.uniqueArray(fc.nat(3)), { minLength: PEERS, maxLength: PEERS });

test('whatever peers do, only what is missing and what they have is asked for, once outside the endgame', () => {
  fc.assert(
    fc.property(someFields, fc.array(steps, { maxLength: 120 }), fc.nat(), (fields, todo, seed) => {
      const model = new Model(fields, 4, seed);
      for (const step of todo) model.run(step);
    }),
    { numRuns: 400 },
  );
});

test('whatever peers did before, one that has everything and serves completes the download', () => {
  const all = [0, 1, 2, 3];
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 80 }), fc.nat(), (todo, seed) => {
      const model = new Model([all, all, all, all], 4, seed);
      for (const step of todo) model.run(step);
      for (const peer of [1, 2, 3]) model.run({ do: 'leave', peer });
      for (let round = 0; round < 100 && !model.have.isFull; round++) {
        model.run({ do: 'pick', peer: 0, blocks: 9 });
        for (let block = 0; block < 9; block++) model.run({ do: 'arrive', peer: 0, which: 0 });
        model.run({ do: 'finish' });
      }
      assert.ok(model.have.isFull);
    }),
    { numRuns: 200 },
  );
});

test('every block is asked for once, in whole pieces, as stretches', () => {
  const { picker, full, torrent } = prepare(9, { activeMax: 9, lastBytes: BLOCK_BYTES + 1 });
  const out: Stretch[] = [];
  assert.equal(picker.pick(1, full, 1000, out), 8 * BLOCKS + 2);
  assert.deepEqual(
    out.map(({ piece, begin, length }) => [piece, begin, length === pieceSize(torrent, piece)]).sort(),
    Array.from({ length: 9 }, (_, piece) => [piece, 0, true]),
  );
  assert.ok(picker.isEndgame);
});

test('a peer goes on with the piece that it began, and nobody else joins while there are others', () => {
  const { picker, full } = prepare(8);
  const first = pick(picker, 1, full, 2);
  const second = pick(picker, 2, full, 2);
  assert.notEqual(split(first[0]!).piece, split(second[0]!).piece);
  assert.deepEqual(
    pick(picker, 1, full, 2).map((key) => split(key).piece),
    first.map((key) => split(key).piece),
  );
});

test('released blocks are asked of the next peer, before any new piece', () => {
  const { picker, full } = prepare(8);
  const keys = pick(picker, 1, full, BLOCKS);
  for (const key of keys) picker.released(1, split(key).piece, split(key).block);
  picker.abandoned(1);
  assert.deepEqual(pick(picker, 2, full, BLOCKS), keys);
});

test('after the first few, the rarest piece comes first', () => {
  const { picker, full, have } = prepare(40);
  for (const piece of [0, 1, 2, 3]) have.set(piece);
  picker.counted(full, 1);
  picker.counted(full, 1);
  picker.counted(fieldOf(40, [17]), -1);
  assert.equal(split(pick(picker, 1, full, 1)[0]!).piece, 17);
});

test('the pieces of the in-order window come before rarer ones', () => {
  const { picker, full, have } = prepare(40, { front: 3, activeMax: 40 });
  for (const piece of [0, 1, 2, 3, 5]) {
    picker.pick(9, fieldOf(40, [piece]), BLOCKS, []);
    have.set(piece);
    picker.finished(piece);
  }
  picker.counted(full, 1);
  picker.counted(fieldOf(40, [4, 6]), 1);
  const pieces = pick(picker, 1, full, 2 * BLOCKS).map((key) => split(key).piece);
  assert.deepEqual([...new Set(pieces)].sort(), [4, 6]);
});

test('whoever is asked, a piece beyond the in-order window waits for those within that he has', () => {
  const pieces = 40;
  const some = fc.array(fc.uniqueArray(fc.nat(pieces - 1)), { minLength: PEERS, maxLength: PEERS });
  fc.assert(
    fc.property(some, fc.integer({ min: 1, max: 8 }), fc.nat(), (owned, width, seed) => {
      const { picker, have } = prepare(pieces, { seed, front: width, activeMax: pieces });
      const fields = owned.map((some) => fieldOf(pieces, some));
      for (const field of fields) picker.counted(field, 1);
      const rng = new Rng(seed);
      const open = new Map<number, number>();
      for (let turn = 0; turn < 200; turn++) {
        const peer = rng.below(PEERS);
        const [piece, sender] = [...open][rng.below(4)] ?? [];
        if (piece !== undefined) {
          for (let block = 0; block < BLOCKS; block++) picker.arrived(sender!, piece, block);
          open.delete(piece);
          have.set(piece);
          picker.finished(piece);
        }
        const front = Array.from({ length: pieces }, (_, index) => index).findIndex((at) => !have.has(at));
        const within = Array.from({ length: width }, (_, index) => front + index).filter(
          (at) => at < pieces && fields[peer]!.has(at) && !have.has(at) && !open.has(at),
        );
        const inOrder = have.count >= 4;
        const [key] = pick(picker, peer, fields[peer]!, BLOCKS);
        if (key === undefined) continue;
        open.set(split(key).piece, peer);
        if (inOrder && within.length > 0) assert.ok(within.includes(split(key).piece));
      }
    }),
    { numRuns: 200 },
  );
});

test('the same seed picks the same blocks', () => {
  const run = () => {
    const { picker, full } = prepare(30, { seed: 5 });
    return [pick(picker, 1, full, 7), pick(picker, 2, full, 7), pick(picker, 1, full, 7)];
  };
  assert.deepEqual(run(), run());
});

test('a piece that failed from several senders comes from one alone the next time', () => {
  const { picker, full } = prepare(1);
  const keys = pick(picker, 1, full, BLOCKS);
  picker.released(1, 0, 3);
  pick(picker, 2, full, 1);
  for (const key of keys.slice(0, 3)) picker.arrived(1, 0, split(key).block);
  assert.ok(picker.arrived(2, 0, 3));
  assert.deepEqual(picker.failed(0).sort(), [1, 2]);

  assert.equal(pick(picker, 1, full, 2).length, 2);
  assert.deepEqual(pick(picker, 2, full, BLOCKS), [], 'another peer joined');
  assert.equal(pick(picker, 1, full, BLOCKS).length, 2);
  picker.arrived(1, 0, 0);
  // It gives up: what it sent and what is under way from it counts no more.
  picker.released(1, 0, 1);
  assert.deepEqual(pick(picker, 2, full, BLOCKS), [0, 1, 2, 3]);
  const block = (index: number) => ({ piece: 0, begin: index * BLOCK_BYTES, length: BLOCK_BYTES });
  assert.ok(!picker.misses(1, block(2)), 'a block from the one before');
  picker.released(1, 0, 2);
  picker.released(1, 0, 3);
  assert.deepEqual(pick(picker, 3, full, BLOCKS), [], 'taken away from its only source');
  for (const index of [0, 1, 2, 3]) {
    assert.ok(picker.misses(2, block(index)));
    picker.arrived(2, 0, index);
  }
  assert.deepEqual(picker.failed(0), [2]);
});

test('pieces that nobody has any more leave room for those that somebody has', () => {
  const { picker } = prepare(12, { activeMax: 4 });
  const gone = fieldOf(12, [0, 1, 2, 3]);
  picker.counted(gone, 1);
  const keys = pick(picker, 1, gone, 4 * BLOCKS);
  picker.arrived(1, split(keys[0]!).piece, split(keys[0]!).block);
  for (const key of keys.slice(1)) picker.released(1, split(key).piece, split(key).block);
  picker.abandoned(1);
  picker.counted(gone, -1);
  assert.deepEqual(pick(picker, 3, new Bitfield(12), 1), []);
  assert.deepEqual(picker.takeStranded(), [], 'given up for nothing');
  const other = fieldOf(12, [4, 5]);
  picker.counted(other, 1);
  assert.equal(pick(picker, 2, other, 2 * BLOCKS).length, 2 * BLOCKS);
  assert.equal(picker.activePieces, 4);
  assert.equal(picker.takeStranded().length, 2);
  assert.deepEqual(picker.takeStranded(), []);
});
