// The tracker as it runs, on loopback: announces and scrapes as HTTP requests and as datagrams.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { BencodeError, decode } from '../../../agent/core/bencode.ts';
import { writeAnnounce, writeConnect } from '../../../agent/core/datagram.ts';
import type { Rng } from '../../../agent/core/rng.ts';
import { KIB } from '../../../agent/core/units.ts';
import { TrackerServer } from '../../../scripts/tracker.ts';
import { call, statusOf } from '../call.ts';
import { bytesOf, must, type Target, type Verdict } from '../target.ts';

const HASH = new Uint8Array(20).fill(0x61);
const ANNOUNCE = {
  url: '',
  event: 'started' as const,
  infoHash: HASH,
  peerId: new Uint8Array(20).fill(2),
  port: 6881,
  uploaded: 0,
  downloaded: 0,
  left: 7,
  numWant: 50,
};
/** The mark of the datagram behind each input: its answer says that the input was read. */
const FENCE = 0x7fff_fff1;
/** First byte of an input that goes as a datagram; the second says whether it gets a connection id that is good. */
const DATAGRAM = 0;

function query(fields: string): Uint8Array {
  return bytesOf(`1GET /${fields} HTTP/1.1\r\nHost: x\r\n\r\n`);
}

const FIELDS = [
  'info_hash=',
  'port=6881',
  'left=0',
  'left=-1',
  'numwant=-5',
  'numwant=1e9',
  'event=started',
  'event=stopped',
  'event=completed',
  'compact=0',
  'ip=1.2.3.4',
  '%',
  '=',
  '',
];
const ODD = ['%61', 'a', '%00', '%ff', '%zz', '\xe9', '+'];

/** An announce or a scrape with fields in any number and order. */
function build(rng: Rng): Uint8Array {
  const path = rng.next() < 0.8 ? 'announce?' : 'scrape?';
  const good = rng.next() < 0.7 ? [`info_hash=${'a'.repeat(20)}`, 'port=6881', 'left=7'] : [];
  const more = Array.from({ length: rng.below(8) }, () => {
    const field = FIELDS[rng.below(FIELDS.length)]!;
    return field === 'info_hash=' ? field + ODD[rng.below(ODD.length)]!.repeat(rng.below(30)) : field;
  });
  return query(path + [...more, ...good].join('&'));
}

export async function tracker(): Promise<Target> {
  const log = () => {};
  const server = await TrackerServer.start({
    host: '127.0.0.1',
    port: 0,
    random: Math.random,
    clock: () => performance.now(),
    log,
  });
  server.allow(HASH, 6999);
  const socket = createSocket('udp4');
  socket.connect(server.udpPort, '127.0.0.1');
  await once(socket, 'connect');
  let connection = Buffer.alloc(8);
  let fenced = (): void => {};
  socket.on('message', (answer) => {
    if (answer.length !== 16 || answer.readUInt32BE(4) !== FENCE) return;
    connection = Buffer.from(answer.subarray(8));
    fenced();
  });
  const send = (datagram: Uint8Array) => {
    const answered = new Promise<void>((resolve) => {
      fenced = resolve;
    });
    socket.send(datagram);
    socket.send(writeConnect(FENCE));
    return answered;
  };
  await send(new Uint8Array(1));
  const overHttp = async (bytes: Uint8Array): Promise<Verdict> => {
    const answer = await call(server.httpPort, bytes);
    const status = statusOf(answer);
    must(status !== 500, 'a fault of the asker is none of the tracker');
    if (status !== 200) return 'refused';
    const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
    try {
      decode(body);
    } catch (error) {
      // Several requests have several answers.
      if (!(error instanceof BencodeError) || !body.includes('HTTP/1.1')) throw error;
    }
    return 'accepted';
  };
  const asDatagram = async (bytes: Uint8Array): Promise<Verdict> => {
    const datagram = Uint8Array.from(bytes.subarray(2, 1400));
    const known = ((bytes[1] ?? 0) & 1) === 0 && datagram.length >= 8;
    if (known) datagram.set(connection);
    const { announces, scrapes } = server.stats();
    await send(datagram);
    const after = server.stats();
    return after.announces > announces || after.scrapes > scrapes ? 'accepted' : 'refused';
  };
  const words = { connection: 0n, transaction: 9, key: 1, path: '' };
  const header = [DATAGRAM, 0];
  return {
    seeds: [
      query(
        `announce?info_hash=${'a'.repeat(20)}&peer_id=${'b'.repeat(20)}&port=6881&left=7&compact=1&event=started`,
      ),
      query(`announce?info_hash=${'%61'.repeat(20)}&port=6882&left=0&numwant=0&event=completed`),
      query(`scrape?info_hash=${'a'.repeat(20)}&info_hash=${'%ff'.repeat(20)}`),
      query('announce'),
      Buffer.concat([Buffer.from(header), writeAnnounce(ANNOUNCE, words)]),
      Buffer.concat([
        Buffer.from(header),
        new Uint8Array(8),
        Buffer.from([0, 0, 0, 2, 0, 0, 0, 9]),
        HASH,
        HASH,
      ]),
      Buffer.concat([Buffer.from([DATAGRAM, 1]), writeConnect(9)]),
    ],
    words: [
      'announce?',
      'scrape?',
      '&info_hash=',
      `info_hash=${'a'.repeat(20)}`,
      '&port=',
      '&left=',
      '&event=',
      '%',
      '&',
      '=',
      '\0\0\0\x01',
      '\0\0\0\x02',
      ' HTTP/1.1\r\n',
      '\r\n\r\n',
    ],
    build,
    bytesMax: 16 * KIB,
    growthMiB: 16,
    judge: (bytes) => (bytes[0] === DATAGRAM ? asDatagram(bytes) : overHttp(bytes.subarray(1))),
    close: async () => {
      socket.close();
      await server.close();
    },
  };
}
