import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NO_CREDENTIALS } from '../../agent/core/credentials.ts';
import type { Stretch } from '../../agent/core/diskplan.ts';
import { MIB } from '../../agent/core/units.ts';
import { call, echo, rewrite } from '../../agent/io/probe.ts';
import { noise, scratch } from '../content.ts';
import { ownNetwork } from '../foreign/network.ts';

const never = new AbortController().signal;

async function listen(t: TestContext, handler: http.RequestListener): Promise<URL> {
  const server = http.createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

describe('a call', () => {
  test('ends well when somebody listens, and hangs up', async (t) => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const called = once(server, 'connection');
    await call({ host: '127.0.0.1', port }, never);
    const [socket] = await called;
    await once(socket.resume(), 'end');
  });

  test('says who does not listen, and ends with its signal', async () => {
    await rejects(call({ host: '127.0.0.1', port: 1 }, never), /ECONNREFUSED 127\.0\.0\.1:1/);
    await rejects(call({ host: '127.0.0.1', port: 1 }, AbortSignal.abort()), /abort/);
  });
});

describe('an exchange with the image server', () => {
  test('is whole when all comes back, at the path below its URL', async (t) => {
    const paths: unknown[] = [];
    const url = await listen(t, (request, response) => {
      paths.push(request.method, request.url);
      request.pipe(response);
    });
    equal(await echo(new URL('/site', url), 36_000, NO_CREDENTIALS, never), true);
    equal(await echo(url, 0, NO_CREDENTIALS, never), true);
    deepEqual(paths, ['POST', '/site/echo', 'POST', '/echo']);
  });

  test('is none with a server that does not know it', async (t) => {
    const url = await listen(t, (_, response) => response.writeHead(405).end('no'));
    equal(await echo(url, 6000, NO_CREDENTIALS, never), false);
  });

  test('fails when something else comes back, when nothing does, and with its signal', async (t) => {
    const short = await listen(t, (_, response) => response.end('short'));
    await rejects(echo(short, 6000, NO_CREDENTIALS, never), /sent back 5 of 6000 bytes/);
    const broken = await listen(t, (_, response) => {
      response.writeHead(200, { 'Content-Length': 6000 }).write('x');
      response.socket?.end();
    });
    await rejects(echo(broken, 6000, NO_CREDENTIALS, never), /aborted/);
    // As in a black hole: the first bytes come, and then no more.
    const stalled = await listen(t, (_, response) => {
      response.writeHead(200, { 'Content-Length': 6000 }).write('x'.repeat(1000));
    });
    await rejects(echo(stalled, 6000, NO_CREDENTIALS, AbortSignal.timeout(100)), /abort/);
    await rejects(echo(new URL('http://127.0.0.1:1'), 1, NO_CREDENTIALS, never), /ECONNREFUSED/);
  });

  test('tells a way that loses large packets from one that loses none', () => {
    const { path, args, env } = ownNetwork(join(import.meta.dirname, 'blackhole.ts'));
    const said = execFileSync(path, args, { env, encoding: 'utf8', timeout: 60_000 });
    deepEqual(JSON.parse(said), { before: [true, true], within: [true, 'TimeoutError'] });
  });
});

/** A disk of noise, as a file; and the stretch of it from `start` on. */
function diskFile(t: TestContext, bytes: number, start = 0): { stretch: Stretch; content: Buffer } {
  const path = join(scratch(t), 'disk');
  const content = noise(bytes, 1);
  writeFileSync(path, content);
  return { stretch: { path, startBytes: start, sizeBytes: bytes - start }, content };
}

/** Where the file has been written to: the blocks of a file full of holes that are none any more. */
function writtenMib(path: string): number[] {
  const map = execFileSync('/usr/bin/python3', [
    '-c',
    `import os,sys
f=os.open(sys.argv[1],os.O_RDONLY); end=os.fstat(f).st_size; at=0
while at<end:
  try: start=os.lseek(f,at,os.SEEK_DATA)
  except OSError: break
  at=os.lseek(f,start,os.SEEK_HOLE); print(start>>20,at>>20)`,
    path,
  ]);
  return map.toString().split(/\s+/).filter(Boolean).map(Number);
}

