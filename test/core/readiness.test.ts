import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseLease } from '../../agent/core/lease.ts';
import {
  bootLink,
  DISK_MIN_BYTES_PER_SEC,
  type DiskTrial,
  describeReadiness,
  judgeDisks,
  judgeMemory,
  judgeNetwork,
  type MemoryFacts,
  type NetworkFacts,
  slowestDisk,
} from '../../agent/core/readiness.ts';
import { chooseStaging, type Pool } from '../../agent/core/staging.ts';
import { GIB, MIB } from '../../agent/core/units.ts';
import { INVENTORY } from './messages.ts';

const [eth0, eth1] = INVENTORY.links as [(typeof INVENTORY.links)[0], (typeof INVENTORY.links)[0]];
const good = { ms: 0.4 };
const bad = (who: string) => ({ fault: `${who} did not answer within 5 s` });
const NETWORK: NetworkFacts = {
  link: eth0,
  server: '10.9.0.1:8080',
  small: good,
  large: good,
  trackers: [good, good],
  peers: [good, good, good],
  webSeed: false,
};
const TRIAL: DiskTrial = { path: '/dev/vda', bytes: 32 * MIB, ms: 100, stuck: false, fault: null };

const judged = (facts: Partial<NetworkFacts>) =>
  judgeNetwork({ ...NETWORK, ...facts }).map(({ severity, text }) => `${severity}: ${text}`);
const severities = (facts: Partial<NetworkFacts>) =>
  judgeNetwork({ ...NETWORK, ...facts }).map(({ severity }) => severity);

test('a good node has no findings', () => {
  deepEqual(judged({}), []);
  deepEqual(judgeDisks([TRIAL]), []);
  equal(
    describeReadiness(NETWORK, [TRIAL]),
    'link eth0 1000 Mbit/s full duplex, MTU 1500; server 0.4 ms; 2 of 2 trackers and 3 of 3 peers answer; vda writes 320.0 MiB/s',
  );
});

test('the line says what is not known, and what failed', () => {
  const link = { ...eth0, megabitPerSec: null, fullDuplex: null };
  const facts = { ...NETWORK, link, small: bad('it'), trackers: [bad('t')], peers: [] };
  equal(
    describeReadiness(facts, [{ ...TRIAL, fault: 'EIO' }]),
    'link eth0, MTU 1500; server does not answer; 0 of 1 trackers and 0 of 0 peers answer; vda not measured',
  );
  match(describeReadiness({ ...NETWORK, link: null }, []), /^link not known; .* peers answer$/);
});

describe('the link', () => {
  test('is the one that has booted: by its name, or under a VLAN by its address', () => {
    const lease = (device: string) => parseLease(`DEVICE=${device}\nMAC=${eth0.mac}`);
    equal(bootLink(INVENTORY.links, lease('eth0')), eth0);
    equal(bootLink(INVENTORY.links, lease('eth0.7')), eth0);
    equal(bootLink([eth1, { ...eth0, up: false }], lease('eth0.7')), null);
    equal(bootLink(INVENTORY.links, parseLease('')), null);
  });

  test('at half duplex, or slow, is told of and parks nobody; one that does not say its speed is not', () => {
    for (const change of [{ fullDuplex: false }, { megabitPerSec: 100 }, { megabitPerSec: 10 }]) {
      deepEqual(severities({ link: { ...eth0, ...change } }), ['warning']);
    }
    deepEqual(judged({ link: { ...eth0, megabitPerSec: null, fullDuplex: null } }), []);
    deepEqual(judged({ link: { ...eth0, megabitPerSec: 25_000, mtu: 9000 } }), []);
    deepEqual(judged({ link: null }), []);
    match(
      judged({ link: { ...eth0, megabitPerSec: 10, fullDuplex: false } })[0]!,
      /eth0 10 Mbit\/s half duplex, MTU 1500; try another cable/,
    );
  });
});

describe('the image server', () => {
  test('that loses large packets alone is a black hole', () => {
    match(
      judged({ large: bad('10.9.0.1:8080') })[0]!,
      /^fatal: small packets reach the image server 10\.9\.0\.1:8080, large .* less than eth0, whose MTU is 1500; give/,
    );
    deepEqual(judged({ large: null }), []);
    deepEqual(severities({ large: bad('it'), link: null }), ['fatal']);
  });

  test('that is away is told of: the swarm goes on without it', () => {
    deepEqual(severities({ small: bad('10.9.0.1:8080'), large: null }), ['warning']);
  });
});

describe('trackers and peers', () => {
  test('one of each that answers is enough', () => {
    deepEqual(severities({ peers: [bad('a'), bad('b'), good] }), []);
    deepEqual(severities({ trackers: [bad('udp://10.9.0.1:6969'), good] }), ['warning']);
  });

  test('none that answers, or none at all, is fatal, with each of them', () => {
    match(
      judged({ trackers: [bad('a'), bad('b')], peers: [] })[0]!,
      /^fatal: no tracker answers: a did not answer within 5 s; b did not.*6969/,
    );
    match(judged({ trackers: [], peers: [] })[0]!, /the torrent of the image names none/);
    match(judged({ peers: [bad('a'), bad('b')] })[0]!, /^fatal: no peer can be called, of 2 .*: a did.*6881/);
    match(judged({ peers: [] })[0]!, /^fatal: the tracker knows nobody/);
  });

  test('that are not there park nobody while the image server has the image by HTTP; those that cannot be called do', () => {
    for (const facts of [{ trackers: [bad('a')], peers: [] }, { peers: [] }]) {
      match(
        judged({ ...facts, webSeed: true })[0]!,
        /^warning: .*; until then the image comes from the image server by HTTP$/,
      );
      deepEqual(severities({ ...facts, webSeed: true, small: bad('it'), large: null }), ['warning', 'fatal']);
    }
    deepEqual(severities({ peers: [bad('a')], webSeed: true }), ['fatal']);
  });
});

