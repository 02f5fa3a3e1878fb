import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkNode, NETWORK_WAITS_MS } from '../agent/check.ts';
import { SwarmbootError } from '../agent/core/errors.ts';
import { readParams } from '../agent/core/params.ts';
import { MIB } from '../agent/core/units.ts';
import { planInstall } from '../agent/plan.ts';
import { Staging } from '../agent/staging.ts';
import { disk, ONE_DISK } from './disks.ts';
import { FakeRooms, install } from './rooms.ts';
import { makeJob } from './systems.ts';

const TRACKER = 'http://127.0.0.1:1/announce';
/** Looks at the network, the first included. */
const LOOKS = NETWORK_WAITS_MS.length + 1;

function node(): FakeRooms {
  const rooms = new FakeRooms();
  rooms.disks = [disk('vda')];
  rooms.siteFiles = { 'layouts/default.json': ONE_DISK };
  return rooms;
}

const notes = (rooms: FakeRooms) =>
  rooms.events
    .flatMap((event) => (event.fact === 'note' ? event.text.split('\n') : []))
    .filter((line) => line.startsWith('check: '));

/** Runs as far as it comes: these nodes' images have no boot loader. */
async function run(rooms: FakeRooms, flags: Record<string, string> = {}): Promise<unknown> {
  return install(rooms, { DISKS_LAYOUT: 'search', ...flags }).then(
    () => null,
    (error: unknown) => error,
  );
}

const written = (rooms: FakeRooms) => rooms.asked.some((what) => /^(run|reserve|extract) /.test(what));

function parked(error: unknown, reason: RegExp): void {
  ok(error instanceof SwarmbootError && error.code === 'check', String(error));
  match(error.message, reason);
}

test('a node looks around before anything is fetched or written, and says in one line what it found', async () => {
  const rooms = node();
  await run(rooms);
  const asked = rooms.asked.slice(0, rooms.asked.indexOf('make /tmp'));
  deepEqual(asked, [
    'start',
    'catalog',
    'echo 16',
    'echo 6000',
    `ask ${TRACKER}`,
    'call 10.9.0.1',
    'try /dev/vda',
  ]);
  deepEqual(notes(rooms), [
    'check: link eth0 1000 Mbit/s full duplex, MTU 1500; server 0.0 ms; 1 of 1 trackers and 1 of 1 peers answer; vda writes 320.0 MiB/s',
  ]);
  const reports = rooms.events.filter((event) => event.fact === 'report');
  equal(reports.at(-1)?.diskBytesPerSec, 320 * MIB);
  ok(written(rooms));
});

test('an install into a folder checks nothing', async () => {
  const rooms = node();
  await install(rooms);
  ok(!rooms.asked.some((what) => /^(echo|ask|call|try) /.test(what)));
});

describe('a bad disk', () => {
  test('parks the node before anything is written, and the report has the rate', async () => {
    const rooms = node();
    rooms.written = { bytes: MIB, ms: 2000 };
    parked(await run(rooms), /^nothing was written, .*: \/dev\/vda writes 512\.0 KiB\/s, less than/);
    ok(!written(rooms));
    equal(rooms.asked.at(-1), 'stop');
    const failed = rooms.events.find((event) => event.fact === 'stageFailed');
    deepEqual([failed?.stage, failed?.code], ['check', 'check']);
    equal(rooms.events.filter((event) => event.fact === 'report').at(-1)?.diskBytesPerSec, MIB / 2);
  });

  test('is told, and the install goes on, with CHECK=warn', async () => {
    const rooms = node();
    rooms.written = { bytes: MIB, ms: 2000 };
    const error = await run(rooms, { CHECK: 'warn' });
    ok(!(error instanceof SwarmbootError && error.code === 'check'));
    ok(written(rooms));
    match(notes(rooms).join('\n'), /less than the 1\.0 MiB\/s .*\ncheck: CHECK=warn: the install goes on$/);
  });

  test('that fails is named with what it said', async () => {
    const rooms = node();
    rooms.faults.push(['try /dev/vda', new Error('EIO: i/o error, read')]);
    parked(await run(rooms), /\/dev\/vda cannot be written as it should: EIO: i\/o error, read; check/);
  });

  test('is only told of when it is slow and no more than that', async () => {
    const rooms = node();
    rooms.written = { bytes: 8 * MIB, ms: 3000 };
    await run(rooms);
    ok(written(rooms));
    match(
      notes(rooms).join('\n'),
      /check: warning: \/dev\/vda writes 2\.7 MiB\/s, less than any healthy disk/,
    );
  });
});

