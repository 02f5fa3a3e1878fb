import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import packageJson from '../../package.json' with { type: 'json' };
import { buildAgent } from '../../scripts/build.ts';
import { scratch } from '../content.ts';

const TOP = join(import.meta.dirname, '..', '..');
const run = promisify(execFile);

test('the agent is one bundle and one executable that needs no Node beside it', async (t) => {
  const folder = scratch(t);
  await buildAgent(folder);
  assert.deepEqual(readdirSync(folder).sort(), ['agent.cjs', 'swarmboot-agent']);
  const agent = join(folder, 'swarmboot-agent');

  await t.test('sources elsewhere, built at another time, give the same bytes', async () => {
    const elsewhere = join(folder, 'a', 'clone somewhere else');
    mkdirSync(join(elsewhere, 'scripts'), { recursive: true });
    for (const name of ['agent', 'package.json', 'tsconfig.json', 'scripts/build.ts', 'scripts/icu.ts'])
      cpSync(join(TOP, name), join(elsewhere, name), { recursive: true });
    symlinkSync(join(TOP, 'node_modules'), join(elsewhere, 'node_modules'));
    const env = { PATH: process.env.PATH, TZ: 'Asia/Tokyo', LC_ALL: 'C.UTF-8' };
    await run(process.execPath, [join(elsewhere, 'scripts', 'build.ts')], { cwd: '/', env });
    for (const name of ['agent.cjs', 'swarmboot-agent']) {
      const [one, other] = [folder, join(elsewhere, 'build')].map((place) => readFileSync(join(place, name)));
      assert.ok(one!.equals(other!), name);
    }
  });

  await t.test('it says its version, and nothing of what is experimental', async () => {
    assert.deepEqual(await run(agent, ['--version'], { env: {} }), {
      stdout: `${packageJson.version}\n`,
      stderr: '',
    });
  });

  await t.test('it prints its parameters', async () => {
    const { stdout } = await run(agent, ['--help'], { env: {} });
    assert.match(stdout, /BITTORRENT_UPLOAD_MIN \(si\.bittorrent-upload-min\)/);
  });

  await t.test('neither the environment nor a flag reaches its Node', async () => {
    const env = { NODE_OPTIONS: '--no-such-option' };
    assert.equal((await run(agent, ['--version'], { env })).stdout, `${packageJson.version}\n`);
    await assert.rejects(run(agent, ['--node-options=--inspect'], { env: {} }), { code: 2 });
  });
});
