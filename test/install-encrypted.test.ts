// Encrypted images in an install: when their keys are asked for, who gets them, and when they are zeros.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CatalogEntry } from '../agent/core/catalog.ts';
import { SwarmbootError } from '../agent/core/errors.ts';
import { joinSigned } from '../agent/core/manifest.ts';
import { OPEN_RULES } from '../agent/core/release.ts';
import { hex } from '../agent/core/units.ts';
import { makeSecretKey, signatureOf } from '../scripts/secretkey.ts';
import { FakeRooms, install, MANIFEST } from './rooms.ts';

const KEY = '07'.repeat(16);
const ZEROS = '00'.repeat(16);

/** A site that signs, has an authority, and has published image and override encrypted, as `sealed` says. */
function siteOf(sealed: readonly string[], authority: string | null = 'certificates'): FakeRooms {
  const rooms = new FakeRooms();
  const secret = makeSecretKey();
  rooms.trust = { keys: [secret.public], serialMin: 1, sinceSec: 0, authority };
  const entries = MANIFEST.entries.map(
    (entry): CatalogEntry => ({ ...entry, encryption: sealed.includes(entry.name) ? 'age' : null }),
  );
  const release = { serial: 1, created: 0, expires: 4_000_000_000, ...OPEN_RULES };
  const data = Buffer.from(JSON.stringify({ ...MANIFEST, release, entries }));
  rooms.catalog.fetchManifest = async () => joinSigned(signatureOf(data, secret, ''), data);
  return rooms;
}

const keysOf = (rooms: FakeRooms) => rooms.keys.map((key) => hex(key.reveal()));
const keysAsked = (rooms: FakeRooms) => rooms.asked.filter((what) => what.startsWith('key of '));
const signatureFault = (error: unknown) => error instanceof SwarmbootError && error.code === 'signature';

describe('an install of encrypted images', () => {
  test('has their keys before anything is written, and gives each to its extraction alone', async () => {
    const rooms = siteOf(['debian', 'site']);
    await install(rooms, { OVERRIDES: 'site,rack' });
    assert.deepEqual(keysAsked(rooms), ['key of debian', 'key of site']);
    const first = rooms.asked.findIndex((what) => what.startsWith('make '));
    assert.ok(rooms.asked.lastIndexOf('key of site') < first);
    assert.deepEqual(
      rooms.jobs.map(({ expected }, index) => [expected?.name, rooms.opened[index]]),
      [
        ['tools', null],
        ['debian', KEY],
        ['site', KEY],
        ['rack', null],
      ],
    );
  });

  test('has no key any more when it is installed, while it still seeds', async () => {
    const rooms = siteOf(['debian', 'site']);
    const then: string[][] = [];
    const { tell } = rooms;
    rooms.tell = (event) => {
      if (event.fact === 'installed') then.push(keysOf(rooms));
      tell(event);
    };
    await install(rooms, { OVERRIDES: 'site' });
    assert.deepEqual(then, [[ZEROS, ZEROS]]);
  });

  test('has no key any more when it fails', async () => {
    const rooms = siteOf(['debian']);
    rooms.faults.push(['extract debian into /a', new SwarmbootError('archive', 'damaged')]);
    await assert.rejects(install(rooms), /damaged/);
    assert.deepEqual(keysOf(rooms), [ZEROS]);
  });

  test('that has one key and not the other gives it up, and asks for both again', async () => {
    const rooms = siteOf(['debian', 'site']);
    rooms.faults.push(['key of site', new SwarmbootError('catalog', 'the server answered 503')]);
    const before: string[][] = [];
    const { sleep } = rooms;
    rooms.sleep = async (ms, signal) => {
      if (rooms.opened.length === 0 && rooms.keys.length > 0) before.push(keysOf(rooms));
      await sleep(ms, signal);
    };
    await install(rooms, { OVERRIDES: 'site' });
    assert.deepEqual(before[0], [ZEROS]);
    assert.deepEqual(keysAsked(rooms), ['key of debian', 'key of site', 'key of debian', 'key of site']);
    assert.deepEqual(keysOf(rooms), [ZEROS, ZEROS, ZEROS]);
  });

  test('asks for no key when it only shows what it would do', async () => {
    const rooms = siteOf(['debian']);
    await install(rooms, { DRY_RUN: 'y' });
    assert.deepEqual(keysAsked(rooms), []);
  });

  test('without an authority in the RAM disk is refused, and no key is asked for', async () => {
    const rooms = siteOf(['debian'], null);
    await assert.rejects(install(rooms), signatureFault);
    await assert.rejects(install(rooms), /"debian" is encrypted, and its key is given over TLS alone/);
    assert.deepEqual(keysAsked(rooms), []);
    assert.ok(!rooms.asked.some((what) => what.startsWith('make ')));
  });

  test('that nobody has signed is refused as well', async () => {
    const rooms = new FakeRooms();
    rooms.manifest = { ...MANIFEST, entries: [{ ...MANIFEST.entries[0]!, encryption: 'age' }] };
    await assert.rejects(install(rooms), signatureFault);
    assert.deepEqual(keysAsked(rooms), []);
  });
});
