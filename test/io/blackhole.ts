// In a network of its own: exchanges with a server, before and after the way to it has begun to lose packets that are larger
// than 1500 bytes. Started by probe.test.ts; prints what came of each.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { NO_CREDENTIALS } from '../../agent/core/credentials.ts';
import { echo } from '../../agent/io/probe.ts';

execFileSync('/usr/sbin/ip', ['link', 'set', 'lo', 'up']);
const server = http.createServer((request, response) => request.pipe(response));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);

/** Ten bytes, then as many as fill some packets. */
async function exchanges(): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const bytes of [10, 6000]) {
    const limit = AbortSignal.timeout(2000);
    results.push(await echo(url, bytes, NO_CREDENTIALS, limit).catch(() => limit.reason?.name));
  }
  return results;
}

const before = await exchanges();
// A token bucket passes no packet that is larger than itself. Those of loopback are as large as what is written at once.
const shaper = 'dev lo root tbf rate 1gbit burst 1500 latency 50ms'.split(' ');
execFileSync('/usr/sbin/tc', ['qdisc', 'add', ...shaper]);
process.stdout.write(JSON.stringify({ before, within: await exchanges() }));
server.closeAllConnections();
server.close();
