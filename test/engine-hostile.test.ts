import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { BLOCK_BYTES, KIB, MIB } from '../agent/core/units.ts';
import { makeTorrent, noise, scratch } from './content.ts';
import { startLeecher, startSeeder } from './nodes.ts';
import { ID, RawPeer, u32 } from './rawpeer.ts';

const PIECE = 64 * KIB;
/** 33 pieces: seven spare bits in the bitfield; the last piece is one short block. */
const made = makeTorrent('image', [{ bytes: noise(2 * MIB + 1000, 1) }], PIECE, 'v1');
const { torrent } = made;
const infoHash = torrent.infoHashV1!;

/** A seeder that goes on serving honest peers whatever it was told before. */
async function startVictim(t: TestContext) {
  const folder = scratch(t);
  const reasons: string[] = [];
  const log = (fact: string, values?: object) => {
    if (fact === 'peer gone') reasons.push(String(Reflect.get(values ?? {}, 'reason')));
  };
  const seeder = await startSeeder(t, folder, torrent, made.space, { log });
  return { seeder, folder, reasons };
}

type Victim = Awaited<ReturnType<typeof startVictim>>;

async function stillServes(t: TestContext, { seeder, folder }: Victim): Promise<void> {
  const leecher = await startLeecher(t, folder, torrent);
  leecher.transfer.addPeers([{ host: '127.0.0.1', port: seeder.engine.port }]);
  await leecher.transfer.complete;
  assert.ok(readFileSync(leecher.path).equals(made.space));
}

const request = (piece: number, begin: number, length = BLOCK_BYTES) => [piece, begin, length] as const;
const extended = (dictionary: string) => (peer: RawPeer) => peer.extension(0, dictionary);

/** What a peer may say that ends its connection. */
const faults: Record<string, (peer: RawPeer) => void> = {
  'a message of 2 GiB': (peer) => peer.write(u32(2 ** 31), Buffer.from([20])),
  'a message of 4 GiB': (peer) => peer.write(u32(2 ** 32 - 1)),
  'a bitfield that is too long': (peer) => peer.say(ID.bitfield, Buffer.alloc(6)),
  'a bitfield that is too short': (peer) => peer.say(ID.bitfield, Buffer.alloc(4)),
  'a bitfield with spare bits set': (peer) => peer.say(ID.bitfield, Buffer.from([0, 0, 0, 0, 1])),
  'a piece that does not exist': (peer) => peer.say(ID.have, 33),
  'a piece far out of range': (peer) => peer.say(ID.have, 2 ** 32 - 1),
  'a request beyond the last piece': (peer) => peer.say(ID.request, ...request(33, 0)),
  'a request beyond the end of a piece': (peer) => peer.say(ID.request, ...request(0, PIECE)),
  'a request across the end of the file': (peer) => peer.say(ID.request, ...request(32, 0)),
  'a request off the block boundary': (peer) => peer.say(ID.request, ...request(0, 100)),
  'a request of nothing': (peer) => peer.say(ID.request, ...request(0, 0, 0)),
  'a request of 4 GiB': (peer) => peer.say(ID.request, ...request(0, 0, 2 ** 32 - 1)),
  'a block that nobody asked for': (peer) => peer.say(ID.piece, 0, 0, Buffer.alloc(BLOCK_BYTES)),
  'a block beyond the last piece': (peer) => peer.say(ID.piece, 99, 0, Buffer.alloc(BLOCK_BYTES)),
  'a reject of what was never asked for': (peer) => peer.say(ID.reject, ...request(0, 0)),
  'an empty block': (peer) => peer.say(ID.piece, 0, 0),
  'a block of 17 KiB': (peer) => peer.say(ID.piece, 0, 0, Buffer.alloc(17 * KIB)),
  'a choke of two bytes': (peer) => peer.say(ID.choke, Buffer.alloc(1)),
  'a second handshake': (peer) => peer.greet(infoHash),
};

for (const [what, speak] of Object.entries(faults)) {
  test(`${what} ends the connection, and the others are served`, async (t) => {
    const victim = await startVictim(t);
    const peer = await RawPeer.meet(t, victim.seeder.engine.port, infoHash);
    await peer.hear(ID.haveNone);
    speak(peer);
    await peer.closed;
    await stillServes(t, victim);
  });
}

