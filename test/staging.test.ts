import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SwarmbootError } from '../agent/core/errors.ts';
import { FakeRooms, install, SIZE } from './rooms.ts';

/** What an install that was cut off has left: files of these names, as long as they are to be. */
function left(folder: string, ...names: readonly string[]) {
  return { folder, files: names.map((name) => ({ name, bytes: SIZE, allocatedBytes: SIZE })) };
}

/** The requests that are about staging. */
function stagingOf(rooms: FakeRooms): string[] {
  return rooms.asked.filter((what) => /^(make|take|reserve|resume|remove|discard) /.test(what));
}

/** Rooms in which a folder that is removed is no longer left. */
function roomsWith(...folders: readonly ReturnType<typeof left>[]): FakeRooms {
  const rooms = new FakeRooms();
  rooms.left = [...folders];
  const { removeFolder } = rooms.host;
  const host = {
    ...rooms.host,
    removeFolder: async (folder: string) => {
      await removeFolder(folder);
      rooms.left = rooms.left.filter((other) => other.folder !== folder);
    },
  };
  return Object.assign(rooms, { host });
}

describe('an install after one that was cut off', () => {
  test('takes over what it needs, says what of it is good, and removes the rest', async () => {
    const rooms = roomsWith(
      left('/tmp/old', 'image-debian.tar', 'override-site.tar'),
      left('/tmp/other', 'image-x.tar'),
    );
    await install(rooms, { OVERRIDES: 'site,rack' });
    assert.deepEqual(stagingOf(rooms), [
      'remove /tmp/other',
      'make /tmp',
      'reserve /tmp/staging/boel-tools.tar',
      'make /tmp',
      'take /tmp/old/image-debian.tar to /tmp/staging/image-debian.tar',
      'take /tmp/old/image-debian.tar.peers to /tmp/staging/image-debian.tar.peers',
      'resume /tmp/staging/image-debian.tar',
      'take /tmp/old/override-site.tar to /tmp/staging/override-site.tar',
      'take /tmp/old/override-site.tar.peers to /tmp/staging/override-site.tar.peers',
      'resume /tmp/staging/override-site.tar',
      'reserve /tmp/staging/override-rack.tar',
      'remove /tmp/old',
      'discard boel-tools.tar',
      'discard image-debian.tar',
      'discard override-site.tar',
      'discard override-rack.tar',
      'remove /tmp/staging',
      'remove /tmp/staging',
    ]);
    const notes = rooms.events.flatMap((event) => (event.fact === 'note' ? [event.text] : []));
    assert.ok(
      notes.includes(
        'image-debian.tar was left by an install that was cut off: 0 of its 1 pieces are good, the others are fetched',
      ),
    );
  });

  test('looks into no pool of another machine, whose owner may live', async () => {
    const rooms = roomsWith(left('/tmp/other', 'image-x.tar'));
    const { pools } = rooms.host;
    const host = {
      ...rooms.host,
      pools: () => [...pools(), { ...pools()[0]!, folder: '/nfs', unusable: 'lies on another machine' }],
      leftIn: async (pool: string) => {
        assert.notEqual(pool, '/nfs');
        return [];
      },
    };
    await install(Object.assign(rooms, { host }));
  });

  test('takes nothing of another length, however it is called', async () => {
    const rooms = roomsWith({
      folder: '/tmp/old',
      files: [{ name: 'image-debian.tar', bytes: SIZE + 1, allocatedBytes: SIZE }],
    });
    await install(rooms);
    assert.ok(rooms.asked.includes('reserve /tmp/staging/image-debian.tar'));
    assert.ok(rooms.asked.includes('remove /tmp/old'));
  });

  test('begins anew with what cannot be read any more', async () => {
    const rooms = roomsWith(left('/tmp/old', 'image-debian.tar'));
    rooms.faults.push([
      'resume /tmp/staging/image-debian.tar',
      new SwarmbootError('staging', 'cannot read it (EIO)'),
    ]);
    await install(rooms);
    const asked = stagingOf(rooms);
    const at = asked.indexOf('resume /tmp/staging/image-debian.tar');
    assert.deepEqual(asked.slice(at + 1, at + 3), [
      'remove /tmp/staging/image-debian.tar',
      'reserve /tmp/staging/image-debian.tar',
    ]);
  });

  test('begins anew when somebody else was quicker', async () => {
    const rooms = roomsWith(left('/tmp/old', 'image-debian.tar'));
    await install(Object.assign(rooms, { host: { ...rooms.host, takeOver: () => false } }));
    assert.ok(rooms.asked.includes('reserve /tmp/staging/image-debian.tar'));
  });

  test('goes on where a left folder cannot be removed, and says so', async () => {
    const rooms = roomsWith(left('/tmp/other', 'image-x.tar'));
    const host = {
      ...rooms.host,
      removeFolder: async (folder: string) => {
        if (folder === '/tmp/other') throw new Error('EIO');
      },
    };
    await install(Object.assign(rooms, { host }));
    assert.ok(
      rooms.events.some(
        (event) => event.fact === 'note' && event.text === '/tmp/other, left by an install, stays: EIO',
      ),
    );
  });
});

test('a folder is told to be installed only when its file system has all of it on the disk', async () => {
  const rooms = new FakeRooms();
  await install(rooms);
  const flushed = rooms.asked.indexOf('run sync');
  assert.ok(flushed > rooms.asked.indexOf('extract debian into /a'));
  assert.equal(rooms.asked.slice(flushed).filter((what) => what.startsWith('extract')).length, 0);
  const broken = new FakeRooms();
  broken.faults.push(['run sync', new SwarmbootError('extract', 'cannot write everything to the disk')]);
  await assert.rejects(install(broken), { code: 'extract' });
  assert.ok(!broken.events.some(({ fact }) => fact === 'installed'));
});

test('a tarball of which nobody has said the hash is checked once more on its way from staging to the target', async () => {
  const rooms = new FakeRooms();
  const { openStore } = rooms;
  await assert.rejects(
    install(
      Object.assign(rooms, {
        openStore: async (...args: Parameters<typeof openStore>) => ({
          ...(await openStore(...args)),
          verify: () => false,
        }),
      }),
      { TORRENT: '/alone.torrent' },
    ),
    /piece 0 of "alone\.tar\.gz" is not what it was when it came/,
  );
  assert.ok(!rooms.events.some(({ fact }) => fact === 'extracted'));
});
