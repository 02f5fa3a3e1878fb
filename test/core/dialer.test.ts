import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dialer } from '../../agent/core/dialer.ts';
import { Rng } from '../../agent/core/rng.ts';

const address = (port: number) => ({ host: '10.0.0.1', port });

test('each address is called once, and one known already is not called again', () => {
  const dialer = new Dialer(new Rng(1));
  dialer.found([1, 2, 3].map(address));
  dialer.found([2, 3, 4].map(address));
  const ports = [...dialer.take(2, 0), ...dialer.take(9, 0)].map(({ port }) => port);
  assert.deepEqual(ports.sort(), [1, 2, 3, 4]);
  assert.equal(dialer.dialing, 4);
  assert.deepEqual(dialer.take(9, 1e9), []);
});

test('four calls to one address are under way at once, whatever its ports; others do not wait for it', () => {
  const dialer = new Dialer(new Rng(1));
  const other = { host: '10.0.0.2', port: 1 };
  dialer.found([1, 2, 3, 4, 5, 6].map(address));
  const first = dialer.take(9, 0);
  assert.equal(first.length, 4);
  assert.equal(dialer.deadline(), Number.POSITIVE_INFINITY);
  dialer.found([other]);
  assert.deepEqual(dialer.take(9, 0), [other]);
  dialer.connected(first[0]!);
  assert.ok(dialer.deadline() <= 0);
  assert.equal(dialer.take(9, 0).length, 1);
  dialer.failed(first[1]!, 0);
  assert.equal(dialer.take(9, 0).length, 1);
  assert.equal(dialer.dialing, 5);
});

test('a call that fails is made again later, each time later, up to about a minute', () => {
  const dialer = new Dialer(new Rng(1));
  dialer.found([address(1)]);
  let now = 0;
  const waits: number[] = [];
  for (let round = 0; round < 9; round++) {
    assert.equal(dialer.take(1, now).length, 1);
    dialer.failed(address(1), now);
    assert.equal(dialer.dialing, 0);
    const due = dialer.deadline();
    assert.deepEqual(dialer.take(1, due - 1), []);
    waits.push(due - now);
    now = due;
  }
  waits.forEach((wait, round) => {
    const middle = Math.min(60_000, 1000 * 2 ** round);
    assert.ok(wait >= middle * 0.75 && wait <= middle * 1.25, `${wait} of ${middle}`);
  });
});

test('what is connected is not called, and is again when it is gone', () => {
  const dialer = new Dialer(new Rng(1));
  dialer.found([address(1)]);
  dialer.take(1, 0);
  dialer.connected(address(1));
  assert.deepEqual(
    [dialer.dialing, dialer.take(1, 1e9), dialer.deadline()],
    [0, [], Number.POSITIVE_INFINITY],
  );
  dialer.failed(address(1), 1e9);
  assert.equal(dialer.take(1, 1e9 + 2000).length, 1);
});

test('never is never, whatever comes after', () => {
  const dialer = new Dialer(new Rng(1));
  dialer.never(address(1));
  dialer.found([address(1)]);
  dialer.failed(address(1), 0);
  dialer.connected(address(1));
  assert.deepEqual(dialer.take(1, 1e9), []);
  assert.ok(dialer.isBanned(address(1)));
  assert.ok(!dialer.isBanned(address(2)));
});

test('a port of 0 is no address, and there is an end to how many are kept', () => {
  const dialer = new Dialer(new Rng(1));
  dialer.found([address(0)]);
  dialer.failed(address(0), 0);
  assert.deepEqual(dialer.take(1, 1e9), []);
  const many = Array.from({ length: 5000 }, (_, index) => ({
    host: `10.0.${index >> 8}.${index & 255}`,
    port: 1,
  }));
  dialer.found(many);
  assert.equal(dialer.take(9999, 0).length, 2000);
});
