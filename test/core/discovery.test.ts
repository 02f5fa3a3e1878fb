import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BOUNDS } from '../../agent/core/bounds.ts';
import { Discovery, formatSearch, parseSearch } from '../../agent/core/discovery.ts';
import { LIMITS } from '../../agent/core/limits.ts';
import { Rng } from '../../agent/core/rng.ts';

const HASH = 'ab'.repeat(20);
const OTHER = 'cd'.repeat(20);
const bytes = (text: string) => Buffer.from(text, 'latin1');
const searchOf = (infoHashes: readonly string[], cookie = 'theirs', port = 7000) =>
  formatSearch({ port, infoHashes, cookie })[0]!;

/** Its own swarms, and what it says by itself until `until`. */
function discoveryOf(seeks: boolean, hashes: readonly string[] = [HASH]) {
  const discovery = new Discovery(7001, 'ours', new Rng(1));
  for (const hash of hashes) discovery.joined(hash, () => seeks, 0);
  const said: number[] = [];
  const run = (until: number) => {
    for (let at = discovery.deadline(); at <= until; at = discovery.deadline())
      for (const _ of discovery.take(at)) said.push(at);
    return said;
  };
  return { discovery, said, run };
}

test('a search is what BEP 14 shows', () => {
  assert.equal(
    Buffer.from(searchOf([HASH])).toString('latin1'),
    `BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 7000\r\nInfohash: ${HASH}\r\ncookie: theirs\r\n\r\n\r\n`,
  );
});

test('what is written is read again, and many swarms share a datagram that one packet holds', () => {
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[0-9a-f]{40}$/), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 65_535 }),
      fc.stringMatching(/^[a-z0-9]{1,16}$/),
      (infoHashes, port, cookie) => {
        const datagrams = formatSearch({ port, infoHashes, cookie });
        assert.equal(datagrams.length, Math.ceil(infoHashes.length / 20));
        for (const datagram of datagrams) assert.ok(datagram.length <= 1400);
        const read = datagrams.map((datagram) => parseSearch(datagram)!);
        assert.deepEqual(
          read.flatMap((search) => search.infoHashes),
          infoHashes,
        );
        for (const search of read) assert.deepEqual([search.port, search.cookie], [port, cookie]);
      },
    ),
  );
});

test('names of headers are read in any case, and headers of others are passed over', () => {
  const text = `BT-SEARCH * HTTP/1.1\r\nX-a: 1\r\nport:6881\r\nINFOHASH: ${HASH.toUpperCase()}\r\n\r\n\r\n`;
  assert.deepEqual(parseSearch(bytes(text)), { port: 6881, infoHashes: [HASH], cookie: '' });
});

test('what has no port or no info hash, or is too long, is nothing', () => {
  const head = 'BT-SEARCH * HTTP/1.1\r\n';
  for (const text of [
    '',
    head,
    `${head}Port: 7000\r\n\r\n`,
    `${head}Infohash: ${HASH}\r\n\r\n`,
    `${head}Port: 0\r\nInfohash: ${HASH}\r\n\r\n`,
    `${head}Port: 65536\r\nInfohash: ${HASH}\r\n\r\n`,
    `${head}Port: 7000\r\nInfohash: ${HASH}00\r\n\r\n`,
    `GET / HTTP/1.1\r\nPort: 7000\r\nInfohash: ${HASH}\r\n\r\n`,
    `${head}Port: 7000\r\nInfohash: ${HASH}\r\n${'x'.repeat(BOUNDS.searchBytes)}`,
  ]) {
    assert.equal(parseSearch(bytes(text)), null, text.slice(0, 80));
  }
});

test('any bytes are read or refused', () => {
  const line = fc.oneof(
    fc.constantFrom('BT-SEARCH * HTTP/1.1', `Infohash: ${HASH}`, 'Port: 1', 'cookie: x', ''),
    fc.string(),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.array(line).map((lines) => bytes(lines.join('\r\n'))),
      ),
      (datagram) => {
        const search = parseSearch(datagram);
        assert.ok(search === null || (search.port > 0 && search.port <= 65_535));
      },
    ),
  );
});

