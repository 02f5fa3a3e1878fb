import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Bitfield } from '../../agent/core/bitfield.ts';
import { Download } from '../../agent/core/download.ts';
import type { Stretch, SwarmCommand } from '../../agent/core/events.ts';
import { LIMITS } from '../../agent/core/limits.ts';
import { Members } from '../../agent/core/members.ts';
import { Picker } from '../../agent/core/picker.ts';
import { Rng } from '../../agent/core/rng.ts';
import { BLOCK_BYTES } from '../../agent/core/units.ts';
import { WebSeeding } from '../../agent/core/webseed.ts';
import { blankTorrent } from '../../scripts/sim/world.ts';
import { peerOf } from './peers.ts';

const URL = 'http://10.9.0.1:8080/tarballs/image';
const PIECE = 2 * BLOCK_BYTES;
const PIECES = 64;
const WEB = 99;
/** Nobody waits longer than that, whatever was drawn. */
const STARVED = 1.25 * LIMITS.starvedMs;

type Request = Extract<SwarmCommand, { type: 'request' }>;

/** A swarm's parts around a web seed; `fill` carries out what must be at once, and gives the rest. */
function prepare(seed = 1) {
  const torrent = blankTorrent(PIECES * PIECE, PIECE);
  const have = new Bitfield(PIECES);
  const rng = new Rng(seed);
  const limits = { ...LIMITS, webRequestBytes: 4 * PIECE };
  const picker = new Picker(torrent, have, rng, PIECES, 0);
  const download = new Download(torrent, picker, limits);
  const members = new Members('00'.repeat(20), limits, rng);
  const web = new WebSeeding({ torrent, have, picker, download, members, limits, rng });
  const fill = (now: number): SwarmCommand[] => {
    const commands: SwarmCommand[] = [];
    web.fill(now, commands);
    if (commands.some(({ type }) => type === 'openWebSeed')) {
      web.opened(WEB, now);
      web.fill(now, commands);
    }
    return commands;
  };
  const requests = (now: number) =>
    fill(now).filter((command): command is Request => command.type === 'request');
  /** A whole piece comes, is good and is written. */
  const arrive = (piece: number, slot: number, now: number) => {
    const giver = web.get(slot) ?? members.get(slot)!;
    for (let block = 0; block < PIECE / BLOCK_BYTES; block++) {
      web.gave(giver, now);
      const stretch: Stretch = { piece, begin: block * BLOCK_BYTES, length: BLOCK_BYTES };
      download.arrived(giver, stretch, members.all(), now, []);
    }
    have.set(piece);
    picker.finished(piece);
  };
  const meet = (slot: number, field: Bitfield) => {
    const peer = peerOf(slot, PIECES);
    peer.field = field;
    picker.counted(field, 1);
    members.add(peer);
    return peer;
  };
  /** So many of the blocks that were asked for will not come, the last ones first, for the server is busy; null: for it failed. */
  const refuse = (blocks: number, busyMs: number | null, now: number) => {
    const seed = web.get(WEB)!;
    for (const key of [...seed.asked].slice(-blocks)) {
      const [piece, block] = [Math.floor(key / 2), key % 2];
      download.rejected(seed, { piece, begin: block * BLOCK_BYTES, length: BLOCK_BYTES });
    }
    const commands: SwarmCommand[] = [];
    web.failed(WEB, busyMs, now, commands);
    return commands;
  };
  return { web, have, picker, members, fill, requests, arrive, meet, refuse };
}

test('nothing is asked of a web seed before the swarm has given nothing for some time, and then at once', () => {
  const { web, requests } = prepare();
  web.found([URL], 0);
  deepEqual(requests(0.75 * LIMITS.starvedMs - 1), []);
  const due = web.deadline(0);
  ok(due >= 0.75 * LIMITS.starvedMs && due <= STARVED);
  ok(requests(due).length > 0);
  equal(web.sight.reason, 'no peer is connected');
});

test('a block of a peer is enough to wait again; blocks that never make a piece are not, for ever', () => {
  const { web, requests, meet } = prepare();
  const peer = meet(1, new Bitfield(PIECES));
  web.found([URL], 0);
  let now = 0;
  for (; now < 0.75 * LIMITS.starvedOfPiecesMs; now += 5000) {
    web.gave(peer, now);
    deepEqual(requests(now), []);
  }
  for (; web.sight.reason === null; now += 5000) {
    web.gave(peer, now);
    requests(now);
  }
  ok(now <= 1.25 * LIMITS.starvedOfPiecesMs + 10_000);
  match(web.sight.reason ?? '', /^1 peers are connected, and none has given a good piece for \d+ s$/);
});

test('a slow link on which large pieces come, many at once, is left to its peers', () => {
  const { web, requests, meet } = prepare();
  const peer = meet(1, new Bitfield(PIECES));
  web.found([URL], 0);
  for (let now = 0; now < 4 * LIMITS.starvedOfPiecesMs; now += 500) {
    web.gave(peer, now);
    deepEqual(requests(now), []);
  }
});

test('whoever is alone asks from the front on, for whole pieces, and for no more than two requests hold', () => {
  const { web, requests, arrive } = prepare();
  web.found([URL], 0);
  const asked = requests(STARVED).map(({ piece }) => piece);
  deepEqual(asked, [0, 1, 2, 3, 4, 5, 6, 7]);
  deepEqual(requests(STARVED), []);
  for (const piece of asked.slice(0, 4)) arrive(piece, WEB, STARVED);
  deepEqual(
    requests(STARVED).map(({ piece }) => piece),
    [8, 9, 10, 11],
  );
});

