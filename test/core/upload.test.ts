import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Bitfield } from '../../agent/core/bitfield.ts';
import { Budget } from '../../agent/core/budget.ts';
import type { Stretch, SwarmCommand } from '../../agent/core/events.ts';
import { LIMITS } from '../../agent/core/limits.ts';
import type { Peer } from '../../agent/core/peer.ts';
import { BLOCK_BYTES } from '../../agent/core/units.ts';
import { Upload } from '../../agent/core/upload.ts';
import { blankTorrent } from '../../scripts/sim/world.ts';
import { peerOf } from './peers.ts';

const BLOCKS = 16;
const PIECE = BLOCKS * BLOCK_BYTES;
const PIECES = 40;

function prepare({ bytesPerSec = 0, have = Bitfield.full(PIECES), fast = true } = {}) {
  const upload = new Upload(blankTorrent(PIECES * PIECE - 10, PIECE), have, new Budget(bytesPerSec), LIMITS);
  const peers = [1, 2, 3].map((slot) => {
    const peer = peerOf(slot, PIECES, { fast });
    peer.unchoked = true;
    return peer;
  }) as [Peer, Peer, Peer];
  const serve = (now = 0) => {
    const commands: SwarmCommand[] = [];
    upload.serve(now, commands);
    return commands.filter((command) => command.type === 'serve');
  };
  /** All sockets have taken all that they were given. */
  const flush = (now = 0) => {
    for (const peer of peers) upload.sent(peer, peer.sendingBytes, now);
  };
  const ask = (peer: Peer, stretch: Stretch) => {
    const commands: SwarmCommand[] = [];
    return { fault: upload.requested(peer, stretch, true, commands), commands };
  };
  const cancel = (peer: Peer, stretch: Stretch) => {
    const commands: SwarmCommand[] = [];
    upload.cancelled(peer, stretch, commands);
    return commands;
  };
  return { upload, peers, serve, flush, ask, cancel };
}

const blocks = (piece: number, first: number, count = 1): Stretch => ({
  piece,
  begin: first * BLOCK_BYTES,
  length: count * BLOCK_BYTES,
});

test('wishes of a peer are served in their order, joined where they follow one another', () => {
  const { peers, ask, serve, flush } = prepare();
  for (const stretch of [blocks(3, 0, 2), blocks(3, 2), blocks(1, 5), blocks(3, 3)]) ask(peers[0], stretch);
  const first = serve();
  flush();
  assert.deepEqual(
    [...first, ...serve()],
    [
      { type: 'serve', slot: 1, ...blocks(3, 0, 3) },
      { type: 'serve', slot: 1, ...blocks(1, 5) },
      { type: 'serve', slot: 1, ...blocks(3, 3) },
    ],
  );
});

test('a wish that no correct peer has is a fault', () => {
  const have = Bitfield.full(PIECES);
  have.bytes[0]! &= 0x7f;
  const { peers, ask } = prepare({ have });
  const wrong: [Stretch, RegExp][] = [
    [blocks(PIECES, 0), /asked for piece 40 of 40/],
    [blocks(1, BLOCKS), /beyond the end/],
    [blocks(1, BLOCKS - 1, 2), /beyond the end/],
    [blocks(PIECES - 1, BLOCKS - 1), /beyond the end/],
    [{ piece: 1, begin: 5, length: BLOCK_BYTES }, /not a block/],
    [{ piece: 1, begin: 0, length: 0 }, /not a block/],
    [blocks(0, 0), /not announced/],
  ];
  for (const [stretch, fault] of wrong) assert.match(ask(peers[0], stretch).fault ?? '', fault);
  assert.equal(peers[0].queue.length, 0);
});

test('as many requests as were allowed may wait, and not one more', () => {
  const { peers, ask } = prepare();
  for (let piece = 0; piece < LIMITS.queueMax / BLOCKS; piece++) {
    assert.equal(ask(peers[0], blocks(piece, 0, BLOCKS)).fault, null);
  }
  assert.match(ask(peers[0], blocks(35, 0)).fault ?? '', /requests waiting/);
});

test('a choked peer gets a reject for each block with BEP 6, and silence without', () => {
  for (const fast of [true, false]) {
    const { peers, ask } = prepare({ fast });
    peers[0].unchoked = false;
    const { fault, commands } = ask(peers[0], blocks(2, 3, 2));
    assert.equal(fault, null);
    const rejects = [blocks(2, 3), blocks(2, 4)].map((block) => ({ type: 'reject', slot: 1, ...block }));
    assert.deepEqual(commands, fast ? rejects : []);
    assert.equal(peers[0].queue.length, 0);
  }
});

