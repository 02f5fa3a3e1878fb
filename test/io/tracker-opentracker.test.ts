import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { hex } from '../../agent/core/units.ts';
import { TrackerClient } from '../../agent/io/tracker.ts';
import { HASH, never, request } from './trackers.ts';

describe("the tracker client and Debian's opentracker", () => {
  it('meet over HTTP and UDP, and agree on counts', async (t) => {
    const program = '/usr/bin/opentracker';
    const folder = await mkdtemp(path.join(os.tmpdir(), 'swarmboot-opentracker-'));
    t.after(() => rm(folder, { recursive: true }));
    await chmod(folder, 0o755);
    await writeFile(path.join(folder, 'whitelist'), `${hex(HASH)}\n`, { mode: 0o644 });
    const port = await freePort();
    // Debian builds it in whitelist mode; started by root it changes its root folder and its user.
    const whitelist = process.getuid?.() === 0 ? '/whitelist' : path.join(folder, 'whitelist');
    const words = [
      '-i',
      '127.0.0.1',
      '-p',
      `${port}`,
      '-P',
      `${port}`,
      '-d',
      folder,
      '-u',
      'nobody',
      '-w',
      whitelist,
    ];
    const child = spawn(program, words, { stdio: 'ignore' });
    t.after(() => child.kill());
    const client = new TrackerClient();
    const [overHttp, overUdp] = [`http://127.0.0.1:${port}/announce`, `udp://127.0.0.1:${port}/announce`];
    await listening(port);

    const first = await client.announce(request(overHttp, { port: 1001, left: 0 }), never);
    assert.deepEqual([first.seeders, first.leechers], [1, 0]);
    const second = await client.announce(request(overUdp, { port: 1002 }), never);
    assert.deepEqual([second.seeders, second.leechers], [1, 1]);
    assert.ok(second.peers.some((peer) => peer.host === '127.0.0.1' && peer.port === 1001));
    const again = await client.announce(request(overUdp, { port: 1002, left: 0, event: 'completed' }), never);
    assert.equal(again.seeders, 2);
    const third = await client.announce(request(overHttp, { port: 1003 }), never);
    assert.deepEqual(
      third.peers
        .map((peer) => peer.port)
        .filter((one) => one !== 1003)
        .sort(),
      [1001, 1002],
    );
    await client.announce(request(overUdp, { port: 1002, left: 0, event: 'stopped' }), never);
    const last = await client.announce(request(overHttp, { port: 1003, event: 'update' }), never);
    assert.deepEqual([last.seeders, last.leechers], [1, 1]);
    await assert.rejects(
      client.announce(request(overHttp, { infoHash: new Uint8Array(20) }), never),
      /refused: "Requested download is not authorized/,
    );
  });
});

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until something accepts connections. */
async function listening(port: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    const socket = net.connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (tries === 100) throw error;
      await sleep(50);
    } finally {
      socket.destroy();
    }
  }
}
