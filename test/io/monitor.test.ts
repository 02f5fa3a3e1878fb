import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NO_CREDENTIALS } from '../../agent/core/credentials.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { type Message, parseMessage, REPORT_AFTER } from '../../agent/core/monitor.ts';
import { askNode, Monitor } from '../../agent/io/monitor.ts';
import { INVENTORY, lines, message } from '../core/messages.ts';

/** A server that keeps what it gets and answers what it is told to. */
async function listen(
  t: TestContext,
  answer: (path: string, count: number) => { status: number; body?: string; afterMs?: number },
) {
  const got: Message[] = [];
  let count = 0;
  const server = http.createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => {
      text += chunk;
    });
    request.on('end', () => {
      const { status, body = '', afterMs = 0 } = answer(request.url ?? '', count++);
      if (text !== '' && status === 204) got.push(parseMessage(text));
      response.writeHead(status, { [REPORT_AFTER]: afterMs }).end(body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { server, got, url: new URL(`http://127.0.0.1:${port}`) };
}

test('a message is with the server when flush returns, at the path below its URL', async (t) => {
  const paths: string[] = [];
  const { got, url } = await listen(t, (path) => {
    paths.push(path);
    return { status: 204 };
  });
  const monitor = new Monitor([new URL('/site', url)], NO_CREDENTIALS);
  monitor.send(message());
  await monitor.flush(5000);
  deepEqual(got, [message()]);
  deepEqual(paths, ['/site/reports']);
});

test('while the server is away the newest state wins, and inventory and log are not lost', async (t) => {
  let away = true;
  const { got, url } = await listen(t, () => ({ status: away ? 503 : 204 }));
  const monitor = new Monitor([url], NO_CREDENTIALS);
  monitor.send(message({ status: 0, inventory: INVENTORY }));
  await monitor.flush(300);
  for (let status = 1; status < 50; status++) monitor.send(message({ status }));
  monitor.send(message({ status: -1, log: lines('it broke') }));
  monitor.send(message({ status: -1, text: 'gave up' }));
  away = false;
  await monitor.flush(5000);
  deepEqual(got, [message({ status: -1, text: 'gave up', inventory: INVENTORY, log: lines('it broke') })]);
});

test('a message that the server refuses is not sent again, the next one is sent', async (t) => {
  let count = 0;
  const { got, url } = await listen(t, () => ({ status: count++ === 0 ? 400 : 204 }));
  const monitor = new Monitor([url], NO_CREDENTIALS);
  monitor.send(message({ status: 1 }));
  await monitor.flush(5000);
  monitor.send(message({ status: 2 }));
  await monitor.flush(5000);
  deepEqual(got, [message({ status: 2 })]);
  equal(count, 2);
});

test('of several servers one hears each message: the first that takes it, then the same again', async (t) => {
  const counts = [0, 0];
  let dead = true;
  const first = await listen(t, () => {
    counts[0]!++;
    return { status: dead ? 503 : 204 };
  });
  const second = await listen(t, () => {
    counts[1]!++;
    return { status: 204 };
  });
  const monitor = new Monitor([new URL('http://127.0.0.1:9'), first.url, second.url], NO_CREDENTIALS);
  monitor.send(message({ status: 1 }));
  await monitor.flush(5000);
  dead = false;
  monitor.send(message({ status: 2 }));
  await monitor.flush(5000);
  deepEqual(counts, [1, 2]);
  deepEqual(second.got, [message({ status: 1 }), message({ status: 2 })]);
});

test('a busy server hears no mere progress before it wants to, and news at once', async (t) => {
  const { got, url } = await listen(t, () => ({ status: 204, afterMs: 60_000 }));
  const monitor = new Monitor([url], NO_CREDENTIALS);
  monitor.send(message({ status: 1 }));
  while (got.length < 1) await sleep(5);
  for (let status = 2; status < 50; status++) monitor.send(message({ status, log: lines('x') }));
  await sleep(50);
  equal(got.length, 1);
  monitor.send(message({ status: 107, stage: 'extract' }));
  while (got.length < 2) await sleep(5);
  deepEqual([got[1]!.stage, got[1]!.log.length], ['extract', 48]);
  monitor.send(message({ status: 107, stage: 'extract', host: 'last' }));
  await monitor.flush(5000);
  equal(got.at(-1)!.host, 'last');
});

test('a server that wants to hear of it after a while does', async (t) => {
  const { got, url } = await listen(t, () => ({ status: 204, afterMs: 50 }));
  const monitor = new Monitor([url], NO_CREDENTIALS);
  for (const status of [1, 2, 3]) {
    monitor.send(message({ status }));
    while (got.at(-1)?.status !== status) await sleep(5);
  }
});

test('where large messages get lost, a failure and its reason get through', async (t) => {
  const small: Message[] = [];
  const server = http.createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => {
      text += chunk;
    });
    request.on('end', () => {
      if (text.length > 900) return void request.socket.destroy();
      small.push(parseMessage(text));
      response.writeHead(204).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const monitor = new Monitor([new URL(`http://127.0.0.1:${port}`)], NO_CREDENTIALS);
  const log = lines(...Array<string>(50).fill('a line of some length'));
  monitor.send(
    message({ status: -1, text: `large packets get lost\n${'x'.repeat(2000)}`, inventory: INVENTORY, log }),
  );
  await monitor.flush(300);
  ok(small.length > 0);
  deepEqual([small[0]!.status, small[0]!.text.split('\n')[0]], [-1, 'large packets get lost']);
});

test('flush gives up when its time is over, and nothing throws', async () => {
  const monitor = new Monitor([new URL('http://127.0.0.1:9')], NO_CREDENTIALS);
  monitor.send(message());
  await monitor.flush(150);
  monitor.send(message());
  await monitor.flush(0);
});

test('a server that never answers keeps no process alive', async (t) => {
  const silent = http.createServer(() => {});
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const { port } = silent.address() as AddressInfo;
  const paths = ['../../agent/io/monitor.ts', '../../agent/core/credentials.ts', '../core/messages.ts'];
  const [monitorUrl, credentialsUrl, messagesUrl] = paths.map((path) =>
    JSON.stringify(new URL(path, import.meta.url).href),
  );
  const script = `
    const { Monitor } = await import(${monitorUrl});
    const { NO_CREDENTIALS } = await import(${credentialsUrl});
    const { message } = await import(${messagesUrl});
    const monitor = new Monitor([new URL('http://127.0.0.1:${port}')], NO_CREDENTIALS);
    monitor.send(message());
    await new Promise((resolve) => setTimeout(resolve, 200));
    console.log('done');`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  const ended = once(child, 'close');
  const first = await Promise.race([ended, sleep(4000, 'still running', { ref: false })]);
  child.kill('SIGKILL');
  deepEqual(first, [0, null]);
  equal(said, 'done\n');
});

test('the server is asked about a node', async (t) => {
  const answer = { known: true, armed: true, name: 'node001', armedSince: '2026-01-31T12:00:00.000Z' };
  const { url } = await listen(t, (path) => {
    const asked = path === '/nodes/52:54:00:09:00:01';
    return { status: asked ? 200 : 404, body: JSON.stringify(answer) };
  });
  deepEqual(await askNode(url, '52:54:00:09:00:01', NO_CREDENTIALS, t.signal), answer);
  const refused = (code: string, reason: RegExp) => (error: unknown) =>
    error instanceof SwarmbootError && error.code === code && reason.test(error.message);
  await rejects(
    askNode(url, '52:54:00:09:00:02', NO_CREDENTIALS, t.signal),
    refused('network', /answered 404/),
  );
  await rejects(
    askNode(new URL('http://127.0.0.1:9'), 'x', NO_CREDENTIALS, t.signal),
    refused('network', /ECONNREFUSED.*serve/),
  );
  const broken = await listen(t, () => ({ status: 200, body: '<html>' }));
  await rejects(askNode(broken.url, 'x', NO_CREDENTIALS, t.signal), refused('report', /not JSON/));
});

test('an ask ends with its signal', async (t) => {
  const ending = new AbortController();
  const { url } = await listen(t, () => ({ status: 200 }));
  const reason = new SwarmbootError('interrupted', 'stopped');
  ending.abort(reason);
  await rejects(askNode(url, 'x', NO_CREDENTIALS, ending.signal), (error) => error === reason);
  ok(ending.signal.aborted);
});
