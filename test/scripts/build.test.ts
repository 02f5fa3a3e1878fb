import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import packageJson from '../../package.json' with { type: 'json' };
import { buildAgent } from '../../scripts/build.ts';
import { scratch } from '../content.ts';

const run = promisify(execFile);

test('the agent is one bundle and one executable that needs no Node beside it', async (t) => {
  const folder = scratch(t);
  await buildAgent(folder);
  assert.deepEqual(readdirSync(folder).sort(), ['agent.cjs', 'swarmboot-agent']);
  const agent = join(folder, 'swarmboot-agent');

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
