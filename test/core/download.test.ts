import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bitfield } from '../../agent/core/bitfield.ts';
import { Download } from '../../agent/core/download.ts';
import type { Stretch, SwarmCommand } from '../../agent/core/events.ts';
import { LIMITS } from '../../agent/core/limits.ts';
import type { Peer } from '../../agent/core/peer.ts';
import { Picker } from '../../agent/core/picker.ts';
import { Rng } from '../../agent/core/rng.ts';
import { BLOCK_BYTES } from '../../agent/core/units.ts';
import { blankTorrent } from '../../scripts/sim/world.ts';
import { peerOf } from './peers.ts';

const PIECES = 3;
const PIECE = 4 * BLOCK_BYTES;

function prepare(pieces = PIECES) {
  const torrent = blankTorrent(pieces * PIECE, PIECE);
  const picker = new Picker(torrent, new Bitfield(pieces), new Rng(1), 64, 0);
  const download = new Download(torrent, picker, { ...LIMITS, pipelineMin: 16 });
  const peers = [1, 2].map((slot) => peerOf(slot, pieces)) as [Peer, Peer];
  for (const peer of peers) {
    peer.field = Bitfield.full(pieces);
    picker.counted(peer.field, 1);
  }
  const fill = (peer: Peer, now: number) => {
    const commands: SwarmCommand[] = [];
    download.fill(peer, peers.length, now, commands);
    return commands;
  };
  const arrive = (peer: Peer, stretch: Stretch, now: number) => {
    const commands: SwarmCommand[] = [];
    const whole = download.arrived(peer, stretch, peers, now, commands);
    return { commands, whole };
  };
  return { picker, download, peers, fill, arrive };
}

const block = (piece: number, index: number): Stretch => ({
  piece,
  begin: index * BLOCK_BYTES,
  length: BLOCK_BYTES,
});

test('only a block that was asked of this peer is accepted', () => {
  const { download, peers, fill } = prepare();
  const [peer, other] = peers;
  assert.ok(!download.accepts(peer, block(0, 0)));
  fill(peer, 0);
  assert.ok(download.accepts(peer, block(0, 0)));
  assert.ok(!download.accepts(other, block(0, 0)));
  assert.ok(!download.accepts(peer, { ...block(0, 0), length: 5 }));
  assert.ok(!download.accepts(peer, { ...block(0, 0), begin: 1 }));
  assert.ok(!download.accepts(peer, block(PIECES, 0)));
  assert.ok(!download.accepts(peer, block(0, 4)));
});

test('a peer that owes blocks for too long is snubbed: others are asked, and what comes late is no fault', () => {
  const { download, peers, fill, arrive } = prepare();
  const [slow, other] = peers;
  assert.equal(fill(slow, 0).length, PIECES);
  assert.ok(!download.checkStall(slow, LIMITS.stallMs - 1));
  assert.ok(download.checkStall(slow, LIMITS.stallMs));
  assert.equal(fill(other, LIMITS.stallMs).length, PIECES);
  arrive(other, block(1, 2), LIMITS.stallMs + 1);
  assert.ok(!download.accepts(slow, block(1, 2)));
  assert.ok(download.excuses(slow, block(1, 2)));
  assert.ok(!download.excuses(slow, block(1, 2)), 'forgiven once');
  assert.ok(download.accepts(slow, block(1, 3)));
});

test('a snubbed peer is tried with a block that stays free for all others, and counts again once it sends', () => {
  const { download, picker, peers, fill, arrive } = prepare(1);
  const [slow, other] = peers;
  fill(slow, 0);
  download.checkStall(slow, LIMITS.stallMs);
  const trial = fill(slow, LIMITS.stallMs);
  assert.deepEqual(trial, [{ type: 'request', slot: slow.slot, ...block(0, 0) }]);
  assert.deepEqual(fill(slow, LIMITS.stallMs + 1), [], 'one trial at a time');
  assert.deepEqual(fill(other, LIMITS.stallMs + 2), [
    { type: 'request', slot: other.slot, piece: 0, begin: 0, length: PIECE },
  ]);
  download.releaseAll(slow);
  assert.ok(picker.isEndgame, 'the end of a trial frees nothing that others were asked for');
  const { commands } = arrive(slow, block(0, 0), LIMITS.stallMs + 3);
  assert.deepEqual(commands, [{ type: 'cancel', slot: other.slot, ...block(0, 0) }]);
  assert.ok(!slow.snubbed);
});

