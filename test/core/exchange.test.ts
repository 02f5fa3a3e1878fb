import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BOUNDS } from '../../agent/core/bounds.ts';
import type { SwarmCommand } from '../../agent/core/events.ts';
import { Exchange } from '../../agent/core/exchange.ts';
import { LIMITS } from '../../agent/core/limits.ts';
import { Peer } from '../../agent/core/peer.ts';
import { Rng } from '../../agent/core/rng.ts';
import type { PeerAddress } from '../../agent/core/tracker.ts';

type Message = Extract<SwarmCommand, { type: 'exchange' }>;

function peerAt(slot: number, host = `10.0.0.${slot}`, port = 7000): Peer {
  const identity = { peerId: `${slot}`, address: { host, port }, outgoing: slot % 2 === 0, fast: true };
  return new Peer(slot, identity, 4, 0);
}

/** Peers 1 to `count`, all of whom take part. */
function swarmOf(count: number) {
  const exchange = new Exchange(LIMITS, new Rng(1));
  const peers = Array.from({ length: count }, (_, at) => peerAt(at + 1));
  for (const peer of peers) exchange.met(peer, true, 0);
  const say = (now: number, members: readonly Peer[] = peers): Message[] => {
    const commands: SwarmCommand[] = [];
    exchange.tell(members, now, commands);
    return commands.flatMap((command) => (command.type === 'exchange' ? [command] : []));
  };
  return { exchange, peers, say };
}

const hosts = (list: readonly PeerAddress[]) => list.map(({ host }) => host).sort();

test('each is told of all others, soon after they have met, and not of itself', () => {
  const { say, exchange } = swarmOf(3);
  assert.equal(exchange.deadline(), LIMITS.exchangeFirstMs);
  assert.deepEqual(say(LIMITS.exchangeFirstMs - 1), []);
  const messages = say(LIMITS.exchangeFirstMs);
  assert.deepEqual(
    messages.map(({ slot, added }) => [slot, hosts(added)]),
    [
      [1, ['10.0.0.2', '10.0.0.3']],
      [2, ['10.0.0.1', '10.0.0.3']],
      [3, ['10.0.0.1', '10.0.0.2']],
    ],
  );
});

test('later only what has changed is told, once a minute; who is gone is told of as gone', () => {
  const { say, peers } = swarmOf(3);
  say(LIMITS.exchangeFirstMs);
  const minute = LIMITS.exchangeFirstMs + LIMITS.exchangeMs;
  const now = [peers[0]!, peers[1]!, peerAt(4)];
  assert.deepEqual(say(minute - 1, now), []);
  const [first] = say(minute, now);
  assert.deepEqual(hosts(first!.added), ['10.0.0.4']);
  assert.deepEqual(hosts(first!.dropped), ['10.0.0.3']);
  assert.deepEqual(say(minute + LIMITS.exchangeMs, now), []);
});

test('who could not be told anything is told as soon as there is somebody', () => {
  const { say, peers } = swarmOf(1);
  assert.deepEqual(say(LIMITS.exchangeFirstMs), []);
  const [message] = say(LIMITS.exchangeFirstMs + LIMITS.exchangeLookMs, [...peers, peerAt(2)]);
  assert.deepEqual(hosts(message!.added), ['10.0.0.2']);
});

test('who has everything, takes no part, or listens nowhere that we know, hears nothing or is not told of', () => {
  const { exchange, peers, say } = swarmOf(4);
  peers[0]!.uploadOnly = true;
  exchange.met(peers[1]!, false, 0);
  peers[2]!.address = { host: '10.0.0.3', port: 0 };
  const messages = say(LIMITS.exchangeFirstMs);
  assert.deepEqual(
    messages.map(({ slot, added }) => [slot, hosts(added)]),
    [
      [3, ['10.0.0.1', '10.0.0.2', '10.0.0.4']],
      [4, ['10.0.0.1', '10.0.0.2']],
    ],
  );
  const [, told] = messages;
  assert.deepEqual(
    told!.added.map(({ gives, reachable }) => [gives, reachable]),
    [
      [true, false],
      [false, true],
    ],
  );
});

test('a message names at most fifty, and the next ones name the rest', () => {
  const { say, peers } = swarmOf(1);
  const crowd = [...peers, ...Array.from({ length: 120 }, (_, at) => peerAt(at + 2))];
  const seen = new Set<string>();
  for (const [round, count] of [50, 50, 20].entries()) {
    const [message] = say(LIMITS.exchangeFirstMs + round * LIMITS.exchangeMs, crowd);
    assert.equal(message!.added.length, count);
    for (const { host } of message!.added) seen.add(host);
  }
  assert.equal(seen.size, 120);
});

test('addresses are believed but for its own, loopback, and those of no machine', () => {
  const { exchange, peers } = swarmOf(1);
  const heard = exchange.heard(
    peers[0]!,
    [
      '10.0.0.1',
      '127.0.0.1',
      '::1',
      '0.1.2.3',
      '224.0.0.1',
      '255.255.255.255',
      'fe80::1',
      'ff02::1',
      '10.0.0.2',
    ].map((host) => ({ host, port: 7000 })),
    0,
  );
  assert.deepEqual(hosts(heard), ['10.0.0.2']);
});

test('a peer on this machine may tell of others on it', () => {
  const exchange = new Exchange(LIMITS, new Rng(1));
  const peer = peerAt(1, '127.0.0.1', 7000);
  exchange.met(peer, true, 0);
  assert.equal(exchange.heard(peer, [{ host: '127.0.0.1', port: 7001 }], 0).length, 1);
});

test('who tells more often than it may is not listened to, and neither is who takes no part', () => {
  const { exchange, peers } = swarmOf(1);
  const tell = (port: number, now: number) =>
    exchange.heard(peers[0]!, [{ host: '10.9.9.9', port }], now).length;
  assert.equal(tell(1, 0), 1);
  assert.equal(tell(2, 1000), 0);
  assert.equal(tell(2, LIMITS.exchangeMs), 1);
  assert.equal(exchange.heard(peerAt(9), [{ host: '10.9.9.9', port: 3 }], LIMITS.exchangeMs).length, 0);
});

test('neither one machine nor all of them fill the list of addresses, however often they come again', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 }), (machines, rounds) => {
      const exchange = new Exchange(LIMITS, new Rng(1));
      const kept = new Set<string>();
      let next = 0;
      for (let round = 0; round < rounds; round++) {
        for (let machine = 1; machine <= machines; machine++) {
          // A new connection each time, from a new port.
          const peer = peerAt(machine, `10.0.0.${machine}`, 7000 + round);
          exchange.met(peer, true, 0);
          const lies = Array.from({ length: 100 }, () => ({ host: '10.9.9.9', port: 1 + next++ }));
          for (const { port } of exchange.heard(peer, lies, 0)) kept.add(`${machine} ${port}`);
          exchange.gone(peer);
        }
      }
      assert.ok(kept.size <= Math.min(machines * BOUNDS.exchangedByOne, BOUNDS.exchangedByAll));
    }),
  );
});
