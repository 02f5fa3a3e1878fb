// What HTTP trackers answer.

import fc from 'fast-check';
import { type Bencodable, BencodeError, encode } from '../../../agent/core/bencode.ts';
import { readHttpReply, TrackerRefusal } from '../../../agent/core/tracker.ts';
import { KIB } from '../../../agent/core/units.ts';
import { drawn } from '../generate.ts';
import { bytesOf, must, type Target, type Verdict } from '../target.ts';

const SEEDS = [
  'd8:completei1e10:incompletei2e8:intervali60e12:min intervali1e5:peers6:abcdefe',
  'd8:intervali60e5:peersld2:ip9:192.0.2.14:porti6881eeee',
  'd8:intervali60e5:peers0:6:peers618:abcdefghijklmnopqr10:tracker id3:xyze',
  'd14:failure reason4:nonee',
  'd8:intervali60e5:peers0:15:warning message3:\u001b[Je',
];
const number = fc.oneof(fc.integer({ min: -2, max: 100_000 }), fc.constantFrom(2 ** 31, 2n ** 63n - 1n));
const peer = fc.record<{ [key: string]: Bencodable }>({
  ip: fc.constantFrom('192.0.2.1', '::1', '0.0.0.0', 'host', '1.2.3', '::ffff:1.2.3.4', ''),
  port: number,
});
const reply = fc.record<{ [key: string]: Bencodable }>(
  {
    interval: number,
    'min interval': number,
    complete: number,
    incomplete: number,
    peers: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.array(peer, { maxLength: 4 })),
    peers6: fc.uint8Array({ maxLength: 40 }),
    'tracker id': fc.uint8Array({ maxLength: 9 }),
    'warning message': fc.uint8Array({ maxLength: 9 }),
    'failure reason': fc.uint8Array({ maxLength: 9 }),
  },
  { requiredKeys: ['interval'] },
);

function judge(bytes: Uint8Array): Verdict {
  try {
    const { reply: read } = readHttpReply(bytes);
    must(read.intervalMs >= 0 && Number.isFinite(read.intervalMs), 'an interval has its bounds');
    must(
      read.peers.every(({ host, port }) => /^[0-9a-f.:]+$/.test(host) && port > 0 && port < 65_536),
      'peers can be called',
    );
    must(/^[ -~]*$/.test(read.warning ?? ''), 'a warning is plain text');
    return 'accepted';
  } catch (error) {
    if (error instanceof TrackerRefusal) {
      must(/^[ -~]*$/.test(error.message), 'a refusal is plain text');
      return 'accepted';
    }
    if (!(error instanceof BencodeError)) throw error;
    return 'refused';
  }
}

export const replies = (): Target => ({
  seeds: SEEDS.map(bytesOf),
  words: [
    '5:peers',
    '6:peers6',
    '8:interval',
    'i60e',
    '0:',
    'le',
    'de',
    'd2:ip3:::14:porti1ee',
    '6:abcdef',
    '14:failure reason',
  ],
  build: drawn(reply.map(encode)),
  bytesMax: 64 * KIB,
  growthMiB: 8,
  judge,
});
