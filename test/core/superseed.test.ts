import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bitfield } from '../../agent/core/bitfield.ts';
import { Rng } from '../../agent/core/rng.ts';
import { type Audience, SHOWN_FIRST, SuperSeed } from '../../agent/core/superseed.ts';

const PATIENCE_MS = 1000;
const PIECE_BYTES = 100;

function audience(...slots: number[]): Audience[] {
  return slots.map((slot) => ({ slot, field: new Bitfield(1) }));
}

/** All that is shown at `now`. */
function shown(seed: SuperSeed, peers: Audience[], most: number, now = 0) {
  const pairs: string[] = [];
  for (let next = seed.next(peers, most, now); next !== null; next = seed.next(peers, most, now)) {
    pairs.push(`${next.piece} to ${next.slot}`);
  }
  return pairs;
}

test('pieces go out in the order of the file, each to one peer, to every peer in turn', () => {
  const seed = new SuperSeed(5, PIECE_BYTES, 1);
  assert.deepEqual(shown(seed, audience(7, 8, 9), 4), ['0 to 7', '1 to 8', '2 to 9', '3 to 7']);
});

test('the next one goes to who has taken its own', () => {
  const seed = new SuperSeed(5, PIECE_BYTES, 1);
  shown(seed, audience(7, 8), 2);
  assert.deepEqual(shown(seed, audience(7, 8), 2), []);
  seed.seen(1, 0);
  assert.deepEqual(shown(seed, audience(7, 8), 2), ['2 to 8']);
});

test('what has gone out makes room for the next one, before anybody tells of it, but not for ever', () => {
  const seed = new SuperSeed(40, PIECE_BYTES, 1);
  assert.deepEqual(shown(seed, audience(7), 2), ['0 to 7', '1 to 7']);
  seed.sent(0, PIECE_BYTES - 1, 0);
  assert.deepEqual(shown(seed, audience(7), 2), []);
  seed.sent(0, 1, 0);
  assert.deepEqual(shown(seed, audience(7), 2), ['2 to 7']);
  seed.seen(0, 0);
  seed.sent(0, PIECE_BYTES, 0);
  assert.deepEqual(shown(seed, audience(7), 2), []);
  let count = 3;
  for (let piece = 1; piece < 15; piece++) {
    seed.sent(piece, PIECE_BYTES, 0);
    if (piece < 12) seed.seen(piece, 0);
    count += shown(seed, audience(7), 2).length;
  }
  for (let piece = 15; piece < 40; piece++) {
    seed.sent(piece, PIECE_BYTES, 0);
    count += shown(seed, audience(7), 2).length;
  }
  assert.equal(count - 12, 16, 'on their way');
});

test('few are on their way until they arrive, so that somebody soon has something to pass on', () => {
  const seed = new SuperSeed(100, PIECE_BYTES, 1);
  const peers = audience(1, 2, 3, 4, 5, 6, 7, 8);
  assert.equal(shown(seed, peers, 16).length, SHOWN_FIRST);
  for (let piece = 0; piece < SHOWN_FIRST; piece++) seed.sent(piece, PIECE_BYTES, 0);
  assert.deepEqual(shown(seed, peers, 16), [], 'what has gone out is still on its way');
  let onTheirWay = SHOWN_FIRST;
  for (let piece = 0; piece < 8; piece++) {
    seed.seen(piece, 0);
    onTheirWay += shown(seed, peers, 16).length - 1;
    assert.equal(onTheirWay, SHOWN_FIRST + piece + 1);
  }
});

test('a young swarm waits two seconds at most for one that never tells of a piece, and gives it no more while there are others', () => {
  const seed = new SuperSeed(100, PIECE_BYTES, 1);
  assert.equal(shown(seed, audience(1), 16, 1).length, SHOWN_FIRST);
  for (let piece = 0; piece < SHOWN_FIRST; piece++) seed.sent(piece, PIECE_BYTES, 1);
  assert.deepEqual(shown(seed, audience(1, 2), 16, 2001), []);
  const later = shown(seed, audience(1, 2), 16, 2002);
  assert.deepEqual(later, ['4 to 2', '5 to 2', '6 to 2', '7 to 2']);
});

test('what others have already is not shown, and all is out when somebody has each piece', () => {
  const seed = new SuperSeed(3, PIECE_BYTES, 1);
  seed.seen(1, 0);
  assert.deepEqual(shown(seed, audience(7), 9), ['0 to 7', '2 to 7']);
  assert.ok(!seed.isOut);
  seed.seen(0, 0);
  seed.seen(2, 0);
  assert.ok(seed.isOut);
});

test('a piece is spread once as many have it as shall have it', () => {
  const seed = new SuperSeed(2, PIECE_BYTES, 2);
  for (const piece of [0, 1, 1, 1]) seed.seen(piece, 0);
  assert.ok(seed.isOut);
  assert.ok(!seed.isSpread);
  seed.seen(0, 0);
  assert.ok(seed.isSpread);
});

test('what a peer took away with it, or does not take, is shown to another', () => {
  const seed = new SuperSeed(2, PIECE_BYTES, 1);
  assert.deepEqual(shown(seed, audience(7, 8), 2), ['0 to 7', '1 to 8']);
  seed.gone(7, new Bitfield(2));
  assert.deepEqual(shown(seed, audience(8, 9), 2), ['0 to 9']);
  seed.expire(PATIENCE_MS, PATIENCE_MS);
  assert.deepEqual(shown(seed, audience(8, 9), 2, PATIENCE_MS), ['0 to 8', '1 to 9']);
});

