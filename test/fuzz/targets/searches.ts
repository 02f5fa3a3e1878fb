// Datagrams of local discovery (BEP 14): every machine of the segment may send them.

import { DISCOVERY_GROUP, Discovery, formatSearch, parseSearch } from '../../../agent/core/discovery.ts';
import { Rng } from '../../../agent/core/rng.ts';
import { KIB } from '../../../agent/core/units.ts';
import { bytesOf, must, type Target, type Verdict } from '../target.ts';

const HASH = '0123456789abcdef0123456789abcdef01234567';
const HEAD = 'BT-SEARCH * HTTP/1.1\r\n';
const SEEDS = [
  `${HEAD}Host: ${DISCOVERY_GROUP.host}:6771\r\nPort: 6881\r\nInfohash: ${HASH}\r\ncookie: a1\r\n\r\n\r\n`,
  `${HEAD}Port: 1\r\nInfohash: ${HASH}\r\nInfohash: ${HASH.toUpperCase()}\r\n\r\n`,
];

async function judge(bytes: Uint8Array): Promise<Verdict> {
  const discovery = new Discovery(7000, 'ours', new Rng(1));
  discovery.joined(HASH, () => false, 0);
  discovery.take(1000);
  const search = parseSearch(bytes);
  const heard = discovery.heard(bytes, '10.0.0.1', 2000);
  must(discovery.deadline() > 2000 - 1, 'nobody makes us speak at once');
  if (search === null) {
    must(heard === null, 'what is no search is not heard');
    return 'refused';
  }
  must(search.port > 0 && search.port <= 65_535, 'a port is one');
  must(
    search.infoHashes.every((hash) => /^[0-9a-f]{40}$/.test(hash)),
    'a hash is one',
  );
  const again = formatSearch(search).flatMap((datagram) => parseSearch(datagram)?.infoHashes ?? []);
  must(String(again) === String(search.infoHashes), 'what was read can be written and read');
  return 'accepted';
}

export const searches = (): Target => ({
  seeds: SEEDS.map(bytesOf),
  words: [HEAD, '\r\n', 'Port: ', 'Infohash: ', 'cookie: ', 'Host: ', HASH, ' HTTP/1.1', '65536', '0'],
  build: null,
  bytesMax: 4 * KIB,
  growthMiB: 8,
  judge,
});
