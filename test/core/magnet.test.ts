import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '../../agent/core/bencode.ts';
import { formatMagnet } from '../../agent/core/magnet.ts';
import { hex } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';
import { makeTorrent, noise } from '../content.ts';
import { parse, torrentWith, v1Info } from '../metainfos.ts';

test('the link of a v1 torrent names its hash, its name and its trackers', () => {
  const info = v1Info({ name: 'a b&c=ü' });
  const torrent = parse(torrentWith(info, { announce: 'http://192.0.2.1/announce?x=1&y=2' }));
  const hash = hex(digests.sha1(encode(info)));
  const tracker = 'http%3A%2F%2F192.0.2.1%2Fannounce%3Fx%3D1%26y%3D2';
  equal(formatMagnet(torrent), `magnet:?xt=urn:btih:${hash}&dn=a%20b%26c%3D%C3%BC&tr=${tracker}`);
});

test('the link of a hybrid torrent names both hashes', () => {
  const { torrent } = makeTorrent('x', [{ bytes: noise(100, 1) }], 16384, 'hybrid');
  const [v1, v2] = [hex(torrent.infoHashV1!), hex(torrent.infoHashV2!)];
  equal(formatMagnet(torrent), `magnet:?xt=urn:btih:${v1}&xt=urn:btmh:1220${v2}&dn=x`);
});
