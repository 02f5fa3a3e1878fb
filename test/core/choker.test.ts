import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ChokeCandidate, chooseUnchoked } from '../../agent/core/choker.ts';

const RULES = { slots: 4, turnMs: 4000 };

function candidate(slot: number, more: Partial<ChokeCandidate> = {}): ChokeCandidate {
  return {
    slot,
    interested: true,
    snubbed: false,
    downBytesPerSec: 0,
    unchoked: false,
    unchokedAt: Number.NEGATIVE_INFINITY,
    turns: 0,
    ...more,
  };
}

const choose = (peers: readonly ChokeCandidate[], seeding: boolean, now = 10_000) =>
  [...chooseUnchoked(peers, seeding, RULES, now)].sort((a, b) => a - b);

test('never more than the places there are, never one that is not interested, and no place stays empty', () => {
  const some = fc.record({
    interested: fc.boolean(),
    snubbed: fc.boolean(),
    downBytesPerSec: fc.nat(1000),
    unchoked: fc.boolean(),
    unchokedAt: fc.nat(20_000),
  });
  fc.assert(
    fc.property(fc.array(some, { maxLength: 20 }), fc.boolean(), (list, seeding) => {
      const peers = list.map((peer, slot) => candidate(slot, peer));
      const eligible = peers.filter((peer) => peer.interested && (seeding || !peer.snubbed));
      const chosen = choose(peers, seeding, 20_000);
      assert.equal(chosen.length, Math.min(RULES.slots, eligible.length));
      for (const slot of chosen) assert.ok(eligible.some((peer) => peer.slot === slot));
    }),
  );
});

test('a leecher gives its places to those that give it most, and the last to whoever has waited longest', () => {
  const givers = [10, 50, 20, 40, 30].map((rate, slot) =>
    candidate(slot, { downBytesPerSec: rate, unchokedAt: 9000 }),
  );
  const waiting = [candidate(7, { unchokedAt: 300 }), candidate(8, { unchokedAt: 100 })];
  assert.deepEqual(choose([...givers, ...waiting], false), [1, 3, 4, 8]);
});

test('a leecher gives nothing to a peer that owes it blocks', () => {
  assert.deepEqual(choose([candidate(1, { snubbed: true, downBytesPerSec: 9 }), candidate(2)], false), [2]);
});

test('the optimistic place is kept for a whole turn, then goes to the next', () => {
  const kept = candidate(1, { unchoked: true, unchokedAt: 5000 });
  const others = [2, 3, 4, 5, 6].map((slot) => candidate(slot));
  const rules = { slots: 1, turnMs: 4000 };
  assert.deepEqual([...chooseUnchoked([kept, ...others], false, rules, 8999)], [1]);
  assert.deepEqual([...chooseUnchoked([kept, ...others], false, rules, 9000)], [2]);
});

test('a seeder goes round: no peer falls far behind, however fast others take', () => {
  let peers = Array.from({ length: 10 }, (_, slot) => candidate(slot, { downBytesPerSec: slot }));
  const turns = new Map<number, number>();
  for (let round = 0; round < 100; round++) {
    const now = round * RULES.turnMs;
    const chosen = chooseUnchoked(peers, true, RULES, now);
    peers = peers.map((peer) => ({
      ...peer,
      unchoked: chosen.has(peer.slot),
      unchokedAt: chosen.has(peer.slot) ? now : peer.unchokedAt,
      turns: peer.turns + Number(chosen.has(peer.slot)),
    }));
    for (const slot of chosen) turns.set(slot, (turns.get(slot) ?? 0) + 1);
    if (round === 2) assert.equal(turns.size, 10, 'all had a turn before the first had three');
  }
  for (const count of turns.values()) assert.ok(Math.abs(count - 40) <= 2, `${[...turns.values()]}`);
});