describe('disks', () => {
  const at = (bytesPerSec: number, path = '/dev/vda'): DiskTrial => ({
    ...TRIAL,
    path,
    bytes: bytesPerSec,
    ms: 1000,
  });

  test('are judged by rate: hopeless, slow, well', () => {
    const found = [MIB - 1, MIB, 10 * MIB - 1, 10 * MIB].map(
      (rate) => judgeDisks([at(rate)])[0]?.severity ?? 'well',
    );
    deepEqual(found, ['fatal', 'warning', 'warning', 'well']);
  });

  test('that fail are fatal, each by its name', () => {
    const [one, two] = judgeDisks([{ ...TRIAL, bytes: 0, fault: 'EIO: i/o error' }, at(10, '/dev/vdb')]);
    match(`${one?.severity} ${one?.text}`, /^fatal \/dev\/vda cannot be written .*: EIO: i\/o error;/);
    match(`${two?.severity} ${two?.text}`, /^fatal \/dev\/vdb writes 10 B\/s/);
  });

  test('the slowest is the rate of the node, a finite number however quick the clock', () => {
    equal(slowestDisk([]), null);
    equal(slowestDisk([{ ...TRIAL, fault: 'x' }]), null);
    equal(slowestDisk([at(5), at(3), { ...at(1), fault: 'x' }]), 3);
    ok(Number.isSafeInteger(Math.round(slowestDisk([{ ...TRIAL, ms: 0 }])!)));
  });

  test('a disk is parked exactly when it is below the least rate or has failed', () => {
    const anyTrial: fc.Arbitrary<DiskTrial> = fc.record({
      path: fc.constant('/dev/sda'),
      bytes: fc.nat(2 ** 30),
      ms: fc.double({ min: 0.01, max: 1e6, noNaN: true }),
      stuck: fc.boolean(),
      fault: fc.option(fc.string()),
    });
    fc.assert(
      fc.property(fc.array(anyTrial), (trials) => {
        const parks = judgeDisks(trials).filter(({ severity }) => severity === 'fatal').length;
        const hopeless = trials.filter(
          ({ bytes, ms, fault }) =>
            fault !== null || (bytes > 0 && (1000 * bytes) / ms < DISK_MIN_BYTES_PER_SEC),
        );
        equal(parks, hopeless.length);
      }),
    );
  });
});

describe('memory', () => {
  const pool = (folder: string, more: Partial<Pool> = {}): Pool => ({
    folder,
    fileSystem: 'tmpfs',
    device: folder,
    inMemory: true,
    freeBytes: 4 * GIB,
    heldBytes: 0,
    unusable: null,
    ...more,
  });
  const target = pool('/a', { fileSystem: 'to be made', inMemory: false, freeBytes: 20 * GIB });
  const FACTS: MemoryFacts = {
    pools: [pool('/tmp'), pool('/', { freeBytes: 2 * GIB })],
    forced: null,
    availableBytes: 6 * GIB,
    boelBytes: 100 * MIB,
    demand: { keptBytes: GIB, unpackedBytes: 3 * GIB, target },
  };
  const found = (more: Partial<MemoryFacts>) =>
    judgeMemory({ ...FACTS, ...more }).map(({ severity, text }) => `${severity}: ${text}`);

  test('with room for the tarballs is well, with too little they go to the disks', () => {
    deepEqual(found({}), []);
    match(
      found({ availableBytes: GIB })[0]!,
      /^warning: the tarballs do not fit into memory .*\/tmp \(tmpfs\)/,
    );
    match(found({ boelBytes: 5 * GIB })[0]!, /^warning/);
  });

  test('and disks without room for them are fatal', () => {
    const demand = { ...FACTS.demand, target: { ...target, freeBytes: 4 * GIB } };
    match(found({ availableBytes: GIB, demand })[0]!, /^fatal: no staging pool fits the 1\.0 GiB/);
    deepEqual(found({ demand }), []);
  });

  test('a pool that is forced is judged alone', () => {
    deepEqual(found({ forced: target }), []);
    match(found({ forced: pool('/small', { freeBytes: MIB }) })[0]!, /^fatal: no staging pool/);
  });

  test('what is found well, or goes to the disks, is what the staging stage then accepts', () => {
    const size = fc.nat(8 * 1024).map((mib) => mib * MIB);
    fc.assert(
      fc.property(size, size, size, size, size, (free, available, kept, unpacked, boel) => {
        const demand = { keptBytes: kept, unpackedBytes: unpacked, target };
        const pools = [pool('/tmp', { freeBytes: free + boel })];
        const findings = judgeMemory({
          pools,
          forced: null,
          availableBytes: available + boel,
          boelBytes: boel,
          demand,
        });
        const then = () =>
          chooseStaging([pool('/tmp', { freeBytes: free }), target], null, demand, available).pool.folder;
        if (findings.some(({ severity }) => severity === 'fatal')) {
          let chosen = true;
          try {
            then();
          } catch {
            chosen = false;
          }
          ok(!chosen);
        } else equal(then(), findings.length === 0 ? '/tmp' : '/a');
      }),
    );
  });
});