test('what nobody has any more is shown anew', () => {
  const seed = new SuperSeed(2, PIECE_BYTES, 2);
  for (const piece of [0, 0, 1]) seed.seen(piece, 0);
  assert.ok(seed.isOut);
  seed.gone(7, Bitfield.full(2));
  assert.ok(!seed.isOut);
  assert.deepEqual(shown(seed, audience(8), 2), ['1 to 8']);
  seed.seen(1, 0);
  assert.ok(seed.isOut && !seed.isSpread);
  for (const piece of [0, 1]) seed.seen(piece, 0);
  assert.ok(seed.isSpread);
});

test('who lets a piece lie comes last, until it has taken one', () => {
  const seed = new SuperSeed(9, PIECE_BYTES, 1);
  assert.deepEqual(shown(seed, audience(7, 8), 2), ['0 to 7', '1 to 8']);
  seed.seen(1, 0);
  seed.expire(PATIENCE_MS, PATIENCE_MS);
  assert.deepEqual(shown(seed, audience(7, 8), 3, PATIENCE_MS), ['0 to 8', '2 to 8', '3 to 8']);
  assert.deepEqual(shown(seed, audience(7), 4, PATIENCE_MS), ['4 to 7']);
  seed.seen(4, 0);
  assert.deepEqual(shown(seed, audience(7, 8), 4, PATIENCE_MS), ['5 to 7']);
});

test('whatever peers do, every piece is out in the end', () => {
  for (let round = 0; round < 200; round++) {
    const rng = new Rng(round);
    const pieces = 1 + rng.below(20);
    const seed = new SuperSeed(pieces, PIECE_BYTES, 1);
    const under = new Map<number, number>();
    let now = 0;
    for (let turn = 0; turn < 2000 && !seed.isOut; turn++) {
      now += rng.below(100);
      seed.expire(now, PATIENCE_MS);
      const next = seed.next(audience(1, 2, 3), 4, now);
      if (next !== null) under.set(next.piece, next.slot);
      const [taken] = [...under.keys()].sort(() => rng.next() - 0.5);
      if (rng.below(20) === 0) seed.gone(1 + rng.below(3), new Bitfield(pieces));
      if (taken !== undefined && rng.below(2) === 0) {
        seed.seen(taken, 0);
        under.delete(taken);
      }
    }
    assert.ok(seed.isOut, `seed ${round}`);
  }
});

test('a piece weighs on who was shown it until others have it too, so that more goes to who passes on faster', () => {
  const seed = new SuperSeed(6, PIECE_BYTES, 2);
  shown(seed, audience(7, 8), 2);
  for (const piece of [0, 1]) seed.seen(piece, 0);
  seed.seen(1, 0);
  assert.deepEqual(shown(seed, audience(7, 8), 2, 1), ['2 to 8', '3 to 7']);
  seed.seen(2, 0);
  seed.seen(2, 0);
  seed.seen(3, 0);
  assert.deepEqual(shown(seed, audience(7, 8), 1, 2), ['4 to 8']);
});

test('who takes much longer than most to spread a piece gets fewer', () => {
  const seed = new SuperSeed(100, PIECE_BYTES, 1);
  const gets = new Map([
    [7, 0],
    [8, 0],
    [9, 0],
  ]);
  const spreadMs = new Map([
    [7, 10],
    [8, 11],
    [9, 40],
  ]);
  const due: { piece: number; at: number }[] = [];
  for (let now = 1; due.length < 100 || due.some(({ at }) => at >= now); now++) {
    for (const { piece, at } of due) if (at === now) seed.seen(piece, now);
    const next = seed.next(audience(7, 8, 9), 4, now);
    if (next === null) continue;
    seed.sent(next.piece, PIECE_BYTES, now);
    gets.set(next.slot, gets.get(next.slot)! + 1);
    due.push({ piece: next.piece, at: now + spreadMs.get(next.slot)! });
  }
  assert.ok(seed.isOut);
  assert.ok(2 * gets.get(9)! < gets.get(7)!, JSON.stringify([...gets]));
  assert.ok(Math.abs(gets.get(7)! - gets.get(8)!) < 10, JSON.stringify([...gets]));
});

test('the last pieces do not go to who would still spread them when all else has gone out', () => {
  const pieces = 100;
  const seed = new SuperSeed(pieces, PIECE_BYTES, 1);
  const slow = 9;
  const holders: number[] = [];
  const due: { piece: number; at: number }[] = [];
  for (let now = 1; due.length < pieces; now++) {
    for (const { piece, at } of due) if (at === now) seed.seen(piece, now);
    const next = seed.next(audience(7, 8, slow), 4, now);
    if (next === null) continue;
    seed.sent(next.piece, PIECE_BYTES, now);
    holders[next.piece] = next.slot;
    due.push({ piece: next.piece, at: now + (next.slot === slow ? 20 : 10) });
  }
  assert.ok(holders.slice(0, 80).filter((slot) => slot === slow).length > 8, holders.join());
  assert.ok(!holders.slice(-15).includes(slow), holders.join());
});
