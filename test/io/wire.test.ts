import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { admittedLink } from '../../agent/core/admission.ts';
import { Bitfield } from '../../agent/core/bitfield.ts';
import type { Link, PeerMessage, Subject, WireListener } from '../../agent/core/ports.ts';
import { BLOCK_BYTES } from '../../agent/core/units.ts';
import { admissionBy } from '../../agent/io/digest.ts';
import { openWire } from '../../agent/io/wire.ts';
import { u32 } from '../rawpeer.ts';

const infoHash = Buffer.alloc(20, 1);
const subject: Subject = {
  infoHash,
  pieceCount: 9,
  infoBytes: Buffer.from('d4:name1:xe'),
  uploadOnly: false,
  exchanges: true,
};

/** Two ends of a cable: what one writes the other reads, a few bytes at a time when `cut` says so. */
function cable(cut: number): [Link, Link] {
  const handlers: ({ data(chunk: Uint8Array): void; closed(reason: string): void } | null)[] = [null, null];
  const end = (index: number): Link => ({
    remote: { host: '127.0.0.1', port: index },
    outgoing: index === 0,
    open: (opened) => {
      handlers[index] = opened;
    },
    write: (bytes, done) => {
      const copy = Uint8Array.from(bytes);
      setImmediate(() => {
        for (let at = 0; at < copy.length; at += cut) handlers[1 - index]?.data(copy.slice(at, at + cut));
        done?.();
      });
    },
    close: (reason) => {
      setImmediate(() => {
        for (const handler of handlers.splice(0, 2, null, null)) handler?.closed(reason);
      });
    },
  });
  return [end(0), end(1)];
}

/** One end of a conversation, and what it was told. */
function converse(link: Link, about: Subject | null, more: Partial<WireListener> = {}) {
  const heard: PeerMessage[] = [];
  const ready = Promise.withResolvers<{ peerId: string; fast: boolean }>();
  const closed = Promise.withResolvers<string>();
  const infos: Uint8Array[] = [];
  const listener: WireListener = {
    asked: () => subject,
    ready: (peerId, fast) => ready.resolve({ peerId, fast }),
    said: (message) => heard.push(message),
    accepts: () => true,
    block: () => {},
    info: (bytes) => infos.push(bytes),
    closed: (reason) => closed.resolve(reason),
    ...more,
  };
  const peerId = Buffer.alloc(20, about === null ? 2 : 3);
  const wire = openWire(link, { peerId, port: 7000, requestsMax: 300 }, about, listener);
  return { wire, heard, infos, ready: ready.promise, closed: closed.promise };
}

/** With BEP 10 and without BEP 6. */
function handshake(about: Uint8Array): Buffer {
  const reserved = Buffer.from([0, 0, 0, 0, 0, 0x10, 0, 0]);
  return Buffer.concat([Buffer.from('\x13BitTorrent protocol'), reserved, about, Buffer.alloc(20, 9)]);
}

async function hear(heard: readonly PeerMessage[], type: PeerMessage['type']): Promise<PeerMessage> {
  for (;;) {
    const message = heard.find((one) => one.type === type);
    if (message !== undefined) return message;
    await sleep(1);
  }
}