describe('a trial of a disk', () => {
  test('writes 32 MiB, all within the middle of the stretch, and no byte is another afterwards', async (t) => {
    const path = join(scratch(t), 'disk');
    writeFileSync(path, '');
    truncateSync(path, 1000 * MIB);
    const { bytes, ms } = await rewrite({ path, startBytes: 100 * MIB, sizeBytes: 800 * MIB }, never);
    equal(bytes, 32 * MIB);
    ok(ms > 0 && ms < 60_000, `${ms} ms`);
    deepEqual(writtenMib(path), [484, 516]);
    const { stretch, content } = diskFile(t, 100 * MIB);
    await rewrite(stretch, never);
    ok(readFileSync(stretch.path).equals(content));
  });

  test('of a stretch that is smaller writes all of it and no more', async (t) => {
    for (const [size, start] of [
      [5 * MIB, 0],
      [33 * MIB, MIB],
      [3 * MIB, 2 * MIB],
      [2 * MIB + 4096, MIB],
    ] as const) {
      const { stretch, content } = diskFile(t, size, start);
      const { bytes } = await rewrite(stretch, never);
      equal(bytes, Math.min(32 * MIB, size - start));
      ok(readFileSync(stretch.path).equals(content));
    }
  });

  test('that is killed at any moment leaves the same bytes', async (t) => {
    const { stretch, content } = diskFile(t, 64 * MIB);
    const program = `
      import { rewrite } from ${JSON.stringify(join(import.meta.dirname, '../../agent/io/probe.ts'))};
      process.stdout.write('begun');
      for (;;) await rewrite(${JSON.stringify(stretch)}, new AbortController().signal);`;
    for (let round = 0; round < 8; round++) {
      const child = spawn(process.execPath, ['--input-type=module', '--eval', program]);
      await once(child.stdout, 'data');
      await sleep(10 + 23 * round);
      child.kill('SIGKILL');
      await once(child, 'close');
      ok(readFileSync(stretch.path).equals(content), `round ${round}`);
    }
  });

  test('that nobody waits for any more writes nothing', async (t) => {
    const path = join(scratch(t), 'disk');
    writeFileSync(path, '');
    truncateSync(path, 64 * MIB);
    const ending = new AbortController();
    ending.abort(new Error('late'));
    await rejects(rewrite({ path, startBytes: 0, sizeBytes: 64 * MIB }, ending.signal), /late/);
    deepEqual(writtenMib(path), []);
  });

  test('fails on a disk that is not there, and on one that ends too early', async (t) => {
    const folder = scratch(t);
    const gone = { path: join(folder, 'none'), startBytes: 0, sizeBytes: MIB };
    await rejects(rewrite(gone, never), /ENOENT/);
    const { stretch } = diskFile(t, 8 * MIB);
    await rejects(rewrite({ ...stretch, sizeBytes: 64 * MIB }, never), /it ends at byte/);
  });
});

describe('a trial of a block device', {
  skip:
    (process.getuid?.() !== 0 && 'loop devices need root') ||
    (!existsSync('/dev/loop-control') && 'this kernel has no loop devices'),
}, () => {
  const run = (program: string, ...args: readonly string[]) =>
    execFileSync(program, args, { encoding: 'utf8' }).trim();

  function loop(t: TestContext, file: string, ...options: readonly string[]): string {
    const path = run('/usr/sbin/losetup', '--find', '--show', ...options, file);
    t.after(() => run('/usr/sbin/losetup', '--detach', path));
    return path;
  }

  test('leaves every byte of it as it was', async (t) => {
    const { stretch, content } = diskFile(t, 100 * MIB);
    const path = loop(t, stretch.path);
    const { bytes, ms } = await rewrite({ ...stretch, path }, never);
    equal(bytes, 32 * MIB);
    t.diagnostic(`${(bytes / MIB / (ms / 1000)).toFixed(0)} MiB/s`);
    ok(readFileSync(stretch.path).equals(content));
  });

  test('fails when it is read-only', async (t) => {
    const { stretch, content } = diskFile(t, 40 * MIB);
    await rejects(rewrite({ ...stretch, path: loop(t, stretch.path, '--read-only') }, never), /E[A-Z]+: /);
    ok(readFileSync(stretch.path).equals(content));
  });

  test('fails when it is mounted', async (t) => {
    const { stretch } = diskFile(t, 40 * MIB);
    const path = loop(t, stretch.path);
    run('/usr/sbin/mkfs.ext4', '-q', '-F', path);
    const folder = scratch(t);
    run('/usr/bin/mount', path, folder);
    try {
      await rejects(rewrite({ ...stretch, path }, never), /EBUSY/);
    } finally {
      run('/usr/bin/umount', folder);
    }
  });

  test('fails when it cannot be read there', async (t) => {
    const { stretch } = diskFile(t, 40 * MIB);
    const path = loop(t, stretch.path);
    truncateSync(stretch.path, MIB);
    await rejects(rewrite({ ...stretch, path }, never), /EIO/);
  });
});