/** What a peer may say without harm; the conversation goes on. */
const nonsense: Record<string, (peer: RawPeer) => void> = {
  'unknown message ids': (peer) => {
    for (const id of [10, 11, 12, 18, 19, 21, 99, 255]) peer.say(id, Buffer.alloc(500));
  },
  'a second bitfield': (peer) => {
    peer.say(ID.bitfield, Buffer.alloc(5));
    peer.say(ID.bitfield, Buffer.alloc(5));
  },
  'keep-alives': (peer) => peer.write(Buffer.alloc(400)),
  'a cancel of what was never asked for': (peer) => peer.say(ID.cancel, ...request(0, 0)),
  'a cancel out of all ranges': (peer) => peer.say(ID.cancel, 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1),
  'an extension handshake that is not bencode': extended('garbage'),
  'an extension handshake without end': extended('d1:md11:ut_metadata'),
  'an empty extension handshake': extended(''),
  'an extension handshake that is a list': extended('le'),
  'an extension handshake of nested lists': extended('l'.repeat(50_000)),
  'an extension handshake whose map is a number': extended('d1:mi7ee'),
  'an extension handshake with absurd numbers': extended(
    'd1:md11:ut_metadatai-5ee13:metadata_sizei-1e1:pi99999999e4:reqqi-100e11:upload_onlyi7ee',
  ),
  'an extension handshake with the names of built-in properties': extended(
    'd1:md9:__proto__i1e11:constructori2e8:toStringi3ee9:__proto__d4:reqqi1eee',
  ),
  'an extension message of an unknown kind': (peer) => peer.extension(77, 'garbage'),
  'a metadata message that is not bencode': (peer) => peer.extension(1, 'garbage'),
  'an extension handshake with a string of negative length': extended('l-3:'),
  'an extension handshake whose map holds dictionaries': extended('d1:md1:ad8:toString1:xeee'),
  'a metadata message with a string of negative length': (peer) => peer.extension(1, 'l-3:ee'),
  'a metadata request with a huge piece': (peer) => peer.extension(1, 'd8:msg_typei0e5:piecei99999999999ee'),
  'a metadata request with a text for a piece': (peer) => peer.extension(1, 'd8:msg_typei0e5:piece3:abce'),
  'a metadata request with a negative piece': (peer) => peer.extension(1, 'd8:msg_typei0e5:piecei-1ee'),
  'a metadata message without a kind': (peer) => peer.extension(1, 'd5:piecei0ee'),
  'metadata that nobody asked for': (peer) =>
    peer.extension(1, 'd8:msg_typei1e5:piecei0e10:total_sizei9ee', Buffer.from('d1:ai1ee')),
};

for (const [what, speak] of Object.entries(nonsense)) {
  test(`${what}: skipped, and the conversation goes on`, async (t) => {
    const { seeder } = await startVictim(t);
    const peer = await RawPeer.meet(t, seeder.engine.port, infoHash, { extended: true });
    await peer.hear(ID.extended);
    speak(peer);
    peer.say(ID.interested);
    await peer.hear(ID.unchoke);
    peer.say(ID.request, ...request(3, BLOCK_BYTES));
    const block = await peer.hear(ID.piece);
    const at = 3 * PIECE + BLOCK_BYTES;
    assert.ok(block.subarray(8).equals(made.space.subarray(at, at + BLOCK_BYTES)));
  });
}

/** What may end the connection or not, but must harm nobody else. */
const traps: Record<string, (peer: RawPeer) => void> = {
  'a metadata request that cannot be answered': (peer) => peer.extension(1, 'd8:msg_typei0e5:piecei0ee'),
  'a cancel off the block boundary': (peer) => {
    peer.say(ID.interested);
    for (let piece = 0; piece < 32; piece++) {
      for (let begin = 0; begin < PIECE; begin += BLOCK_BYTES) peer.say(ID.request, ...request(piece, begin));
    }
    for (let piece = 0; piece < 32; piece++) peer.say(ID.cancel, piece, 0, 100);
  },
};

for (const [what, speak] of Object.entries(traps)) {
  test(`${what} harms nobody else`, async (t) => {
    const victim = await startVictim(t);
    const peer = await RawPeer.meet(t, victim.seeder.engine.port, infoHash, { extended: true });
    await peer.hear(ID.extended);
    speak(peer);
    await stillServes(t, victim);
  });
}
