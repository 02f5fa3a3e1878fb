import { deepEqual, equal, match } from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { parseMessage } from '../agent/core/monitor.ts';
import { openTree } from '../agent/io/target.ts';
import { TargetSystem } from '../agent/system.ts';
import { scratch } from './content.ts';
import { makeJob } from './systems.ts';

const never = new AbortController().signal;
const needsRoot = { skip: process.getuid!() !== 0 && 'chroot needs root' };

/** A system of busybox alone. */
function plant(target: string): void {
  for (const folder of ['usr/bin', 'usr/lib/systemd', 'etc', 'dev'])
    mkdirSync(join(target, folder), { recursive: true });
  for (const folder of ['bin', 'lib']) symlinkSync(`usr/${folder}`, join(target, folder));
  copyFileSync('/usr/bin/busybox', join(target, 'usr/bin/busybox'));
  symlinkSync('busybox', join(target, 'usr/bin/sh'));
  for (const file of ['usr/lib/systemd/systemd', 'dev/null']) writeFileSync(join(target, file), '');
}

test(
  'post-install scripts see the new system as theirs; a failure is told, and nothing stays mounted or running',
  needsRoot,
  (t) => {
    const folder = scratch(t);
    const target = join(folder, 'a');
    plant(target);
    const program = [process.execPath, join(import.meta.dirname, 'chroot.ts'), target, folder];
    const said = execFileSync('/usr/bin/unshare', ['--mount', '--propagation', 'private', ...program], {
      encoding: 'utf8',
    });
    const { lines, notes, fault, during, after } = JSON.parse(said);
    const output = lines.join('\n');
    match(output, /root: \/bin \/dev \/etc \/lib \/proc \/run \/sys \/usr$/m);
    match(output, /names: node005 web post-install \/$/m);
    match(output, /proc: there$/m);
    match(fault, /cannot run the post-install script 20all\.fail: .* ended with status 3:\nabout to fail\n/);
    deepEqual(during, { mounted: 4, run: [] });
    deepEqual(after, { mounted: 0, run: [] });
    match(notes.join('\n'), /still running in the new system, ended: (busybox|sleep)$/m);
    equal(readFileSync(join(target, 'etc/mark'), 'utf8'), 'mark\n');
  },
);

test(
  'the new system tells the image servers until one takes it, then nothing of it is left',
  needsRoot,
  async (t) => {
    const bodies: string[] = [];
    const types: (string | undefined)[] = [];
    const server = createServer(async (request, response) => {
      bodies.push(await text(request));
      types.push(request.headers['content-type']);
      response.writeHead(bodies.length === 1 ? 503 : 204).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());

    const target = scratch(t);
    plant(target);
    const { port } = server.address() as AddressInfo;
    // The first of the servers is dead.
    const reportsUrls = ['http://127.0.0.1:9/reports', `http://127.0.0.1:${port}/reports`];
    const job = makeJob({ target, runFolder: target, reportsUrls });
    await new TargetSystem(job, {
      run: async () => '',
      absentPrograms: () => [],
      openTree,
      endProcesses: () => [],
      addressOf: async (host) => host,
      shell: async () => {},
      note: () => {},
    }).finish(never);

    const child = spawn('/usr/bin/busybox', ['chroot', target, '/usr/lib/swarmboot/first-boot']);
    t.after(() => child.kill());
    deepEqual(await once(child, 'exit'), [0, null]);
    deepEqual(types, ['application/json', 'application/json']);
    equal(parseMessage(bodies[1]!).status, 102);
    equal(existsSync(join(target, 'usr/lib/swarmboot')), false);
    deepEqual(readdirSync(join(target, 'etc/systemd/system')), ['multi-user.target.wants']);
    deepEqual(readdirSync(join(target, 'etc/systemd/system/multi-user.target.wants')), []);
  },
);
