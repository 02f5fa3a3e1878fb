import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bitfield } from '../../agent/core/bitfield.ts';
import type { SwarmCommand } from '../../agent/core/events.ts';
import { LIMITS } from '../../agent/core/limits.ts';
import { Rng } from '../../agent/core/rng.ts';
import { Showing } from '../../agent/core/showing.ts';
import { SHOWN_FIRST } from '../../agent/core/superseed.ts';
import { KIB } from '../../agent/core/units.ts';
import { peerOf } from './peers.ts';

const PIECES = 24;

function haves(commands: SwarmCommand[]): string[] {
  return commands.flatMap((command) =>
    command.type === 'have' ? [`${command.piece} to ${command.slot}`] : [],
  );
}

function crowd(...slots: number[]) {
  return slots.map((slot) => {
    const peer = peerOf(slot, PIECES);
    peer.unchoked = true;
    return peer;
  });
}

test('the sender of a piece hears of it at once, the others together a little later, and who has it not at all', () => {
  const have = new Bitfield(PIECES);
  const showing = new Showing(have, 64 * KIB, LIMITS, new Rng(1));
  const peers = crowd(1, 2, 3);
  const commands: SwarmCommand[] = [];
  showing.gained(0, [1], 0, commands);
  assert.deepEqual(haves(commands.splice(0)), ['0 to 1']);
  showing.tell(peers, 0, 10, commands);
  assert.deepEqual(haves(commands.splice(0)), ['0 to 2', '0 to 3']);
  peers[2]!.field.set(4);
  showing.gained(4, [2], 0, commands);
  showing.gained(5, [2], 0, commands);
  commands.length = 0;
  assert.ok(showing.deadline() >= 10 + LIMITS.haveMs / 2, `due at ${showing.deadline()}`);
  showing.tell(peers, 0, 9 + LIMITS.haveMs / 2, commands);
  assert.deepEqual(haves(commands), []);
  showing.tell(peers, 0, 10 + 1.5 * LIMITS.haveMs, commands);
  assert.deepEqual(haves(commands), ['4 to 1', '5 to 1', '5 to 3']);
  assert.equal(showing.deadline(), Number.POSITIVE_INFINITY);
});

test('who only gives hears of as many pieces together as others, however slowly they come', () => {
  const showing = new Showing(new Bitfield(PIECES), 64 * KIB, LIMITS, new Rng(1));
  const [asker, giver] = crowd(1, 2);
  giver!.uploadOnly = true;
  const pieceMs = 1000;
  const toldMs = new Map<number, number[]>();
  for (let now = 0; now < PIECES * pieceMs; now += 100) {
    const commands: SwarmCommand[] = [];
    if (now % pieceMs === 0) showing.gained(now / pieceMs, [], (1000 * 64 * KIB) / pieceMs, commands);
    if (now >= showing.deadline()) showing.tell([asker!, giver!], 0, now, commands);
    for (const { slot } of commands.filter(({ type }) => type === 'have') as { slot: number }[]) {
      const times = toldMs.get(slot) ?? toldMs.set(slot, []).get(slot)!;
      if (times.at(-1) !== now) times.push(now);
    }
  }
  const [often, seldom] = [1, 2].map((slot) => toldMs.get(slot)!.length);
  assert.ok(often! > 3 * seldom!, `${often} and ${seldom} times`);
});

