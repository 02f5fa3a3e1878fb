import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { Agenda } from '../../../scripts/sim/agenda.ts';
import { ARRIVED, Network, Port } from '../../../scripts/sim/network.ts';
import { CHUNK, type Entry, Pipe } from '../../../scripts/sim/pipe.ts';

const CHUNK_BYTES = 1000;

/** Nodes with links of these rates (bytes per ms, up and down); `send` fills a pipe, `arrivals` tells what came when. */
function lab(rates: readonly (readonly [number, number])[], racks: readonly (Port | null)[] = []) {
  const pipes: Pipe[] = [];
  const arrivals: { pipe: number; atMs: number }[] = [];
  const entry: Entry = { kind: 0, piece: 0, begin: 0, length: 0 };
  const agenda = new Agenda((kind, id) => {
    if (kind !== ARRIVED) return network.serve(id);
    const pipe = pipes[id]!;
    pipe.shift(entry);
    arrivals.push({ pipe: id, atMs: agenda.now });
    network.offer(pipe);
  });
  const network = new Network(agenda, {
    latencyMs: 1,
    windowBytes: 4 * CHUNK_BYTES,
    socketBytes: CHUNK_BYTES,
    bufferBytes: 2 * CHUNK_BYTES,
  });
  for (const [index, [up, down]] of rates.entries()) {
    network.join(new Port({ upBytesPerSec: 1000 * up, downBytesPerSec: 1000 * down }), racks[index] ?? null);
  }
  const send = (from: number, to: number, chunks: number) => {
    const pipe = new Pipe(pipes.length, from, pipes.length, to, 0);
    pipes.push(pipe);
    for (let chunk = 0; chunk < chunks; chunk++) pipe.push(CHUNK, 0, 0, CHUNK_BYTES);
    network.offer(pipe);
  };
  const lastOf = (pipe: number) => arrivals.findLast((arrival) => arrival.pipe === pipe)!.atMs;
  return { agenda, network, pipes, arrivals, send, lastOf, run: () => agenda.run(() => false, 1e9) };
}

test('a chunk takes its bytes over the rate of the slower link, and the latency', () => {
  for (const rates of [
    [100, 1000],
    [1000, 100],
  ] as const) {
    const { arrivals, send, run } = lab([rates, [rates[1], rates[1]]]);
    send(0, 1, 1);
    run();
    deepEqual(arrivals, [{ pipe: 0, atMs: 11 }]);
  }
});

test('connections share an uplink by turns', () => {
  const { arrivals, send, run } = lab([
    [100, 100],
    [100, 100],
    [100, 100],
  ]);
  send(0, 1, 3);
  send(0, 2, 3);
  run();
  // The first chunk was on its way before the second connection had anything.
  deepEqual(
    arrivals.map(({ pipe }) => pipe),
    [0, 0, 1, 0, 1, 1],
  );
});

test('a message that passes chunks waits behind what the sockets of those that wait to send hold', () => {
  const { network, pipes, send } = lab([
    [100, 1000],
    [100, 100],
    [100, 100],
  ]);
  send(0, 1, 3);
  send(0, 2, 3);
  const idle = new Pipe(pipes.length, 1, pipes.length, 0, 0);
  const socketMs = CHUNK_BYTES / 100;
  deepEqual(network.message(pipes[1]!, 100), 2 * socketMs);
  deepEqual(network.message(idle, 100), 0.1);
});

test('both directions have the whole rate', () => {
  const { send, run, lastOf } = lab([
    [100, 100],
    [100, 100],
  ]);
  send(0, 1, 50);
  send(1, 0, 50);
  run();
  ok(lastOf(0) <= 505 && lastOf(1) <= 505);
});

test('a receiver whose link is full slows one connection, and the sender serves another meanwhile', () => {
  const { send, run, lastOf } = lab([
    [100, 100],
    [10, 10],
    [100, 100],
  ]);
  send(0, 1, 20);
  send(0, 2, 20);
  run();
  ok(lastOf(1) < 450, `the fast one had all after ${lastOf(1)} ms`);
  ok(lastOf(0) >= 2000 && lastOf(0) < 2050, `the slow one after ${lastOf(0)} ms`);
});

test('a receiver to whom many send keeps none of them from others', () => {
  const node = [100, 100] as const;
  const { send, run, lastOf } = lab([node, node, node, node, node]);
  for (const from of [0, 1, 2]) send(from, 3, 20);
  send(0, 4, 20);
  run();
  ok(lastOf(3) < 450, `the one who waits for one sender had all after ${lastOf(3)} ms`);
  ok(lastOf(2) <= 630, `the three senders were through after ${lastOf(2)} ms`);
});

test('two senders share a downlink evenly', () => {
  const { send, run, lastOf } = lab([
    [100, 100],
    [100, 100],
    [100, 100],
  ]);
  send(0, 2, 50);
  send(1, 2, 50);
  run();
  ok(Math.abs(lastOf(0) - lastOf(1)) <= 50 && Math.max(lastOf(0), lastOf(1)) <= 1030);
});

test('what goes from rack to rack shares the links of the racks; what stays does not', () => {
  const rack = () => new Port({ upBytesPerSec: 100_000, downBytesPerSec: 100_000 });
  const [left, right] = [rack(), rack()];
  const node = [100, 100] as const;
  const { send, run, lastOf } = lab([node, node, node, node, node], [left, left, right, right, left]);
  send(0, 2, 50);
  send(1, 3, 50);
  send(4, 0, 50);
  run();
  ok(lastOf(0) > 900 && lastOf(1) > 900, 'the two across have half of the rate each');
  ok(lastOf(2) < 520, `within the rack all was there after ${lastOf(2)} ms`);
});

test('a cut pipe sends nothing until it is whole', () => {
  const { agenda, network, pipes, arrivals, send } = lab([
    [100, 100],
    [100, 100],
  ]);
  send(0, 1, 10);
  pipes[0]!.cut = true;
  agenda.run(() => false, 500);
  deepEqual(arrivals.length, 1);
  pipes[0]!.cut = false;
  network.offer(pipes[0]!);
  agenda.run(() => false, 1e9);
  deepEqual(arrivals.length, 10);
});