test('the connection of a snubbed peer that says nothing at all is taken for dead; one that still talks is waited for', () => {
  const { download, peers, fill } = prepare();
  for (const peer of peers) {
    fill(peer, 0);
    download.checkStall(peer, LIMITS.stallMs);
  }
  const [silent, talking] = peers;
  fill(silent, LIMITS.stallMs);
  talking.heardAt = LIMITS.stallMs;
  assert.equal(download.neglectOf(silent, LIMITS.deadMs), null);
  assert.match(download.neglectOf(silent, LIMITS.deadMs + 1)!, /nothing heard/);
  assert.equal(download.neglectOf(talking, LIMITS.deadMs + 1), null);
});

test('on a slow link, where blocks come late by nature, a peer may owe them for longer', () => {
  const { download, peers, fill, arrive } = prepare(32);
  const [slow, other] = peers;
  fill(slow, 0);
  // A block each second, until a MiB has come: 32 blocks of both together should take half a minute.
  const owed: Stretch[] = [];
  for (let second = 1; second <= 65; second++) {
    for (const command of fill(other, 1000 * second - 1)) {
      assert.equal(command.type, 'request');
      const { piece, begin, length } = command as Stretch & SwarmCommand;
      for (let at = 0; at < length; at += BLOCK_BYTES) owed.push(block(piece, (begin + at) / BLOCK_BYTES));
    }
    arrive(other, owed.shift()!, 1000 * second);
  }
  fill(other, 66_000);
  assert.ok(!download.checkStall(slow, 80_000));
  assert.ok(download.checkStall(slow, 300_000));
});

test('a late block takes back the request that took its place', () => {
  const { download, peers, fill, arrive } = prepare();
  const [slow, other] = peers;
  fill(slow, 0);
  download.checkStall(slow, LIMITS.stallMs);
  fill(other, LIMITS.stallMs);
  const { commands } = arrive(slow, block(1, 2), LIMITS.stallMs + 1);
  assert.deepEqual(commands, [{ type: 'cancel', slot: other.slot, ...block(1, 2) }]);
  assert.ok(download.excuses(other, block(1, 2)), 'it may have sent it already');
});

test('the endgame repeats what is late, and takes it back when it has come', () => {
  const { download, peers, fill, arrive } = prepare();
  const [first, second] = peers;
  assert.equal(fill(first, 0).length, PIECES);
  assert.deepEqual(fill(second, 0), []);
  const wave = fill(second, download.deadline());
  assert.ok(wave.length > 0 && wave.every((command) => command.type === 'request'));
  const again = wave[0] as Extract<SwarmCommand, { type: 'request' }>;
  const { piece, begin } = again;
  const { commands } = arrive(first, { piece, begin, length: BLOCK_BYTES }, 1000);
  assert.deepEqual(commands, [{ type: 'cancel', slot: second.slot, piece, begin, length: BLOCK_BYTES }]);
});

test('a reject gives the block back; one of what was never asked for is a fault', () => {
  const { download, peers, fill } = prepare();
  const [peer, other] = peers;
  fill(peer, 0);
  assert.ok(download.rejected(peer, block(2, 3)));
  assert.ok(!download.rejected(peer, block(2, 3)));
  assert.ok(!download.rejected(other, block(0, 0)));
  assert.ok(
    !download.rejected(peer, { piece: 0, begin: PIECE, length: 0 }),
    'an empty block behind the piece',
  );
  assert.deepEqual(fill(other, 0), [{ type: 'request', slot: other.slot, ...block(2, 3) }]);
});

test('no more is asked for than the peer queues', () => {
  const { peers, fill } = prepare();
  peers[0].requestsMax = 3;
  fill(peers[0], 0);
  assert.equal(peers[0].asked.size, 3);
});
