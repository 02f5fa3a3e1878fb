import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { hex } from '../../agent/core/units.ts';
import { announce, fails, HASH, SOON, udpServer } from './trackers.ts';

/** `action`, the transaction id of the request, and more bytes. */
function udpReply(asked: Buffer, action: number, rest: Uint8Array): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(action);
  asked.copy(head, 4, 12, 16);
  return Buffer.concat([head, rest]);
}

const connected = (asked: Buffer) => udpReply(asked, 0, new Uint8Array(8));
const isConnect = (asked: Buffer) => asked.length === 16;

describe('the tracker client over UDP', () => {
  const good = Buffer.from('0000003c0000000200000001' + '0a0000011ae1' + '0a0000020000', 'hex');

  it('asks again when a datagram is lost, and drops port 0', async (t) => {
    let lost = 0;
    const url = await udpServer(t, (asked) => {
      if (lost++ % 2 === 0) return [null];
      return [isConnect(asked) ? connected(asked) : udpReply(asked, 1, good)];
    });
    assert.deepEqual(await announce(url), {
      intervalMs: 60_000,
      minIntervalMs: null,
      seeders: 1,
      leechers: 2,
      peers: [{ host: '10.0.0.1', port: 6881 }],
      warning: null,
    });
    assert.equal(lost, 4);
  });

  it('sends the fields of BEP 15 and the path of BEP 41', async (t) => {
    let asked: Buffer = Buffer.alloc(0);
    const url = await udpServer(t, (bytes) => {
      if (isConnect(bytes)) return [connected(bytes)];
      asked = bytes;
      return [udpReply(bytes, 1, good)];
    });
    const long = 'x'.repeat(300);
    await announce(`${url}?${long}`);
    assert.equal(asked.subarray(16, 36).toString('hex'), hex(HASH));
    assert.deepEqual(
      [56, 64, 72].map((at) => asked.readBigUInt64BE(at)),
      [2n, 3n, 1n],
    );
    assert.deepEqual([asked.readUInt32BE(80), asked.readInt32BE(92), asked.readUInt16BE(96)], [2, 4, 6881]);
    assert.deepEqual([...asked.subarray(98, 100)], [2, 255]);
    assert.equal(asked.subarray(100, 110).toString(), '/announce?');
    assert.deepEqual([...asked.subarray(355, 357)], [2, 55]);
    assert.equal(asked.length, 357 + 55);
  });

  it('says that no answer came in time', async (t) => {
    await fails(announce(await udpServer(t, () => []), SOON), /did not answer within 0.3 s$/);
  });

  it('ignores answers with a wrong transaction id', async (t) => {
    const wrong = (asked: Buffer) => {
      const reply = connected(asked);
      reply.writeUInt32BE((reply.readUInt32BE(4) + 1) >>> 0, 4);
      return reply;
    };
    const only = await udpServer(t, (asked) => [wrong(asked), Buffer.alloc(3)]);
    await fails(announce(only, SOON), /sent \d+ datagrams with a wrong transaction id and no answer$/);
    const both = await udpServer(t, (asked) =>
      isConnect(asked) ? [wrong(asked), connected(asked)] : [wrong(asked), udpReply(asked, 1, good)],
    );
    assert.partialDeepStrictEqual(await announce(both), { seeders: 1 });
  });

  it('ignores answers from another port', async (t) => {
    const stranger = createSocket('udp4');
    t.after(() => stranger.close());
    const server = createSocket('udp4');
    t.after(() => server.close());
    server.on('message', (asked, from) => stranger.send(connected(asked), from.port, from.address));
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    await fails(
      announce(`udp://127.0.0.1:${server.address().port}/announce`, SOON),
      /did not answer within 0.3 s$/,
    );
  });

  it('quotes the error that the tracker sends', async (t) => {
    const url = await udpServer(t, (asked) => [
      isConnect(asked) ? connected(asked) : udpReply(asked, 3, Buffer.from('go\x1baway')),
    ]);
    await fails(announce(url), /refused: "go\\x1baway"$/);
  });

  it('says what is wrong with an action, a length, and a truncated list', async (t) => {
    const odd = await udpServer(t, (asked) => [udpReply(asked, 9, new Uint8Array(8))]);
    await fails(announce(odd), /answered wrongly: action 9 where connect was asked for$/);
    const short = await udpServer(t, (asked) => [udpReply(asked, 0, new Uint8Array(4))]);
    await fails(announce(short), /answered wrongly: an answer to connect of 12 bytes, shorter than 16$/);
    const cut = await udpServer(t, (asked) => [
      isConnect(asked) ? connected(asked) : udpReply(asked, 1, good.subarray(0, 20)),
    ]);
    await fails(announce(cut), /answered wrongly: the compact peer list has 8 bytes, no multiple of 6$/);
  });
});