test('a peer that wants none of many pieces is told of them as one that only gives, and misses none when that changes', () => {
  const pieces = 400;
  const have = new Bitfield(pieces);
  const showing = new Showing(have, 64 * KIB, LIMITS, new Rng(1));
  const [first, other] = [1, 2].map((slot) => peerOf(slot, pieces));
  other!.interested = true;
  const pieceMs = 100;
  const told = new Map([1, 2].map((slot) => [slot, { words: 0, pieces: new Set<number>() }]));
  for (let piece = 0; piece < pieces; piece++) {
    const now = piece * pieceMs;
    const commands: SwarmCommand[] = [];
    have.set(piece);
    // In the middle it begins to want some, and stops again.
    first!.interested = piece > 200 && piece < 250;
    showing.gained(piece, [], (1000 * 64 * KIB) / pieceMs, commands);
    showing.tell([first!, other!], 0, now, commands);
    for (const [slot, heard] of told) {
      const news = commands.filter((command) => command.type === 'have' && command.slot === slot);
      if (news.length > 0) heard.words++;
      for (const command of news) if (command.type === 'have') heard.pieces.add(command.piece);
    }
  }
  const [seldom, often] = [told.get(1)!, told.get(2)!];
  assert.ok(often.words > 1.3 * seldom.words, `${often.words} and ${seldom.words} times`);
  const untold = (heard: Set<number>) => have.length - heard.size;
  assert.ok(untold(seldom.pieces) <= 2 * LIMITS.haves, `${untold(seldom.pieces)} untold`);
  const last = Math.max(...seldom.pieces);
  for (let piece = 0; piece <= last; piece++) assert.ok(seldom.pieces.has(piece), `piece ${piece}`);
});

test('with its last piece a node tells everybody what they have not heard, and that it only uploads from now on; once', () => {
  const have = new Bitfield(2);
  const showing = new Showing(have, 64 * KIB, LIMITS, new Rng(1));
  const [waiting, holder] = [1, 2].map((slot) => peerOf(slot, 2));
  holder!.field = Bitfield.full(2);
  const commands: SwarmCommand[] = [];
  for (const piece of [0, 1]) {
    have.set(piece);
    showing.gained(piece, [], 0, commands);
    commands.length = 0;
    showing.tell([waiting!, holder!], 0, piece, commands);
  }
  assert.deepEqual(commands.splice(0), [
    { type: 'have', slot: 1, piece: 1 },
    { type: 'uploadOnly', slot: 1 },
    { type: 'uploadOnly', slot: 2 },
  ]);
  showing.tell([waiting!, holder!], 0, 60_000, commands);
  assert.deepEqual(commands, []);
});

test('a node that is whole from the start shows nothing at first, each piece once, and everything once all is spread', () => {
  const { showing, peers } = firstSeeder(LIMITS.shownSpread);
  const commands: SwarmCommand[] = [];
  showing.greet(peers[0]!, commands);
  assert.deepEqual(commands.splice(0), [{ type: 'sendField', slot: 1, none: true }]);
  showing.tell(peers, 0, 0, commands);
  const first = haves(commands.splice(0));
  assert.equal(first.length, SHOWN_FIRST);
  assert.deepEqual(first.slice(0, 4), ['0 to 1', '1 to 2', '2 to 3', '3 to 1']);
  for (const peer of peers) {
    assert.ok(showing.isSuperSeeding);
    for (let piece = 0; piece < PIECES; piece++) {
      // The last piece is still missing somewhere.
      if (peer !== peers[0] || piece < PIECES - 1) peer.field.set(piece);
      showing.seen(piece, 0);
    }
    showing.tell(peers, 0, 1, commands);
  }
  assert.ok(!showing.isSuperSeeding);
  assert.deepEqual(haves(commands.splice(0)), [`${PIECES - 1} to 1`]);
  showing.greet(peers[0]!, commands);
  assert.deepEqual(commands, [{ type: 'sendField', slot: 1, none: false }]);
});

test('a first seeder does not wait for ever until what is out has spread', () => {
  const { showing, peers } = firstSeeder(1);
  const commands: SwarmCommand[] = [];
  for (let piece = 0; piece < PIECES; piece++) showing.seen(piece, 0);
  showing.tell(peers, 0, 0, commands);
  assert.ok(showing.isSuperSeeding);
  assert.equal(showing.deadline(), LIMITS.shownPatienceMs);
  showing.tell(peers, 0, showing.deadline(), commands);
  assert.ok(!showing.isSuperSeeding);
  assert.equal(haves(commands).length, PIECES);
  assert.equal(showing.deadline(), Number.POSITIVE_INFINITY);
});

function firstSeeder(crowded: number) {
  const slots = Array.from({ length: crowded }, (_, index) => index + 1);
  return {
    showing: new Showing(Bitfield.full(PIECES), 64 * KIB, LIMITS, new Rng(1)),
    peers: crowd(...slots),
  };
}