test('a disk on which a write is still on its way parks the node whatever CHECK says', async (t) => {
  const rooms = node();
  const words = { IMAGESERVER: 'server', IMAGENAME: 'debian', DISKS_LAYOUT: 'search', CHECK: 'warn' };
  const facts = Object.entries(words).map(([name, value]) => ({ name, value }));
  const { params } = readParams([{ origin: 'flags', facts }]);
  const engine = await rooms.startEngine();
  const plan = await planInstall(params, rooms, engine, t.signal);
  const candidate = { params, plan, job: makeJob(), engine, staging: new Staging(params, rooms) };
  const { promise, reject } = Promise.withResolvers<never>();
  Object.assign(rooms, { probe: { ...rooms.probe, rewrite: () => promise } });
  const { diskBytesPerSec, refusal } = await checkNode(candidate, rooms, t.signal, 20);
  equal(diskBytesPerSec, null);
  parked(
    refusal,
    /\/dev\/vda cannot be written as it should: it did not answer within 0\.02 s; check.*\n.*start it anew\.$/,
  );
  reject(new Error('late'));
});

test('disks are tried three at a time, in the order of the plan', async () => {
  const rooms = node();
  rooms.disks = ['vda', 'vdb', 'vdc', 'vdd'].map((name) => disk(name));
  rooms.siteFiles = {
    'layouts/default.json': JSON.stringify({
      format: 1,
      disks: [
        {
          match: {},
          count: 4,
          label: 'gpt',
          partitions: [
            { name: 'bios', type: 'bios-boot', size: '1MiB' },
            { name: 'data', size: 'rest' },
          ],
        },
      ],
      raid: [{ name: 'md0', level: 10, members: ['data'], fs: { type: 'ext4', mount: '/' } }],
    }),
  };
  let [open, most] = [0, 0];
  const probe = {
    ...rooms.probe,
    rewrite: async () => {
      most = Math.max(most, ++open);
      await new Promise((resolve) => setTimeout(resolve, 5));
      open--;
      return rooms.written;
    },
  };
  await run(Object.assign(rooms, { probe }));
  equal(most, 3);
  match(notes(rooms)[0] ?? '', /vda writes .*, vdb writes .*, vdc writes .*, vdd writes /);
});

