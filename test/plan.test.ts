// What a node makes of the rules of a release before it fetches anything.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ErrorCode, SwarmbootError } from '../agent/core/errors.ts';
import { readParams } from '../agent/core/params.ts';
import { OPEN_RULES, type Rules } from '../agent/core/release.ts';
import { admissionBy } from '../agent/io/digest.ts';
import { planInstall } from '../agent/plan.ts';
import { Servers } from '../agent/servers.ts';
import { RELEASE } from './core/manifests.ts';
import { FakeRooms, MANIFEST } from './rooms.ts';

const MAC = '52:54:00:09:00:01';
const OPEN_NOTE = 'the swarms are open: whoever reaches a node may take part';

/** Rooms whose image server has a release with these rules; null: nothing is signed. */
function roomsOf(rules: Partial<Rules> | null): FakeRooms {
  const rooms = new FakeRooms();
  rooms.manifest = {
    ...MANIFEST,
    release: rules === null ? null : { ...RELEASE, ...OPEN_RULES, ...rules },
  };
  return rooms;
}

async function plan(rooms: FakeRooms) {
  const facts = Object.entries({ IMAGESERVER: 'server', IMAGENAME: 'debian' }).map(([name, value]) => ({
    name,
    value,
  }));
  const { params } = readParams([{ origin: 'flags', facts }]);
  return planInstall(params, rooms, await rooms.startEngine(), new AbortController().signal);
}

const notesOf = (rooms: FakeRooms) =>
  rooms.events.flatMap((event) => (event.fact === 'note' ? [event.text] : []));

async function refused(rooms: FakeRooms, code: ErrorCode, reason: RegExp): Promise<void> {
  await assert.rejects(
    plan(rooms),
    (error) => error instanceof SwarmbootError && error.code === code && reason.test(error.message),
  );
  assert.deepEqual(rooms.companies, [], 'no swarm is thought of');
}

describe('a node', () => {
  test('says that swarms are open, when nothing is signed and when no rule closes them', async () => {
    for (const rules of [null, {}, { networks: ['10.0.0.0/8'] }]) {
      const rooms = roomsOf(rules);
      await plan(rooms);
      assert.ok(notesOf(rooms).includes(OPEN_NOTE));
    }
  });

  test('shares swarms with whom the release says, and proves itself in closed ones', async () => {
    const networks = ['10.0.0.0/8'];
    const admission = admissionBy(() => new Uint8Array(32));
    const rooms = roomsOf({ closed: true, networks });
    rooms.admission = admission;
    await plan(rooms);
    assert.deepEqual(rooms.companies, [{ networks, admission }]);
    assert.ok(!notesOf(rooms).includes(OPEN_NOTE));
    const open = roomsOf({ networks });
    open.admission = admission;
    await plan(open);
    assert.deepEqual(open.companies, [{ networks, admission: null }]);
  });

  test('that has not been enrolled takes no part in closed swarms', async () => {
    await refused(roomsOf({ closed: true }), 'signature', /are closed, and this node has not been enrolled/);
  });

  test('wrong machine, old agent: a manifest that is not for it is refused', async () => {
    await plan(roomsOf({ machines: [MAC], agentMin: '0.1.0' }));
    await refused(roomsOf({ machines: ['52:54:00:09:00:02'] }), 'missing', /not for this machine \(52:54/);
    await refused(
      roomsOf({ agentMin: '0.1.1' }),
      'missing',
      /wants an agent of version 0\.1\.1, and this is/,
    );
  });

  test('asks no tracker that a torrent names and nobody has signed', async () => {
    const url = 'http://127.0.0.1:1/announce';
    const rooms = roomsOf({});
    assert.deepEqual((await plan(rooms)).image.torrent.announce, []);
    assert.match(notesOf(rooms).join('\n'), /image-debian\.tar names 1 trackers that nobody has signed/);
    assert.deepEqual((await plan(roomsOf({ trackers: [url] }))).image.torrent.announce, [[url]]);
    const local = roomsOf({});
    local.serverAddresses = ['127.0.0.1'];
    assert.deepEqual((await plan(local)).image.torrent.announce, [[url]]);
    // Of a second server, which would name its own tracker.
    local.servers = new Servers(['http://127.0.0.1:8080', 'http://mirror:8080'], {
      sleep: (_, signal) => new Promise((_, reject) => signal.addEventListener('abort', reject)),
      note: () => {},
    });
    local.catalog.addressesOf = async ({ hostname }) => [hostname];
    assert.deepEqual((await plan(local)).image.torrent.announce, [[url], ['http://mirror:1/announce']]);
    // Where nothing is signed, torrents are believed like all else.
    assert.deepEqual((await plan(roomsOf(null))).image.torrent.announce, [[url]]);
  });

  test('takes tarballs by HTTP from the image server alone, whatever a torrent names', async () => {
    for (const rules of [null, {}]) {
      const rooms = roomsOf(rules);
      const { fetchTorrent } = rooms.catalog;
      // The info dictionary comes last but one, and the list behind it.
      rooms.catalog.fetchTorrent = async (server, entry) => {
        const bytes = Buffer.from(await fetchTorrent(server, entry)).toString('latin1');
        return Buffer.from(`${bytes.slice(0, -1)}8:url-list17:http://elsewhere/e`, 'latin1');
      };
      const { image, overrides } = await plan(rooms);
      assert.deepEqual(image.torrent.webSeeds, ['http://elsewhere/image-debian.tar']);
      assert.deepEqual(image.webSeeds, ['http://server:8080/tarballs/image-debian.tar']);
      assert.deepEqual(overrides, []);
    }
  });
});
