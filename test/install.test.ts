import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SwarmbootError } from '../agent/core/errors.ts';
import { RETRY_WAITS_MS } from '../agent/install.ts';
import { FakeRooms, FIELDS, install, stagesOf, torrentBytes } from './rooms.ts';

/** Of a node that believes its image server by its certificate. */
const TRUST = {
  keys: [{ id: '00000000000000A1', key: new Uint8Array(32) }],
  serialMin: 1,
  sinceSec: 0,
  authority: 'of the site',
};

describe('an install', () => {
  test('runs its stages in order, BOEL binaries first, overrides as named, and frees everything', async () => {
    const rooms = new FakeRooms();
    await install(rooms, { OVERRIDES: 'rack,site', BOEL_DIR: '/boel' });
    assert.deepEqual(rooms.asked, [
      'start',
      'catalog',
      'make /tmp',
      'reserve /tmp/staging/boel-tools.tar',
      'join boel-tools.tar',
      'extract tools into /boel',
      'make /tmp',
      'reserve /tmp/staging/image-debian.tar',
      'reserve /tmp/staging/override-rack.tar',
      'reserve /tmp/staging/override-site.tar',
      'join image-debian.tar',
      'join override-rack.tar',
      'join override-site.tar',
      'extract debian into /a',
      'extract rack into /a',
      'extract site into /a',
      'run sync',
      'leave boel-tools.tar',
      'leave image-debian.tar',
      'leave override-rack.tar',
      'leave override-site.tar',
      'stop',
      'discard boel-tools.tar',
      'discard image-debian.tar',
      'discard override-rack.tar',
      'discard override-site.tar',
      'remove /tmp/staging',
      'remove /tmp/staging',
    ]);
    assert.deepEqual(stagesOf(rooms), [
      'parameters',
      'catalog',
      'BOEL binaries',
      'staging',
      'image',
      'extract',
      'overrides',
      'seed-wait',
      'leave',
    ]);
  });

  test('of a node with public keys ends before anything is made when the manifest is not signed', async () => {
    const rooms = new FakeRooms();
    rooms.trust = {
      keys: [{ id: '00000000000000A1', key: new Uint8Array(32) }],
      serialMin: 1,
      sinceSec: 0,
      authority: null,
    };
    await assert.rejects(
      install(rooms),
      (error) =>
        error instanceof SwarmbootError && error.code === 'signature' && /is not signed/.test(error.message),
    );
    assert.deepEqual(rooms.asked, ['start', 'catalog', 'stop']);
  });

  test('of a node that knows its authority enrols before it asks for anything, once, however often the catalog fails', async () => {
    const rooms = new FakeRooms();
    rooms.trust = TRUST;
    rooms.faults.push(['catalog', new SwarmbootError('catalog', 'not up yet')]);
    await assert.rejects(install(rooms), /is not signed/);
    assert.deepEqual(rooms.asked, ['start', 'enrol', 'catalog', 'catalog', 'stop']);
    assert.deepEqual(stagesOf(rooms), ['parameters', 'enrol']);
  });

  test('of a node that may not enrol ends there, and is not tried again', async () => {
    const rooms = new FakeRooms();
    rooms.trust = TRUST;
    rooms.faults.push(['enrol', new SwarmbootError('enrolment', 'it is not armed')]);
    await assert.rejects(install(rooms), /it is not armed/);
    assert.deepEqual(rooms.asked, ['start', 'enrol', 'stop']);
  });

  test('of a node with public keys takes no torrent that is named to it', async () => {
    const rooms = new FakeRooms();
    rooms.trust = {
      keys: [{ id: '00000000000000A1', key: new Uint8Array(32) }],
      serialMin: 1,
      sinceSec: 0,
      authority: null,
    };
    await assert.rejects(
      install(rooms, { TORRENT: '/alone.torrent' }),
      (error) => error instanceof SwarmbootError && error.code === 'signature',
    );
    assert.deepEqual(rooms.asked, ['start', 'stop']);
  });

  test('has BOEL binaries written without tar, images and overrides by tar', async () => {
    const rooms = new FakeRooms();
    await install(rooms, { OVERRIDES: 'site' });
    assert.deepEqual(
      rooms.jobs.map(({ writer }) => writer),
      ['stream', 'tar', 'tar'],
    );
  });

  test('by TORRENT alone asks no catalog, and finds the compression by the first bytes', async () => {
    const rooms = new FakeRooms();
    await install(rooms, { TORRENT: '/alone.torrent' });
    assert.ok(!rooms.asked.includes('catalog'));
    assert.equal(rooms.jobs.length, 1);
    assert.equal(rooms.jobs[0]!.compression, 'gzip');
    assert.equal(rooms.jobs[0]!.expected, null);
  });

  test('tells what could not be kept', async () => {
    const rooms = new FakeRooms();
    await install(rooms);
    assert.ok(
      rooms.events.some((event) => event.fact === 'note' && event.text === 'debian: owners: not kept'),
    );
  });

  test('reports at the end of each stage and while it waits, all verified and extracted at the end', async () => {
    const rooms = new FakeRooms();
    await install(rooms, { OVERRIDES: 'site' });
    const reports = rooms.events.filter((event) => event.fact === 'report');
    const stages = new Set(reports.map(({ stage }) => stage));
    for (const stage of ['BOEL binaries', 'image', 'extract', 'overrides', 'seed-wait'] as const) {
      assert.ok(stages.has(stage), stage);
    }
    assert.equal(reports.at(-1)!.percent, 100);
    assert.equal(reports.at(-1)!.pool, '/tmp');
  });

  test('seeds for two quiet intervals while a leecher is left', async () => {
    const rooms = new FakeRooms();
    rooms.view = { ...FIELDS, trackerLeechers: 1 };
    await install(rooms);
    const leaving = rooms.events.find((event) => event.fact === 'leaving');
    assert.match(leaving?.reason ?? '', /less than 500\.0 KiB\/s .* for 2 intervals/);
  });
});

