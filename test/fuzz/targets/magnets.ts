// Magnet links, as people paste them.

import { isIP } from 'node:net';
import { isTrackerUrl } from '../../../agent/core/metainfo.ts';
import { KIB } from '../../../agent/core/units.ts';
import { readMagnet } from '../../../agent/io/catalog.ts';
import { bytesOf, must, refusedWith, type Target, textOf, type Verdict } from '../target.ts';

const HASH = '0123456789abcdef0123456789abcdef01234567';
const SEEDS = [
  `magnet:?xt=urn:btih:${HASH}`,
  `magnet:?xt=urn:btih:${HASH}&xt=urn:btmh:1220${'ab'.repeat(32)}&dn=a%20b&tr=http%3A%2F%2Fa%2Fannounce&x.pe=192.0.2.1:6881`,
  'magnet:?xt=urn:btih:AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQT&x.pe=[2001:db8::1]:6882&tr=udp%3A%2F%2Fc%3A1&tr=wss%3A%2F%2Fb',
  `MAGNET:?xt=urn:btih:${HASH}&so=0-3,7&kt=a+b&ws=http%3A%2F%2Fx&xs=urn:btpk:${'ab'.repeat(32)}&ix=1`,
];

async function judge(bytes: Uint8Array): Promise<Verdict> {
  try {
    const { infoHashV1, infoHashV2, name, trackers, peers } = await readMagnet(textOf(bytes));
    must(infoHashV1.length === 20 && (infoHashV2?.length ?? 32) === 32, 'hashes have their lengths');
    must(name === null || !/[\p{Cc}/]/u.test(name), 'a name is plain');
    must(trackers.every(isTrackerUrl) && peers.every(({ host }) => isIP(host) !== 0), 'all can be called');
    return 'accepted';
  } catch (error) {
    return refusedWith(error, 'torrent');
  }
}

export const magnets = (): Target => ({
  seeds: SEEDS.map(bytesOf),
  words: [
    'magnet:?',
    '&',
    '=',
    '%',
    '%00',
    '%ff',
    '&xt=',
    'urn:btih:',
    'urn:btmh:1220',
    '&so=',
    '0-4294967294',
    '&dn=',
    '&tr=',
    '&x.pe=',
    '&__proto__=',
    '&infoHash=',
    '&infoHashV2=',
    '&announce=',
    HASH,
  ],
  build: null,
  bytesMax: 16 * KIB,
  growthMiB: 8,
  judge,
});
