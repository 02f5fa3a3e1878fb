// Datagrams of the UDP tracker protocol, as the tracker reads them and as the client does.

import {
  DatagramError,
  readAnnounceReply,
  readConnectReply,
  readError,
  readRequest,
  transactionOf,
  writeAnnounce,
  writeAnnounceReply,
  writeConnect,
  writeConnectReply,
  writeError,
  writeScrapeReply,
} from '../../../agent/core/datagram.ts';
import { must, type Target, type Verdict } from '../target.ts';

const ANNOUNCE = {
  url: '',
  event: 'started' as const,
  infoHash: new Uint8Array(20).fill(1),
  peerId: new Uint8Array(20).fill(2),
  port: 6881,
  uploaded: 0,
  downloaded: 0,
  left: 5_000_000_000_000,
  numWant: 50,
};
const WORDS = { connection: 7n, transaction: 9, key: 1, path: '/announce?x=1' };
const PEERS = [
  { host: '192.0.2.1', port: 6881 },
  { host: '2001:db8::1', port: 1 },
];

function seeds(): Uint8Array[] {
  const reply = { intervalMs: 60_000, complete: 1, incomplete: 2, peers: PEERS };
  return [
    writeConnect(9),
    writeAnnounce(ANNOUNCE, WORDS),
    Buffer.concat([
      writeConnect(9).subarray(0, 8),
      Buffer.from([0, 0, 0, 2, 0, 0, 0, 9]),
      new Uint8Array(40),
    ]),
    writeConnectReply(9, 7n),
    writeAnnounceReply(9, reply, false),
    writeAnnounceReply(9, reply, true),
    writeScrapeReply(9, [{ complete: 1, incomplete: 2, downloaded: 3 }]),
    writeError(9, 'no \u001b[2J'),
  ];
}

function readRequestOf(bytes: Uint8Array): boolean {
  const request = readRequest(bytes);
  if (request === null) return false;
  if (request.action === 'announce') {
    must(request.port >= 0 && request.port <= 65_535 && request.left >= 0n, 'numbers have their bounds');
    must(request.numWant === null || request.numWant >= 0, 'nobody wants fewer than no peers');
    must(request.infoHash.length === 20, 'an info hash has 20 bytes');
  }
  return true;
}

/** As the client does: what has no transaction is no answer. */
function readAnswer(bytes: Uint8Array, ipv6: boolean): boolean {
  if (transactionOf(bytes) === null) return false;
  const refusal = readError(bytes);
  if (refusal !== null) {
    must(/^[ -~]*$/.test(refusal), 'a refusal is plain text');
    return true;
  }
  try {
    readConnectReply(bytes);
    return true;
  } catch (error) {
    if (!(error instanceof DatagramError)) throw error;
  }
  try {
    const { peers, intervalMs } = readAnnounceReply(bytes, ipv6);
    must(intervalMs >= 0 && peers.every(({ port }) => port > 0), 'peers can be called');
    return true;
  } catch (error) {
    if (!(error instanceof DatagramError)) throw error;
    return false;
  }
}

function judge(bytes: Uint8Array): Verdict {
  const understood = [readRequestOf(bytes), readAnswer(bytes, false), readAnswer(bytes, true)];
  return understood.includes(true) ? 'accepted' : 'refused';
}

export const datagrams = (): Target => ({
  seeds: seeds(),
  words: [
    '\0\0\0\0',
    '\0\0\0\x01',
    '\0\0\0\x02',
    '\0\0\0\x03',
    '\0\0\x04\x17\x27\x10\x19\x80',
    '\xff\xff\xff\xff',
    '\x02\xff',
  ],
  build: null,
  bytesMax: 4096,
  growthMiB: 8,
  judge,
});