describe('a fault', () => {
  const away = new SwarmbootError('catalog', 'the server is away');

  test('that may pass is tried again, later and later', async () => {
    const rooms = new FakeRooms();
    rooms.faults.push(['catalog', away], ['catalog', away]);
    await install(rooms);
    const waits = rooms.events.flatMap((event) => (event.fact === 'stageRetried' ? [event.waitMs] : []));
    assert.deepEqual(waits, RETRY_WAITS_MS.slice(0, 2));
    assert.equal(rooms.asked.filter((what) => what === 'catalog').length, 3);
  });

  test('that does not pass ends the install after a bounded number of attempts', async () => {
    const rooms = new FakeRooms();
    for (let i = 0; i < 100; i++) rooms.faults.push(['catalog', away]);
    await assert.rejects(install(rooms), away);
    assert.equal(rooms.asked.filter((what) => what === 'catalog').length, RETRY_WAITS_MS.length + 1);
    assert.equal(rooms.asked.at(-1), 'stop');
  });

  test('of the archive is not tried again; swarms are left and staging is freed', async () => {
    const rooms = new FakeRooms();
    const broken = new SwarmbootError('archive', 'the archive ends too early');
    rooms.faults.push(['extract debian into /a', broken]);
    await assert.rejects(install(rooms, { OVERRIDES: 'site' }), broken);
    assert.deepEqual(rooms.asked.slice(rooms.asked.indexOf('extract debian into /a') + 1), [
      'leave boel-tools.tar',
      'leave image-debian.tar',
      'leave override-site.tar',
      'stop',
      'discard boel-tools.tar',
      'discard image-debian.tar',
      'discard override-site.tar',
      'remove /tmp/staging',
      'remove /tmp/staging',
    ]);
    assert.ok(rooms.events.some((event) => event.fact === 'stageFailed' && event.error === broken.message));
  });

  test('of a store, even of an override, ends the install whatever it is waiting for', async () => {
    const rooms = new FakeRooms();
    const full = new SwarmbootError('staging', '/tmp is full');
    rooms.faults.push(['complete override-site.tar', full]);
    await assert.rejects(install(rooms, { OVERRIDES: 'site' }), full);
    assert.equal(rooms.asked.at(-1), 'remove /tmp/staging');
  });

  test('while the room is reserved frees what was reserved before', async () => {
    const rooms = new FakeRooms();
    const full = new SwarmbootError('staging', '/tmp is full');
    rooms.faults.push(['reserve /tmp/staging/override-site.tar', full]);
    await assert.rejects(install(rooms, { OVERRIDES: 'site' }), full);
    assert.ok(rooms.asked.includes('discard image-debian.tar'));
    assert.ok(!rooms.asked.includes('join image-debian.tar'));
  });

  test('while leaving stops no other step', async () => {
    const rooms = new FakeRooms();
    rooms.faults.push(
      ['leave image-debian.tar', new Error('oops')],
      ['discard image-debian.tar', new Error('again')],
    );
    await install(rooms);
    assert.ok(rooms.events.some((event) => event.fact === 'note' && event.text === 'while leaving: oops'));
    assert.equal(rooms.asked.at(-1), 'remove /tmp/staging');
  });
});

test('an interrupted install leaves the swarm and frees the pool', async () => {
  const rooms = new FakeRooms();
  rooms.view = { ...FIELDS, trackerLeechers: 1 };
  const ending = new AbortController();
  const reason = new SwarmbootError('interrupted', 'stopped by SIGTERM');
  const { tell } = rooms;
  rooms.tell = (event) => {
    tell(event);
    if (event.fact === 'stageBegan' && event.stage === 'seed-wait') ending.abort(reason);
  };
  await assert.rejects(install(rooms, {}, ending.signal), reason);
  assert.ok(rooms.asked.includes('leave image-debian.tar'));
  assert.equal(rooms.asked.at(-1), 'remove /tmp/staging');
});

describe('a catalog that does not fit the parameters', () => {
  test('has everything that is missing named at once, with what is there', async () => {
    const rooms = new FakeRooms();
    await assert.rejects(install(rooms, { IMAGENAME: 'suse', OVERRIDES: 'site,none' }), (error) => {
      assert.ok(error instanceof SwarmbootError && error.code === 'missing');
      assert.match(error.message, /no image "suse"; there is: debian, other/);
      assert.match(error.message, /no override "none"; there is: site, rack/);
      return true;
    });
    assert.ok(!rooms.asked.some((what) => what.startsWith('reserve')));
  });

  test('is read again when a torrent is not the one that it promises', async () => {
    const rooms = new FakeRooms();
    const { fetchTorrent } = rooms.catalog;
    let wrong = true;
    rooms.catalog.fetchTorrent = async (server, entry) => {
      const bytes = wrong ? torrentBytes('stale.tar') : await fetchTorrent(server, entry);
      wrong = false;
      return bytes;
    };
    await install(rooms);
    assert.equal(rooms.asked.filter((what) => what === 'catalog').length, 2);
  });
});
