import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LocalDiscovery } from '../../agent/io/discovery.ts';

interface Test {
  after(done: () => void): void;
}

/** Hears and speaks on loopback; what it heard that is ours, and what failed. */
function open(t: Test, host = '127.0.0.1') {
  const discovery = new LocalDiscovery(host);
  const heard: string[] = [];
  const failed: unknown[] = [];
  discovery.open(
    (datagram, from) => heard.push(`${Buffer.from(datagram).toString()} from ${from}`),
    (error) => failed.push(error),
  );
  let open = true;
  const close = () => {
    if (open) discovery.close();
    open = false;
  };
  t.after(close);
  return { discovery, heard, failed, close };
}

test('what one says all others hear, several on one machine among them', { timeout: 10_000 }, async (t) => {
  const [one, two, three] = [open(t), open(t), open(t)];
  const word = `swarmboot test ${process.pid}`;
  while (![two, three].every(({ heard }) => heard.includes(`${word} from 127.0.0.1`))) {
    one.discovery.say(Buffer.from(word));
    await sleep(20);
  }
  assert.deepEqual(
    [one, two, three].flatMap(({ failed }) => failed),
    [],
  );
});

test('after the end nothing is heard or said, and who never began ends as well', {
  timeout: 10_000,
}, async (t) => {
  const [one, two] = [open(t), open(t)];
  const word = `swarmboot end ${process.pid}`;
  two.close();
  one.discovery.say(Buffer.from(word));
  await sleep(100);
  assert.deepEqual(two.heard, []);
  new LocalDiscovery('::').close();
});

test('where there is no network to speak on that is told, and nothing else happens', {
  timeout: 10_000,
}, async (t) => {
  const { discovery, failed } = open(t, '203.0.113.9');
  discovery.say(Buffer.from('nobody hears this'));
  while (failed.length === 0) await sleep(5);
  discovery.say(Buffer.from('nor this'));
  await sleep(50);
});
