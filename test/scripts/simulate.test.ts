import { deepEqual, equal, match } from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { runCommand } from '../../scripts/program.ts';
import { simulate } from '../../scripts/simulate.ts';

async function run(words: readonly string[], signal = new AbortController().signal) {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const status = await runCommand([simulate], '0', ['simulate', ...words], { out, err, signal });
  return { status, out: String(out.read() ?? ''), err: String(err.read() ?? '') };
}

const SMALL = ['--nodes', '10', '--size', '4MiB', '--rate', '100Mbit', '--stagger', '200'];

test('the forecast names the time, the bound, the load of the server and the bottleneck', async () => {
  const { status, out, err } = await run(SMALL);
  equal(err, '');
  equal(status, 0);
  match(out, /^10 nodes, 0\.00 GB, 100Mbit: expect \d+ s\n/);
  for (const fact of ['slowest node', 'median node', 'at best', 'server sends', 'thrown away', 'bottleneck'])
    match(out, new RegExp(`^${fact} +\\S`, 'm'));
});

test('JSON says the same with numbers, and the same seed gives the same', async () => {
  const [one, same, other] = await Promise.all([
    run([...SMALL, '--json']),
    run([...SMALL, '--json']),
    run([...SMALL, '--json', '--seed', '2']),
  ]);
  equal(one.out, same.out);
  const forecast = JSON.parse(one.out);
  deepEqual([forecast.nodes, forecast.sizeBytes, forecast.unfinished], [10, 4 * 2 ** 20, 0]);
  equal(forecast.efficiency > 0.05 && forecast.efficiency <= 1, true);
  equal(forecast.slowestMs === JSON.parse(other.out).slowestMs, false);
});

test('narrow racks and a narrow server are told as the bottleneck', async () => {
  const racks = await run([...SMALL, '--racks', '2', '--rack-rate', '20Mbit']);
  match(racks.out, /^bottleneck +the rack uplinks, /m);
  const server = await run([...SMALL, '--server-rate', '5Mbit']);
  match(server.out, /^bottleneck +the image servers' links, /m);
});

test('what makes no sense is refused with what is wanted', async () => {
  for (const [words, fault] of [
    [['--size', '1GB', '--rate', '1Gbit'], /--nodes is missing/],
    [['--nodes', '5', '--size', '1 parsec', '--rate', '1Gbit'], /--size wants a size like/],
    [['--nodes', '5', '--size', '1GB', '--rate', 'fast'], /--rate wants a rate like/],
    [['--nodes', '0', '--size', '1GB', '--rate', '1Gbit'], /--nodes wants a whole number/],
    [[...SMALL, '--piece', '100kB'], /--piece wants a power of two/],
    [[...SMALL, '--racks', '2'], /--racks and --rack-rate go together/],
    [[...SMALL, '--faults', 'sulk=5%'], /--faults wants a list like .* not "sulk=5%"/],
  ] as const) {
    const { status, err } = await run(words);
    equal(status, 2);
    match(err, fault);
  }
});

test('a signal ends a run between two slices', async () => {
  const stop = new AbortController();
  stop.abort(new SwarmbootError('interrupted', 'stopped by SIGINT'));
  const { status, out } = await run(SMALL, stop.signal);
  equal(status, 14);
  equal(out, '');
});