for (const cut of [1, 7, 1_000_000]) {
  test(`two wires understand each other, in chunks of ${cut} bytes`, async () => {
    const [left, right] = cable(cut);
    const blocks: Buffer[] = [];
    const there = converse(right, null, { block: (_, bytes) => void blocks.push(Buffer.from(bytes)) });
    const here = converse(left, subject);
    assert.deepEqual(await here.ready, { peerId: '02'.repeat(20), fast: true });
    assert.deepEqual(await there.ready, { peerId: '03'.repeat(20), fast: true });
    assert.deepEqual(await hear(there.heard, 'extended'), {
      type: 'extended',
      uploadOnly: false,
      requestsMax: 300,
      exchanges: true,
      port: 7000,
    });
    const field = new Bitfield(9);
    field.set(8);
    here.wire.sendField(field);
    here.wire.send({ type: 'have', piece: 3 });
    here.wire.send({ type: 'interested' });
    here.wire.send({ type: 'unchoke' });
    here.wire.request({ piece: 2, begin: 0, length: 2 * BLOCK_BYTES + 5 });
    here.wire.send({ type: 'cancel', piece: 2, begin: 0, length: BLOCK_BYTES });
    here.wire.send({ type: 'reject', piece: 4, begin: 0, length: BLOCK_BYTES });
    here.wire.send({ type: 'keepAlive' });
    here.wire.flush();
    await hear(there.heard, 'heard');
    await hear(there.heard, 'rejected');
    const asked = there.heard.flatMap((message) => (message.type === 'requested' ? [message.length] : []));
    assert.equal(
      asked.reduce((sum, length) => sum + length, 0),
      2 * BLOCK_BYTES + 5,
    );
    const types = there.heard
      .map(({ type }) => type)
      .filter((type) => type !== 'requested' && type !== 'heard');
    const expected = ['extended', 'fieldArrived', 'had', 'interested', 'unchoked', 'cancelled', 'rejected'];
    assert.deepEqual(types, expected);
    const block = Buffer.alloc(13 + 5, 7);
    block.writeUInt32BE(14);
    await new Promise<void>((resolve) => here.wire.serve(block, resolve));
    while (blocks.length === 0) await sleep(1);
    assert.deepEqual(blocks, [Buffer.alloc(5, 7)]);
    here.wire.send({ type: 'uploadOnly' });
    here.wire.flush();
    while (there.heard.filter(({ type }) => type === 'extended').length < 2) await sleep(1);
    const [first, again] = there.heard.filter(({ type }) => type === 'extended');
    assert.deepEqual(again, { ...first, uploadOnly: true });
    here.wire.close('done');
    assert.equal(await there.closed, 'done');
  });
}

test('a field is told in its shortest form', async () => {
  for (const [field, type] of [
    [Bitfield.full(9), 'hadAll'],
    [new Bitfield(9), null],
  ] as const) {
    const [left, right] = cable(1000);
    const there = converse(right, null);
    const here = converse(left, subject);
    await here.ready;
    await hear(there.heard, 'extended');
    here.wire.sendField(field);
    here.wire.send({ type: 'interested' });
    here.wire.flush();
    await hear(there.heard, 'interested');
    const kinds = there.heard.map((message) => message.type).filter((kind) => kind !== 'extended');
    assert.deepEqual(kinds, type === null ? ['interested'] : [type, 'interested']);
  }
});

test('an answer about another torrent ends the conversation', async () => {
  const [left, right] = cable(1000);
  converse(right, null, { asked: () => ({ ...subject, infoHash: Buffer.alloc(20, 9) }) });
  const here = converse(left, subject);
  assert.equal(await here.closed, 'answered for another torrent');
});

test('metadata goes from the one that has it to the one that asks', async () => {
  const [left, right] = cable(100);
  converse(right, null);
  const here = converse(left, { ...subject, pieceCount: null, infoBytes: null });
  await here.ready;
  here.wire.fetchInfo();
  while (here.infos.length === 0) await sleep(1);
  assert.equal(Buffer.from(here.infos[0]!).toString(), 'd4:name1:xe');
});

test('a peer without metadata is let go when metadata is what we want', async () => {
  const [left, right] = cable(100);
  const searching = { ...subject, pieceCount: null, infoBytes: null };
  converse(right, null, { asked: () => searching });
  const here = converse(left, searching);
  assert.equal(await here.closed, 'has no metadata to give');
});

for (const [what, said] of [
  ['metadata messages', 'd8:msg_typei0e5:piecei0ee'],
  ['metadata messages that the library would misread', 'd6:\xff\xff-12:i0e8:msg_typei0e5:piecei0ee'],
] as const) {
  test(`a peer that sends ${what} over and over is let go, and has cost little`, async () => {
    const [left, right] = cable(1_000_000);
    const here = converse(left, subject);
    let cost = 0;
    const counting = {
      data: (chunk: Uint8Array) => {
        cost += chunk.length;
      },
      closed: () => {},
    };
    right.open(counting);
    const hello = Buffer.from('d1:md11:ut_metadatai3eee');
    const extended = (id: number, payload: Uint8Array) =>
      Buffer.concat([u32(2 + payload.length), Buffer.from([20, id]), payload]);
    right.write(Buffer.concat([handshake(infoHash), extended(0, hello)]));
    const request = extended(1, Buffer.from(said, 'latin1'));
    for (let times = 0; times < 100; times++) right.write(request);
    assert.equal(await here.closed, 'sends metadata messages over and over');
    assert.ok(cost < 4000, `${cost} bytes`);
  });
}

