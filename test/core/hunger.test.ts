import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Hunger } from '../../agent/core/hunger.ts';
import { Rng } from '../../agent/core/rng.ts';
import { peerOf } from './peers.ts';

function giversOf(count: number) {
  return Array.from({ length: count }, (_, slot) => {
    const peer = peerOf(slot, 1);
    peer.wanted = true;
    peer.chokesUs = false;
    return peer;
  });
}

test('who gives is asked once for each time that it was fed, and who does not give is not', () => {
  const hunger = new Hunger(new Rng(1));
  const peers = giversOf(3);
  peers[1]!.chokesUs = true;
  hunger.feedAll(peers);
  const { asked, givers } = hunger.take();
  assert.deepEqual(new Set(asked), new Set([peers[0], peers[2]]));
  assert.equal(givers, 2);
  assert.deepEqual(hunger.take().asked, []);
});

test('a dry peer is not asked after its blocks, but is once it may have more', () => {
  const hunger = new Hunger(new Rng(1));
  const peers = giversOf(1);
  peers[0]!.dry = true;
  hunger.served(peers[0]!);
  assert.deepEqual(hunger.take().asked, []);
  hunger.feed(peers[0]!);
  assert.deepEqual(hunger.take().asked, peers);
  assert.equal(peers[0]!.dry, false);
});

test('a peer that has stopped giving is not asked', () => {
  const hunger = new Hunger(new Rng(1));
  const peers = giversOf(2);
  hunger.feedAll(peers);
  hunger.stopped(peers[0]!);
  assert.deepEqual(hunger.take(), { asked: [peers[1]], givers: 1 });
});

test('nobody is always asked first', () => {
  const hunger = new Hunger(new Rng(1));
  const peers = giversOf(4);
  const first = new Set<unknown>();
  for (let turn = 0; turn < 100; turn++) {
    hunger.feedAll(peers);
    first.add(hunger.take().asked[0]);
  }
  assert.equal(first.size, peers.length);
});
