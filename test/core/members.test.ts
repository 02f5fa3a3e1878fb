import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../agent/core/limits.ts';
import { Members } from '../../agent/core/members.ts';
import { Peer } from '../../agent/core/peer.ts';
import { Rng } from '../../agent/core/rng.ts';

const id = (number: number) => number.toString(16).padStart(40, '0');
let slots = 0;

function arrival(peerId: string, outgoing: boolean, port = 7000) {
  return {
    type: 'peerConnected',
    slot: slots++,
    peerId,
    outgoing,
    fast: true,
    address: { host: '10.0.0.2', port },
  } as const;
}

/** Weighs a connection and takes the consequences. Says what was refused. */
function admit(members: Members, event: ReturnType<typeof arrival>): string | null {
  const { refusal, instead } = members.weigh(event, 0);
  if (refusal !== null) return refusal;
  if (instead !== null) members.remove(instead, 0);
  members.add(new Peer(event.slot, event, 8, 0));
  return null;
}

/** It says where it listens. */
function introduce(members: Members, slot: number, port: number): boolean {
  const greeting = { uploadOnly: false, requestsMax: 250, exchanges: true, port };
  return members.introduced(members.get(slot)!, { type: 'extended', slot, ...greeting }, 0);
}

test('we do not keep a connection to ourselves, and do not call it again', () => {
  const members = new Members(id(1), LIMITS, new Rng(1));
  const self = arrival(id(1), true);
  members.found([self.address]);
  assert.equal(members.calls(0).length, 1);
  assert.equal(admit(members, self), 'connected to ourselves');
  assert.deepEqual(members.calls(1e9), []);
});

test('of connections both ways between two nodes, both keep the same one, in any order', () => {
  fc.assert(
    fc.property(fc.nat(50), fc.nat(50), fc.boolean(), fc.boolean(), (mine, theirs, first, second) => {
      fc.pre(mine !== theirs);
      const [a, b] = [new Members(id(mine), LIMITS, new Rng(1)), new Members(id(theirs), LIMITS, new Rng(2))];
      // Link 1 was opened by a, link 2 by b.
      const atA = [arrival(id(theirs), true), arrival(id(theirs), false)];
      const atB = [arrival(id(mine), false), arrival(id(mine), true)];
      for (const event of first ? atA : atA.toReversed()) admit(a, event);
      for (const event of second ? atB : atB.toReversed()) admit(b, event);
      const kept = (members: Members) => [...members.all()].map((peer) => peer.outgoing);
      assert.deepEqual(kept(a), [mine > theirs]);
      assert.deepEqual(kept(b), [theirs > mine]);
    }),
  );
});

test('a second connection the same way is refused', () => {
  const members = new Members(id(1), LIMITS, new Rng(1));
  assert.equal(admit(members, arrival(id(2), true)), null);
  assert.equal(admit(members, arrival(id(2), true, 7001)), 'connected already');
});

test('who calls again from the same machine takes the place of its own connection that has long been silent', () => {
  const members = new Members(id(1), LIMITS, new Rng(1));
  const first = arrival(id(2), false, 0);
  assert.equal(admit(members, first), null);
  const again = arrival(id(2), false, 0);
  assert.equal(members.weigh(again, LIMITS.stallMs).refusal, 'connected already');
  const elsewhere = { ...again, address: { host: '10.0.0.9', port: 0 } };
  assert.equal(members.weigh(elsewhere, LIMITS.stallMs + 1).refusal, 'connected already');
  const instead = members.get(first.slot)!;
  assert.deepEqual(members.weigh(again, LIMITS.stallMs + 1), { refusal: null, instead });
});

test('a banned peer comes back neither by its name nor by its address', () => {
  const members = new Members(id(1), LIMITS, new Rng(1));
  const bad = arrival(id(2), true);
  assert.equal(admit(members, bad), null);
  const peer = members.get(bad.slot)!;
  members.ban(peer);
  members.remove(peer, 0);
  assert.equal(admit(members, arrival(id(2), false, 0)), 'banned before');
  assert.equal(admit(members, arrival(id(3), true)), 'banned before');
  assert.deepEqual(members.calls(1e9), []);
  const caller = arrival(id(4), false, 0);
  assert.equal(admit(members, caller), null);
  assert.ok(!introduce(members, caller.slot, bad.address.port));
});

test('a caller that tells its port is not called by us', () => {
  const members = new Members(id(1), LIMITS, new Rng(1));
  const caller = arrival(id(2), false, 0);
  admit(members, caller);
  assert.ok(introduce(members, caller.slot, 7000));
  members.found([{ host: '10.0.0.2', port: 7000 }]);
  assert.deepEqual(members.calls(0), []);
});

test('there is an end to how many are let in and how many are called', () => {
  const members = new Members(id(1), { ...LIMITS, peersMax: 3, peersWanted: 2, dialingMax: 1 }, new Rng(1));
  members.found([1, 2, 3].map((port) => ({ host: '10.0.0.3', port })));
  assert.equal(members.calls(0).length, 1);
  assert.deepEqual(members.calls(0), []);
  for (const peer of [2, 3, 4]) assert.equal(admit(members, arrival(id(peer), false, 0)), null);
  assert.equal(admit(members, arrival(id(5), false, 0)), 'connected to enough peers');
  assert.equal(members.deadline(), Number.POSITIVE_INFINITY);
});

test('few are called at once, and more when they are slow to answer', () => {
  const limits = { ...LIMITS, dialingFirst: 2, dialingMs: 250, dialingMax: 4 };
  const members = new Members(id(1), limits, new Rng(1));
  members.found(Array.from({ length: 20 }, (_, port) => ({ host: '10.0.0.3', port: port + 1 })));
  const [first, second] = members.calls(0);
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual([members.calls(0).length, members.calls(249).length, members.deadline()], [0, 0, 250]);
  members.dialFailed(first, 249);
  assert.equal(members.deadline(), Number.NEGATIVE_INFINITY);
  assert.equal(members.calls(249).length, 1);
  assert.deepEqual(
    [members.calls(498).length, members.calls(499).length, members.calls(749).length],
    [0, 1, 1],
  );
  assert.equal(members.calls(10_000).length, 0, 'four are under way');
  assert.equal(members.deadline(), Number.POSITIVE_INFINITY);
});

test('a peer that found us full is called again later, for there may be room then', () => {
  const members = new Members(id(1), { ...LIMITS, peersMax: 1, peersWanted: 1 }, new Rng(1));
  const [late, early] = [arrival(id(2), true, 7002), arrival(id(3), false, 0)];
  members.found([late.address]);
  assert.equal(members.calls(0).length, 1);
  admit(members, early);
  assert.equal(admit(members, late), 'connected to enough peers');
  members.remove(members.get(early.slot)!, 0);
  assert.equal(members.calls(100_000).length, 1);
});