test('a swarm is named at its start, and then once a minute while it looks for peers', () => {
  const { run } = discoveryOf(true);
  const [first, ...later] = run(10 * 60_000);
  assert.ok(first! <= LIMITS.searchFirstMs);
  assert.ok(later.length >= 7 && later.length <= 10, `${later.length} times in ten minutes`);
  for (const [at, time] of later.entries()) assert.ok(time - [first!, ...later][at]! >= LIMITS.searchMs);
});

test('a swarm that looks for nobody is named once', () => {
  assert.equal(discoveryOf(false).run(10 * 60_000).length, 1);
});

test('several swarms share a datagram', () => {
  const { discovery } = discoveryOf(true, [HASH, OTHER]);
  const [datagram, ...more] = discovery.take(LIMITS.searchFirstMs);
  assert.deepEqual(parseSearch(datagram!)!.infoHashes, [HASH, OTHER]);
  assert.deepEqual(more, []);
});

test('who is heard is found in the swarms that we share, our own datagrams are not', () => {
  const { discovery } = discoveryOf(false);
  assert.deepEqual(discovery.heard(searchOf([OTHER, HASH]), '10.0.0.2', 0), {
    address: { host: '10.0.0.2', port: 7000 },
    infoHashes: [HASH],
  });
  assert.equal(discovery.heard(searchOf([OTHER]), '10.0.0.2', 0), null);
  assert.equal(discovery.heard(searchOf([HASH], 'ours'), '10.0.0.2', 0), null);
  assert.equal(discovery.heard(searchOf([HASH]), '224.0.0.1', 0), null);
  discovery.left(HASH);
  assert.equal(discovery.heard(searchOf([HASH]), '10.0.0.2', 0), null);
});

test('who asks is answered within seconds, but each swarm is named at most once a minute', () => {
  const { discovery, said, run } = discoveryOf(false);
  run(10_000);
  discovery.heard(searchOf([HASH]), '10.0.0.2', 10_000);
  run(20_000);
  assert.equal(said.length, 2);
  assert.ok(said[1]! <= 10_000 + LIMITS.searchAnswerMs);
  discovery.heard(searchOf([HASH]), '10.0.0.3', 20_000);
  run(30_000);
  assert.equal(said.length, 2);
  run(300_000);
  assert.equal(said.length, 3);
  assert.ok(said[2]! - said[1]! >= LIMITS.searchMs);
});

test('where enough others have answered, we do not', () => {
  const { discovery, said, run } = discoveryOf(false);
  run(10_000);
  for (let other = 2; other < 6; other++) discovery.heard(searchOf([HASH]), `10.0.0.${other}`, 10_000);
  run(300_000);
  assert.equal(said.length, 1);
});

test('of a hundred complete nodes that hear one question a few answer, and then all are silent', () => {
  const nodes = Array.from({ length: 100 }, (_, at) => {
    const discovery = new Discovery(7000 + at, `node${at}`, new Rng(at));
    discovery.joined(HASH, () => false, 0);
    return discovery;
  });
  const sayAll = (from: Discovery, now: number) => {
    const datagrams = from.take(now);
    for (const datagram of datagrams)
      for (const node of nodes) if (node !== from) node.heard(datagram, '10.1.0.2', now);
    return datagrams.length;
  };
  for (const node of nodes) sayAll(node, LIMITS.searchFirstMs);
  const ask = searchOf([HASH], 'asker');
  for (const node of nodes) node.heard(ask, '10.1.0.1', 10_000);
  let answers = 0;
  for (;;) {
    const first = nodes.reduce((a, b) => (b.deadline() < a.deadline() ? b : a));
    const now = first.deadline();
    if (now > 300_000) break;
    answers += sayAll(first, now);
  }
  assert.ok(answers >= 1 && answers <= 10, `${answers} answers`);
});

test('there is an end to the addresses of a swarm', () => {
  const { discovery } = discoveryOf(false);
  let found = 0;
  for (let port = 1; port <= 2 * BOUNDS.searchAddresses; port++)
    if (discovery.heard(searchOf([HASH], 'theirs', port), '10.0.0.2', 0) !== null) found++;
  assert.equal(found, BOUNDS.searchAddresses);
  assert.notEqual(discovery.heard(searchOf([HASH], 'theirs', 1), '10.0.0.2', 0), null);
});