test('a peer that greets again and again while we search is asked for the dictionary once', async () => {
  const [left, right] = cable(1_000_000);
  const here = converse(left, { ...subject, pieceCount: null, infoBytes: null });
  let cost = 0;
  const counting = {
    data: (chunk: Uint8Array) => {
      cost += chunk.length;
    },
    closed: () => {},
  };
  right.open(counting);
  const hello = Buffer.from('d1:md11:ut_metadatai3ee13:metadata_sizei10000000ee');
  right.write(handshake(infoHash));
  await here.ready;
  here.wire.fetchInfo();
  for (let times = 0; times < 100; times++)
    right.write(Buffer.concat([u32(2 + hello.length), Buffer.from([20, 0]), hello]));
  right.write(u32(0));
  await hear(here.heard, 'extended');
  await sleep(20);
  assert.ok(cost < 50_000, `${cost} bytes`);
});

test('in an open swarm the first words are these, byte for byte', async () => {
  const [left, right] = cable(1_000_000);
  const said: Buffer[] = [];
  right.open({ data: (chunk) => void said.push(Buffer.from(chunk)), closed: () => {} });
  const here = converse(left, subject);
  right.write(handshake(infoHash));
  await here.ready;
  await sleep(20);
  const hello =
    'd1:md11:ut_metadatai1e6:ut_pexi2ee13:metadata_sizei11e1:pi7000e4:reqqi300e11:upload_onlyi0e1:v9:Swarmboote';
  const expected = Buffer.concat([
    Buffer.from('\x13BitTorrent protocol'),
    Buffer.from([0, 0, 0, 0, 0, 0x10, 0, 4]),
    infoHash,
    Buffer.alloc(20, 3),
    u32(2 + hello.length),
    Buffer.from([20, 0]),
    Buffer.from(hello),
  ]);
  assert.equal(Buffer.concat(said).toString('latin1'), expected.toString('latin1'));
});

test('peers are told of in one message, in chunks or whole', async () => {
  const [left, right] = cable(7);
  const there = converse(right, null);
  const here = converse(left, subject);
  await here.ready;
  await hear(here.heard, 'extended');
  const added = [{ host: '10.0.0.1', port: 7001, gives: true, reachable: true }];
  here.wire.send({ type: 'exchange', added, dropped: [{ host: '10.0.0.2', port: 7002 }] });
  here.wire.flush();
  assert.deepEqual(await hear(there.heard, 'exchanged'), {
    type: 'exchanged',
    addresses: [{ host: '10.0.0.1', port: 7001 }],
  });
});

test('where peers are not told of nobody offers it, and what is said of peers is not heard', async () => {
  const [left, right] = cable(1_000_000);
  const there = converse(right, null, { asked: () => ({ ...subject, exchanges: false }) });
  const here = converse(left, subject);
  await there.ready;
  await hear(there.heard, 'extended');
  const greeting = await hear(here.heard, 'extended');
  assert.ok(greeting.type === 'extended' && !greeting.exchanges);
  const payload = Buffer.from('\x14\x02d5:added6:\x0a\0\0\x01\x1b\x58e', 'latin1');
  left.write(Buffer.concat([u32(payload.length), payload]));
  await hear(there.heard, 'heard');
  assert.ok(!there.heard.some(({ type }) => type === 'exchanged'));
});

for (const cut of [1, 7, 1_000_000]) {
  test(`in a closed swarm two wires understand each other once both are admitted, in chunks of ${cut} bytes`, async () => {
    const [left, right] = cable(cut);
    const admission = admissionBy(() => Buffer.alloc(32, 7));
    const self = (byte: number) => ({ peerId: Buffer.alloc(20, byte), port: 7000, requestsMax: 300 });
    // As `converse` numbers them: 3 calls, 2 is called.
    const there = converse(admittedLink(right, self(2), null, admission), null);
    const here = converse(admittedLink(left, self(3), infoHash, admission), subject);
    assert.deepEqual(await here.ready, { peerId: '02'.repeat(20), fast: true });
    assert.deepEqual(await there.ready, { peerId: '03'.repeat(20), fast: true });
    await hear(there.heard, 'extended');
    here.wire.sendField(Bitfield.full(9));
    here.wire.flush();
    await hear(there.heard, 'hadAll');
    here.wire.request({ piece: 2, begin: 0, length: BLOCK_BYTES });
    here.wire.flush();
    await hear(there.heard, 'requested');
    assert.deepEqual(
      there.heard.map(({ type }) => type),
      ['extended', 'hadAll', 'requested'],
    );
    here.wire.close('done');
    assert.equal(await there.closed, 'done');
  });
}
