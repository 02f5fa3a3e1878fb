import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { chooseStaging, type Pool, SLACK_BYTES, type StagingDemand } from '../../agent/core/staging.ts';
import { GIB, MIB } from '../../agent/core/units.ts';

function pool(folder: string, more: Partial<Pool> = {}): Pool {
  return {
    folder,
    fileSystem: 'ext4',
    device: folder,
    inMemory: false,
    freeBytes: 10 * GIB,
    heldBytes: 0,
    unusable: null,
    ...more,
  };
}

const tmpfs = pool('/tmp', { fileSystem: 'tmpfs', inMemory: true, freeBytes: 4 * GIB });
const shm = pool('/dev/shm', { fileSystem: 'tmpfs', inMemory: true, freeBytes: 8 * GIB });
const disk = pool('/tmp');
const data = pool('/data', { freeBytes: 50 * GIB });
const target = pool('/a', { freeBytes: 90 * GIB });
const demand: StagingDemand = { keptBytes: GIB, unpackedBytes: 3 * GIB, target };

function choose(
  pools: Pool[],
  more: Partial<StagingDemand> = {},
  memory = 16 * GIB,
  forced: Pool | null = null,
) {
  return chooseStaging(pools, forced, { ...demand, ...more }, memory);
}

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof SwarmbootError && error.code === 'staging');
    return error.message;
  }
  assert.fail('a pool was chosen');
}

test('tmpfs goes before any disk, and /tmp before another tmpfs', () => {
  const { pool: chosen, others } = choose([data, shm, tmpfs, target]);
  assert.equal(chosen, tmpfs);
  assert.deepEqual(others, [
    '/dev/shm (tmpfs): fits, but /tmp goes first',
    '/a (ext4): fits, but /tmp goes first',
    '/data (ext4): fits, but /tmp goes first',
  ]);
});

test('/tmp on disk goes before a larger disk', () => {
  assert.equal(choose([data, disk]).pool, disk);
});

test('without tmpfs and /tmp, the file system with most room is taken', () => {
  assert.equal(choose([pool('/small'), data]).pool, data);
});

test('where tarballs of this install lie already is first, and what they hold counts as room and as memory', () => {
  const held = pool('/data', { freeBytes: 2 * GIB, heldBytes: GIB });
  assert.equal(choose([tmpfs, held]).pool, held);
  const memory = { ...tmpfs, freeBytes: 2 * GIB, heldBytes: GIB };
  assert.equal(choose([memory, data], {}, 512 * MIB).pool, memory);
  assert.equal(choose([tmpfs, pool('/data', { freeBytes: MIB, heldBytes: MIB })]).pool, tmpfs);
});

test('the need is the sum of what is kept, and the slack', () => {
  assert.equal(choose([disk]).needBytes, GIB + SLACK_BYTES);
  const exact = pool('/tmp', { freeBytes: GIB + SLACK_BYTES });
  assert.equal(choose([exact]).pool, exact);
  assert.match(
    messageOf(() => choose([pool('/tmp', { freeBytes: GIB + SLACK_BYTES - 1 })])),
    /needs 1\.1 GiB, has 1\.1 GiB free/,
  );
});

test('a tmpfs that promises more than the memory available is passed over, and it is said', () => {
  const { pool: chosen, others } = choose([tmpfs, data], {}, 512 * MIB);
  assert.equal(chosen, data);
  assert.deepEqual(others, ['/tmp (tmpfs): needs 1.1 GiB of memory, has 512.0 MiB available']);
});

test('a pool on the file system of the target needs room for the extracted tree too', () => {
  const full = pool('/a', { freeBytes: 4 * GIB });
  assert.match(
    messageOf(() => choose([full], { target: full })),
    /\/a \(ext4\): needs 4\.1 GiB, has 4\.0 GiB free/,
  );
  assert.equal(choose([full], { target: data }).pool, full);
});

test('a target in memory takes from the memory that a pool on another tmpfs needs', () => {
  const memoryTarget = pool('/a', { inMemory: true });
  assert.equal(choose([tmpfs], { target: memoryTarget }, 5 * GIB).pool, tmpfs);
  assert.match(
    messageOf(() => choose([tmpfs], { target: memoryTarget }, 4 * GIB)),
    /needs 4\.1 GiB of memory/,
  );
});

test('a forced pool is taken if it fits, and nothing else is tried if it does not', () => {
  const { pool: chosen, others } = choose([tmpfs, data], {}, 16 * GIB, data);
  assert.equal(chosen, data);
  assert.deepEqual(others, ['/tmp (tmpfs): BITTORRENT_STAGING names another']);
  const small = pool('/small', { freeBytes: 1 });
  const message = messageOf(() => choose([tmpfs], {}, 16 * GIB, small));
  assert.match(message, /\/small/);
  assert.doesNotMatch(message, /\/tmp/);
});

test('when no pool fits, the fault says what each lacked and what to do next', () => {
  const readOnly = pool('/cdrom', { unusable: 'read-only' });
  const message = messageOf(() => choose([readOnly, pool('/tmp', { freeBytes: MIB }), shm], {}, MIB));
  assert.match(message, /no staging pool fits the 1\.0 GiB/);
  assert.match(message, /\/cdrom \(ext4\): read-only/);
  assert.match(message, /\/tmp \(ext4\): needs 1\.1 GiB, has 1\.0 MiB free/);
  assert.match(message, /\/dev\/shm \(tmpfs\): needs 1\.1 GiB of memory, has 1\.0 MiB available/);
  assert.match(message, /BITTORRENT_STAGING/);
});

test('whatever the machine has, a chosen pool has the room, and every pool is accounted for', () => {
  const anyPool = fc.record({
    folder: fc.constantFrom('/tmp', '/a', '/b', '/c'),
    fileSystem: fc.constant('x'),
    device: fc.constantFrom('1', '2', '3'),
    inMemory: fc.boolean(),
    freeBytes: fc.nat(4 * MIB).map((n) => n * 1024),
    heldBytes: fc.constant(0),
    unusable: fc.constantFrom(null, null, 'read-only'),
  });
  fc.assert(
    fc.property(
      fc.array(anyPool),
      anyPool,
      fc.nat(2 * MIB),
      fc.nat(4 * MIB),
      (pools, at, keptKib, memoryKib) => {
        const wants = { keptBytes: keptKib * 1024, unpackedBytes: keptKib * 2048, target: at };
        try {
          const { pool: chosen, needBytes, others } = chooseStaging(pools, null, wants, memoryKib * 1024);
          assert.ok(
            chosen.unusable === null &&
              chosen.freeBytes >= needBytes &&
              needBytes >= wants.keptBytes + SLACK_BYTES,
          );
          assert.ok(!chosen.inMemory || memoryKib * 1024 >= wants.keptBytes + SLACK_BYTES);
          assert.equal(others.length, pools.length - 1);
        } catch (error) {
          assert.ok(error instanceof SwarmbootError);
          assert.equal(error.message.split('\n').length, pools.length + 2);
        }
      },
    ),
  );
});