test('a cancel takes one block out of the middle of a wish and leaves the rest', () => {
  const { peers, ask, cancel, serve } = prepare();
  ask(peers[0], blocks(4, 0, 5));
  assert.deepEqual(cancel(peers[0], blocks(4, 2)), [{ type: 'reject', slot: 1, ...blocks(4, 2) }]);
  assert.deepEqual(cancel(peers[0], blocks(4, 2)), [], 'answered once');
  assert.deepEqual(
    serve().map(({ piece, begin, length }) => ({ piece, begin, length })),
    [blocks(4, 0, 2), blocks(4, 3, 2)],
  );
});

test('a cancel of what is not a block changes nothing', () => {
  const { peers, ask, cancel } = prepare();
  ask(peers[0], blocks(4, 0, 5));
  for (const stretch of [
    { piece: 4, begin: 0, length: 100 },
    { piece: 4, begin: 100, length: 100 },
    { piece: 4, begin: 0, length: 0 },
    blocks(4, 0, 2),
    blocks(4, 5),
    blocks(5, 0),
  ]) {
    assert.deepEqual(cancel(peers[0], stretch), []);
  }
  assert.deepEqual(peers[0].queue, [blocks(4, 0, 5)]);
});

test('whatever is asked and cancelled, all that goes out are whole blocks that were asked for, each once', () => {
  const step = fc.record({
    cancels: fc.boolean(),
    piece: fc.nat(1),
    first: fc.nat(BLOCKS - 1),
    count: fc.integer({ min: 1, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { peers, ask, cancel, serve, flush } = prepare();
      const wanted: string[] = [];
      for (const { cancels, piece, first, count } of steps) {
        const taken = Math.min(count, BLOCKS - first);
        if (cancels) {
          if (cancel(peers[0], blocks(piece, first)).length === 0) continue;
          wanted.splice(wanted.indexOf(`${piece} ${first}`), 1);
        } else {
          ask(peers[0], blocks(piece, first, taken));
          for (let block = 0; block < taken; block++) wanted.push(`${piece} ${first + block}`);
        }
      }
      const sent: string[] = [];
      for (let round = serve(); round.length > 0; round = serve()) {
        for (const { piece, begin, length } of round) {
          for (let at = 0; at < length; at += BLOCK_BYTES)
            sent.push(`${piece} ${(begin + at) / BLOCK_BYTES}`);
        }
        flush();
      }
      assert.deepEqual(sent.sort(), wanted.sort());
    }),
  );
});

test('a socket that takes nothing gets no more than its room', () => {
  const { peers, ask, serve } = prepare();
  for (let piece = 0; piece < 5; piece++) ask(peers[0], blocks(piece, 0, BLOCKS));
  const bytes = serve().reduce((sum, { length }) => sum + length, 0);
  assert.ok(bytes > 0 && bytes <= LIMITS.sendMinBytes);
  assert.deepEqual(serve(), []);
});

test('under a cap all peers advance alike, and the cap holds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 100_000, max: 4_000_000 }), (bytesPerSec) => {
      const { upload, peers, serve, flush, ask } = prepare({ bytesPerSec });
      const sent = new Map(peers.map(({ slot }) => [slot, 0]));
      const seconds = 10;
      let piece = 0;
      for (
        let now = 0;
        now < seconds * 1000;
        now = Math.max(now + 1, Math.min(upload.deadline(now), now + 20))
      ) {
        for (const peer of peers) {
          while (peer.queue.length < 4) ask(peer, blocks(piece++ % (PIECES - 1), 0, BLOCKS));
        }
        for (const { slot, length } of serve(now)) sent.set(slot, sent.get(slot)! + length);
        flush(now);
      }
      const total = [...sent.values()].reduce((sum, bytes) => sum + bytes, 0);
      const allowed = bytesPerSec * seconds;
      assert.ok(total <= allowed * 1.02 + 200_000 && total >= allowed * 0.85, `${total} bytes of ${allowed}`);
      for (const bytes of sent.values()) {
        assert.ok(Math.abs(bytes - total / 3) <= total * 0.02 + 8 * BLOCK_BYTES, `${[...sent.values()]}`);
      }
    }),
    { numRuns: 15 },
  );
});
