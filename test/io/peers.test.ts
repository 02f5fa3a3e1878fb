import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Link } from '../../agent/core/ports.ts';
import { MIB } from '../../agent/core/units.ts';
import { PEERS_OPTIONS, Peers, type PeersOptions } from '../../agent/io/peers.ts';

/** Listens on loopback; what arrives is kept in order. */
async function listen(t: TestContext, options: Partial<PeersOptions> = {}) {
  const peers = new Peers({ ...PEERS_OPTIONS, host: '127.0.0.1', port: 0, ...options });
  const arrived: Link[] = [];
  const links: Link[] = [];
  let wake = () => {};
  const port = await peers.listen((link) => {
    arrived.push(link);
    links.push(link);
    wake();
  });
  t.after(async () => {
    for (const link of links) link.close('over');
    await peers.close();
  });
  const next = async () => {
    while (arrived.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return arrived.shift()!;
  };
  /** A caller that says nothing by itself. */
  const call = (host = '127.0.0.1') => {
    const socket = connect(port, host).on('error', () => {});
    t.after(() => void socket.destroy());
    return socket.resume();
  };
  return { port, next, call };
}

/** Reads a link: what came, and why it ended. */
function read(link: Link) {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const closed = new Promise<string>((resolve) => {
    link.open({
      data: (chunk) => {
        bytes += chunk.length;
        chunks.push(Buffer.from(chunk));
      },
      closed: resolve,
    });
  });
  return { closed, content: () => Buffer.concat(chunks), count: () => bytes };
}

test('bytes go both ways, and both sides learn of the end', async (t) => {
  const server = await listen(t);
  const caller = await new Peers({ ...PEERS_OPTIONS, host: '127.0.0.1', port: 0 }).dial({
    host: '127.0.0.1',
    port: server.port,
  });
  const answerer = await server.next();
  assert.ok(caller.outgoing && !answerer.outgoing);
  assert.deepEqual(caller.remote, { host: '127.0.0.1', port: server.port });
  assert.equal(answerer.remote.host, '127.0.0.1');
  const [here, there] = [read(caller), read(answerer)];
  const content = Buffer.alloc(3 * MIB, 'abcdefg');
  caller.write(content);
  answerer.write(Buffer.from('hello'));
  while (here.count() < 5 || there.count() < content.length) await sleep(1);
  caller.close('enough');
  assert.equal(await there.closed, 'closed by the peer');
  assert.equal(await here.closed, 'enough');
  assert.ok(there.content().equals(content));
  assert.equal(here.content().toString(), 'hello');
});

test('bytes that came before the link was opened are not lost', async (t) => {
  const server = await listen(t);
  const socket = server.call();
  socket.end('early');
  const link = await server.next();
  await once(socket, 'finish');
  const { closed, content } = read(link);
  await closed;
  assert.equal(content().toString(), 'early');
});

test('a link that was gone before it was opened says so', async (t) => {
  const server = await listen(t);
  const socket = server.call();
  const link = await server.next();
  link.close('not wanted');
  await once(socket, 'close');
  assert.equal(await read(link).closed, 'not wanted');
  await new Promise<void>((resolve) => link.write(Buffer.from('late'), resolve));
});

test('callers beyond the limit are hung up on, and there is room again when one goes', async (t) => {
  for (const limit of [{ linksMax: 2 }, { linksPerHostMax: 2 }]) {
    const server = await listen(t, limit);
    const sockets = [server.call(), server.call()];
    const links = [await server.next(), await server.next()];
    const third = server.call();
    await once(third, 'close');
    for (const link of links) link.close('over');
    await Promise.all(sockets.map((socket) => once(socket, 'close')));
    for (let tries = 0; ; tries++) {
      const next = server.call();
      const link = await Promise.race([server.next(), once(next, 'close').then(() => null)]);
      if (link !== null) break;
      assert.ok(tries < 100, 'no room again');
    }
  }
});

test('nobody there is an error that says so', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === 'object');
  const { port } = bound;
  server.close();
  await once(server, 'close');
  const peers = new Peers({ ...PEERS_OPTIONS, host: '127.0.0.1', port: 0 });
  await assert.rejects(peers.dial({ host: '127.0.0.1', port }), /ECONNREFUSED/);
});

test('a port that is taken and an address that is not ours are errors of the network', async (t) => {
  const { port } = await listen(t);
  for (const options of [
    { host: '127.0.0.1', port },
    { host: '192.0.2.1', port: 0 },
  ]) {
    const second = new Peers({ ...PEERS_OPTIONS, ...options });
    await assert.rejects(
      second.listen(() => {}),
      { code: 'network', message: /choose another port/ },
    );
  }
});

test('callers over IPv4 have IPv4 addresses where both are listened to', async (t) => {
  const server = await listen(t, { host: '::' });
  for (const host of ['127.0.0.1', '::1']) {
    server.call(host);
    assert.equal((await server.next()).remote.host, host);
  }
});