describe('a bad network', () => {
  test('is looked at again for a minute, then parks the node with all that is wrong', async () => {
    const rooms = node();
    rooms.written = { bytes: MIB, ms: 2000 };
    for (let i = 0; i < LOOKS; i++) rooms.faults.push(['call 10.9.0.1', new Error('connect ECONNREFUSED')]);
    const error = await run(rooms);
    parked(error, /no peer can be called, .* connect ECONNREFUSED; .*\n {2}\/dev\/vda writes/);
    equal(rooms.asked.filter((what) => what === `ask ${TRACKER}`).length, LOOKS);
    equal(rooms.asked.filter((what) => what === 'try /dev/vda').length, 1);
    match(notes(rooms)[0] ?? '', /no peer can be called, .*; looked at again in 2 s$/);
    equal(notes(rooms)[1], 'check: no better; looked at again in 5 s');
    ok(!written(rooms));
  });

  test('without any tracker parks nobody: the image comes from the image server', async () => {
    const rooms = node();
    for (let i = 0; i < LOOKS; i++) rooms.faults.push([`ask ${TRACKER}`, new Error(`${TRACKER} was silent`)]);
    await run(rooms);
    match(notes(rooms).join('\n'), /warning: no tracker answers: .* by HTTP$/m);
    equal(rooms.asked.filter((what) => what === `ask ${TRACKER}`).length, 1);
    ok(written(rooms));
  });

  test('that has mended itself meanwhile parks nobody', async () => {
    const rooms = node();
    for (let i = 1; i < LOOKS; i++) rooms.faults.push(['call 10.9.0.1', new Error('connect ECONNREFUSED')]);
    await run(rooms);
    ok(written(rooms));
  });

  test('that loses large packets alone parks the node', async () => {
    const rooms = node();
    for (let i = 0; i < LOOKS; i++) rooms.faults.push(['echo 6000', new Error('10.9.0.1:8080 was silent')]);
    parked(await run(rooms), /small packets reach the image server .*, large ones get lost .*MTU is 1500/);
  });

  test('where one peer of several answers is good; our own address is not called', async () => {
    const rooms = node();
    const own = { host: '10.9.0.5', port: 6881 };
    const { lease } = rooms.machine;
    const machine = { ...rooms.machine, lease: () => ({ ...lease(), address: '10.9.0.5/24' }) };
    rooms.peers = [own, { host: '10.9.0.7', port: 6881 }, { host: 'fd09::1', port: 6881 }];
    rooms.faults.push(['call 10.9.0.7', new Error('connect EHOSTUNREACH')]);
    await run(Object.assign(rooms, { machine }));
    match(notes(rooms)[0] ?? '', /1 of 1 trackers and 1 of 2 peers answer/);
    ok(!rooms.asked.includes('call 10.9.0.5'));
  });

  test('ends with the install that is interrupted', async () => {
    const rooms = node();
    const ending = new AbortController();
    const reason = new SwarmbootError('interrupted', 'stopped by SIGTERM');
    rooms.faults.push(['call 10.9.0.1', new Error('silent')]);
    const { tell } = rooms;
    rooms.tell = (event) => {
      tell(event);
      if (event.fact === 'note' && event.text.includes('looked at again')) ending.abort(reason);
    };
    await rejects(install(rooms, { DISKS_LAYOUT: 'search' }, ending.signal), reason);
    ok(!rooms.asked.some((what) => what.startsWith('try')));
  });
});

describe('memory', () => {
  const little = async () => 150 * MIB;

  test('that does not hold the tarballs is told of, and they are staged on the disk', async () => {
    const rooms = node();
    const pools = () => [
      {
        folder: '/tmp',
        fileSystem: 'tmpfs',
        device: '1',
        inMemory: true,
        freeBytes: 50 * MIB,
        heldBytes: 0,
        unusable: null,
      },
    ];
    await run(Object.assign(rooms, { host: { ...rooms.host, pools, memoryAvailableBytes: little } }));
    match(notes(rooms).join('\n'), /warning: the tarballs do not fit into memory .*\/tmp \(tmpfs\): needs/);
  });

  test('a pool that BITTORRENT_STAGING names is judged if it is there', async () => {
    const rooms = node();
    const { poolAt } = rooms.host;
    const host = {
      ...rooms.host,
      poolAt: (folder: string) => {
        if (folder === '/absent') throw new SwarmbootError('staging', 'no folder here');
        return { ...poolAt(folder), freeBytes: folder === '/small' ? MIB : 2 ** 40 };
      },
    };
    Object.assign(rooms, { host });
    parked(await run(rooms, { BITTORRENT_STAGING: '/small' }), /no staging pool fits .*\n.*\/small/);
    for (const folder of ['/absent', '/a/tmp', '/large']) {
      const other = Object.assign(node(), { host });
      const error = await run(other, { BITTORRENT_STAGING: folder });
      ok(!(error instanceof SwarmbootError && error.code === 'check'), folder);
    }
  });
});