test('what a peer has is left to it as long as peers give anything', () => {
  const { web, requests, arrive, meet } = prepare();
  const field = new Bitfield(PIECES);
  for (let piece = 0; piece < PIECES; piece += 2) field.set(piece);
  const peer = meet(1, field);
  peer.interested = true;
  web.found([URL], 0);
  const got: number[] = [];
  for (let now = STARVED; got.length < PIECES / 2; now += 100) {
    for (const { piece } of requests(now)) {
      got.push(piece);
      arrive(piece, WEB, now);
    }
    web.gave(peer, now);
    if (web.sight.reason === null) break;
  }
  ok(got.length > 0 && got.every((piece) => piece % 2 === 1));
  equal(web.sight.bytes, got.length * PIECE);
});

test('when peers have all that is missing and give it, the web seed is left alone', () => {
  const { web, requests, arrive, meet } = prepare();
  web.found([URL], 0);
  for (const { piece } of requests(STARVED)) arrive(piece, WEB, STARVED);
  const peer = meet(1, Bitfield.full(PIECES));
  web.gave(peer, STARVED + 1000);
  deepEqual(requests(STARVED + 1000), []);
  equal(web.sight.reason, null);
});

test('a first seeder that shows next to nothing is known by what it does not want', () => {
  const { web, requests, arrive, meet } = prepare();
  web.found([URL], 0);
  for (const { piece } of requests(STARVED)) arrive(piece, WEB, STARVED);
  const peer = meet(1, new Bitfield(PIECES));
  let now = STARVED;
  while (web.sight.reason !== null && now < STARVED + 5000) {
    web.gave(peer, now);
    requests(now);
    now += 100;
  }
  equal(web.sight.reason, null);
});

test('a server without a place is asked again after what it says, and later each time; one that fails makes room for the next', () => {
  const { web, fill, refuse, requests } = prepare();
  web.found([URL, `${URL}2`], 0);
  let now = STARVED;
  let wait = 0;
  for (let time = 0; time < 5; time++) {
    ok(requests(now).length > 0);
    // Two requests, answered alike.
    refuse(8, 2000, now);
    refuse(8, 2000, now);
    deepEqual(requests(now), []);
    const due = web.deadline(now);
    ok(due >= now + 2000 && due <= now + Math.max(2000, 1000 * 2 ** time) * 1.5);
    wait = due - now;
    now = due;
  }
  ok(wait >= 16_000);
  requests(now);
  equal(refuse(8, null, now)[0]?.type, 'drop');
  now = web.deadline(now);
  const opened = fill(now).find((command) => command.type === 'openWebSeed');
  equal(opened?.url, `${URL}2`);
});

test('a server that has a place for one of two requests is asked for one at a time, without a pause', () => {
  const { requests, refuse, arrive, web } = prepare();
  web.found([URL], 0);
  const asked = requests(STARVED).map(({ piece }) => piece);
  equal(asked.length, 8);
  refuse(8, 2000, STARVED);
  deepEqual(requests(STARVED), []);
  for (const piece of asked.slice(0, 4)) arrive(piece, WEB, STARVED + 10);
  equal(requests(STARVED + 10).length, 4);
  deepEqual(requests(STARVED + 10), []);
  equal(requests(STARVED + 10 + 4000).length, 4);
});

test('whoever sent a bad piece is never asked again, also when it was closed meanwhile', () => {
  const { web, fill, requests } = prepare();
  web.found([URL], 0);
  requests(STARVED);
  web.failed(WEB, null, STARVED, []);
  ok(web.bans(WEB, 3, []));
  ok(!web.bans(1, 3, []));
  deepEqual(fill(STARVED + 3_600_000), []);
  equal(web.deadline(STARVED), Number.POSITIVE_INFINITY);
});

test('whatever happens: each piece is asked for once at a time, and all of them come in the end', () => {
  fc.assert(
    fc.property(fc.nat(), fc.array(fc.nat(5), { maxLength: 80 }), (seed, happenings) => {
      const { web, have, fill, arrive, meet } = prepare(seed);
      if (seed % 2 === 0) meet(1, new Bitfield(PIECES)).interested = true;
      web.found([URL, `${URL}2`], 0);
      const open = new Set<number>();
      let now = STARVED;
      const take = () => {
        for (const command of fill(now)) {
          if (command.type === 'drop') open.clear();
          if (command.type !== 'request') continue;
          ok(!have.has(command.piece) && !open.has(command.piece));
          equal(command.length, PIECE);
          open.add(command.piece);
        }
      };
      const step = (happening: number) => {
        now += 100;
        take();
        const [piece] = open;
        if (happening === 0 && web.get(WEB) !== undefined) {
          open.clear();
          web.failed(WEB, null, now, []);
        } else if (piece !== undefined) {
          arrive(piece, WEB, now);
          open.delete(piece);
        }
      };
      for (const happening of happenings) step(happening);
      for (let left = 0; left < 3000 && !have.isFull; left++) step(1);
      ok(have.isFull);
    }),
    { seed: 11, numRuns: 60 },
  );
});
