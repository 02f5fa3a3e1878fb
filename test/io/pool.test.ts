import { deepEqual, equal, match } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { leftIn, stagingFolders, takeOver } from '../../agent/io/pool.ts';
import { scratch } from '../content.ts';

const POOL = join(import.meta.dirname, '..', '..', 'agent', 'io', 'pool.ts');

/** A process that holds a folder in `pool` with a file in it, until it is killed. */
async function holder(t: TestContext, pool: string) {
  const script = `
    import { stagingFolders } from '${POOL}';
    import { truncateSync, writeFileSync } from 'node:fs';
    const folder = await stagingFolders().makeFolder(${JSON.stringify(pool)});
    writeFileSync(folder + '/image.tar', 'x'.repeat(8192));
    truncateSync(folder + '/image.tar', 1e6);
    console.log(folder);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const kill = async () => {
    child.kill('SIGKILL');
    await closed;
  };
  t.after(kill);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { folder: line.toString().trim(), kill };
}

test("a folder is its owner's alone, and is left once its owner is killed, not before", async (t) => {
  const pool = scratch(t);
  const { folder, kill } = await holder(t, pool);
  equal(statSync(folder).mode & 0o777, 0o700);
  deepEqual(await leftIn(pool), []);
  await kill();
  const left = await leftIn(pool);
  deepEqual(left, [{ folder, files: [{ name: 'image.tar', bytes: 1e6, allocatedBytes: 8192 }] }]);
});

test('a folder in a place with a long path is held as well', async (t) => {
  const pool = join(scratch(t), 'x'.repeat(120));
  mkdirSync(pool);
  const { folder, kill } = await holder(t, pool);
  deepEqual(await leftIn(pool), []);
  await kill();
  equal((await leftIn(pool))[0]?.folder, folder);
});

test('a file of a left folder is taken over once', async (t) => {
  const pool = scratch(t);
  const { folder, kill } = await holder(t, pool);
  await kill();
  const folders = stagingFolders();
  const mine = await folders.makeFolder(pool);
  equal(takeOver(join(folder, 'image.tar'), join(mine, 'image.tar')), true);
  equal(takeOver(join(folder, 'image.tar'), join(mine, 'again')), false);
  match(readFileSync(join(mine, 'image.tar'), 'latin1'), /^x{8192}/);
  deepEqual(
    (await leftIn(pool)).map(({ files }) => files),
    [[]],
  );
  await folders.removeFolder(folder);
  await folders.removeFolder(mine);
  deepEqual(readdirSync(pool), []);
});

test('what others could have put there is not looked at, nor a folder whose owner is about to hold it', async (t) => {
  const pool = scratch(t);
  const { folder, kill } = await holder(t, pool);
  await kill();
  mkdirSync(join(pool, 'swarmboot-staging-new'), { mode: 0o700 });
  mkdirSync(join(pool, 'swarmboot-staging-file'), { mode: 0o700 });
  writeFileSync(join(pool, 'swarmboot-staging-file', 'held'), 'no socket');
  chmodSync(folder, 0o755);
  deepEqual(await leftIn(pool), []);
  deepEqual(await leftIn(join(pool, 'absent')), []);
});
