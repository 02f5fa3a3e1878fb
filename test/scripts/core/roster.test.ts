import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Handout, ROSTER_LIMITS, Roster, type Visit } from '../../../scripts/core/roster.ts';

const HASH = new Uint8Array(20).fill(7);

/** Numbers from 0 to 1, the same in every run. */
function chance(): () => number {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

function roster(limits: Partial<typeof ROSTER_LIMITS> = {}): Roster {
  const book = new Roster({ ...ROSTER_LIMITS, ...limits }, chance());
  book.allow(HASH);
  return book;
}

function visit(host: string, values: Partial<Visit> = {}): Visit {
  return { infoHash: HASH, host, port: 6881, event: 'started', seeder: false, numWant: null, ...values };
}

function handout(book: Roster, one: Visit, now = 0): Handout {
  const answer = book.announce(one, now);
  assert.ok(!('refused' in answer), 'refused' in answer ? answer.refused : '');
  return answer;
}

const hosts = (answer: Handout) => answer.peers.map((peer) => peer.host).sort();

describe('the roster', () => {
  it('tells a newcomer of all when they are few, and never of itself', () => {
    const book = roster();
    handout(book, visit('10.0.0.1', { seeder: true }));
    handout(book, visit('10.0.0.2'));
    assert.deepEqual(hosts(handout(book, visit('10.0.0.3'))), ['10.0.0.1', '10.0.0.2']);
    assert.deepEqual(hosts(handout(book, visit('10.0.0.3'))), ['10.0.0.1', '10.0.0.2']);
  });

  it('tells a seeder of leechers only', () => {
    const book = roster();
    handout(book, visit('10.0.0.1', { seeder: true }));
    handout(book, visit('10.0.0.2'));
    assert.deepEqual(hosts(handout(book, visit('10.0.0.3', { seeder: true }))), ['10.0.0.2']);
  });

  it('keeps IPv4 and IPv6 apart, and counts both', () => {
    const book = roster();
    handout(book, visit('10.0.0.1'));
    handout(book, visit('fd00::1'));
    const answer = handout(book, visit('fd00::2'));
    assert.deepEqual(hosts(answer), ['fd00::1']);
    assert.equal(answer.incomplete, 3);
  });

  it('tells two peers of one address apart by their ports', () => {
    const book = roster();
    handout(book, visit('127.0.0.1', { port: 1 }));
    const answer = handout(book, visit('127.0.0.1', { port: 2 }));
    assert.deepEqual(answer.peers, [{ host: '127.0.0.1', port: 1 }]);
  });

  it('strikes out who stops, and tells it of nobody', () => {
    const book = roster();
    handout(book, visit('10.0.0.1'));
    handout(book, visit('10.0.0.2'));
    const answer = handout(book, visit('10.0.0.1', { event: 'stopped' }));
    assert.deepEqual(answer.peers, []);
    assert.equal(answer.incomplete, 1);
  });

  it('counts an ended download once', () => {
    const book = roster();
    handout(book, visit('10.0.0.1'));
    handout(book, visit('10.0.0.1', { event: 'completed', seeder: true }));
    const answer = handout(book, visit('10.0.0.1', { event: 'completed', seeder: true }));
    assert.deepEqual(
      { complete: answer.complete, incomplete: answer.incomplete, downloaded: answer.downloaded },
      { complete: 1, incomplete: 0, downloaded: 1 },
    );
  });

  it('forgets who was silent for two intervals', () => {
    const book = roster();
    handout(book, visit('10.0.0.1'), 0);
    assert.equal(book.scrape(HASH, 119_999)?.incomplete, 1);
    assert.equal(book.scrape(HASH, 120_000)?.incomplete, 0);
    assert.deepEqual(book.totals(120_000), { torrents: 1, peers: 0 });
  });

  it('refuses torrents that were not registered or were forgotten', () => {
    const book = roster();
    assert.ok('refused' in book.announce(visit('10.0.0.1', { infoHash: new Uint8Array(20) }), 0));
    handout(book, visit('10.0.0.1'));
    book.forget(HASH);
    assert.ok('refused' in book.announce(visit('10.0.0.1'), 0));
    assert.equal(book.scrape(HASH, 0), null);
    assert.deepEqual(book.totals(0), { torrents: 0, peers: 0 });
  });

  it('keeps a swarm when its torrent is registered again', () => {
    const book = roster();
    handout(book, visit('10.0.0.1'));
    book.allow(HASH);
    assert.equal(book.scrape(HASH, 0)?.incomplete, 1);
  });

  it('refuses port 0, a full swarm, and too many peers of one address, but not those in the book', () => {
    const book = roster({ peersPerTorrentMax: 3, peersPerAddressMax: 2 });
    assert.ok('refused' in book.announce(visit('10.0.0.1', { port: 0 }), 0));
    handout(book, visit('10.0.0.1', { port: 1 }));
    handout(book, visit('10.0.0.1', { port: 2 }));
    assert.ok('refused' in book.announce(visit('10.0.0.1', { port: 3 }), 0));
    handout(book, visit('10.0.0.2'));
    assert.ok('refused' in book.announce(visit('10.0.0.3'), 0));
    handout(book, visit('10.0.0.1', { port: 1, event: 'update' }));
  });

  it('hands out 50 to who names no number, at most 200 to who asks for more, none to who wants none', () => {
    const book = roster();
    for (let n = 0; n < 300; n++) handout(book, visit(`10.0.1.${n}`));
    const sizes = [null, -1, 0, 7, 1_000].map(
      (numWant) => handout(book, visit('10.0.0.1', { numWant })).peers.length,
    );
    assert.deepEqual(sizes, [50, 50, 0, 7, 200]);
  });

  it('hands out each of the others about equally often', () => {
    const book = roster();
    for (let n = 0; n < 20; n++) handout(book, visit(`10.0.1.${n}`, { seeder: n < 5 }));
    const times = new Map<string, number>();
    for (let round = 0; round < 2_000; round++) {
      for (const host of hosts(handout(book, visit('10.0.1.10', { numWant: 5 })))) {
        times.set(host, (times.get(host) ?? 0) + 1);
      }
    }
    assert.equal(times.size, 19);
    for (const count of times.values()) assert.ok(count > 400 && count < 660, `${count} of about 526`);
  });

  it('asks to come back soon while somebody downloads, late when only seeders are left', () => {
    const book = roster();
    const early = handout(book, visit('10.0.0.1', { seeder: true }), 0);
    assert.deepEqual([early.intervalMs, early.minIntervalMs], [60_000, 1_000]);
    assert.equal(handout(book, visit('10.0.0.1', { seeder: true }), 70_000).intervalMs, 120_000);
    assert.equal(handout(book, visit('10.0.0.2'), 70_000).intervalMs, 60_000);
  });

  it('holds the announces of a large cluster to about 50 a second', () => {
    const book = roster();
    let last = 0;
    for (let n = 0; n < 10_000; n++) {
      last = handout(book, visit(`10.1.${n >> 8}.${n & 255}`)).intervalMs;
    }
    assert.equal(last, 200_000);
  });

  it('agrees with a naive book: counts equal, no asker, no gone peer, nobody twice, all when few', () => {
    const step = fc.record({
      host: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', 'fd00::1', 'fd00::2'),
      port: fc.integer({ min: 1, max: 3 }),
      event: fc.constantFrom('started', 'update', 'completed', 'stopped'),
      seeder: fc.boolean(),
      numWant: fc.constantFrom(null, 0, 1, 2, 5, 50),
      waitMs: fc.constantFrom(0, 1, 5_000, 20_000, 250_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const book = roster();
        let naive: { host: string; port: number; seeder: boolean; until: number }[] = [];
        let now = 0;
        for (const { waitMs, ...values } of steps) {
          now += waitMs;
          const answer = handout(book, visit(values.host, values), now);
          naive = naive.filter(
            (peer) => peer.until > now && (peer.host !== values.host || peer.port !== values.port),
          );
          const able = naive.filter(
            (peer) =>
              peer.host.includes(':') === values.host.includes(':') && !(values.seeder && peer.seeder),
          );
          const names = new Set(able.map((peer) => `${peer.host} ${peer.port}`));
          const given = answer.peers.map((peer) => `${peer.host} ${peer.port}`);
          assert.equal(new Set(given).size, given.length);
          for (const name of given) assert.ok(names.has(name));
          const want = values.event === 'stopped' ? 0 : Math.min(values.numWant ?? 50, able.length);
          assert.equal(given.length, want);
          if (values.event !== 'stopped') {
            const { host, port, seeder } = values;
            naive.push({ host, port, seeder, until: now + 2 * answer.intervalMs });
          }
          assert.equal(answer.complete, naive.filter((peer) => peer.seeder).length);
          assert.equal(answer.incomplete, naive.filter((peer) => !peer.seeder).length);
          assert.equal(book.totals(now).peers, naive.length);
        }
      }),
    );
  });
});
