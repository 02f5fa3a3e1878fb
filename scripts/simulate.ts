// `swarmboot simulate`: how long an image takes to all nodes of a cluster, by a run of the real policies on virtual links.

import { setImmediate } from 'node:timers/promises';
import { SwarmbootError } from '../agent/core/errors.ts';
import { pieceLengthFor } from '../agent/core/metainfo.ts';
import { KIB, MIB, type Ms, parseBitRate, parseBytes } from '../agent/core/units.ts';
import { type Arguments, type Command, expectWords, type Option, type Terminal, usage } from './command.ts';
import { Progress } from './progress.ts';
import { FAULT_NAMES, type FaultShares } from './sim/faults.ts';
import { bottleneckOf, type Outcome, summaryOf } from './sim/outcome.ts';
import { Run, type Simulation } from './sim/simulation.ts';

/** Of a full Ethernet frame with preamble and gap, 1538 bytes, so many are content: TCP with timestamps at MTU 1500. */
const CONTENT_SHARE = 1448 / 1538;
const PIECE_BYTES_MIN = 32 * KIB;
/** How far a run goes before the terminal and the signals have their turn. */
const SLICE_MS: Ms = 20;

const OPTIONS: readonly Option[] = [
  { name: 'nodes', kind: 'number', help: 'nodes that are installed' },
  { name: 'size', kind: 'text', value: 'SIZE', help: 'of the image as it is sent: 606MiB, 10GB' },
  { name: 'rate', kind: 'text', value: 'RATE', help: 'of the links, each way: 1Gbit, 100Mbit' },
  {
    name: 'server-rate',
    kind: 'text',
    value: 'RATE',
    help: "of each image server's link (default: as --rate)",
  },
  { name: 'piece', kind: 'text', value: 'SIZE', help: 'of the pieces (default: as publish chooses it)' },
  {
    name: 'racks',
    kind: 'number',
    help: 'racks over which the nodes are spread (default: one switch for all)',
  },
  { name: 'rack-rate', kind: 'text', value: 'RATE', help: "of each rack's link to the others, each way" },
  { name: 'image-servers', kind: 'number', help: 'that have the image at the start', default: 1 },
  {
    name: 'faults',
    kind: 'text',
    value: 'LIST',
    help: `what goes wrong: shares of the nodes that ${FAULT_NAMES.join(', ')}: die=5%,slow=10%`,
  },
  { name: 'stagger', kind: 'number', value: 'MS', help: 'the nodes start within this time', default: 3000 },
  {
    name: 'leave',
    kind: 'number',
    value: 'MS',
    help: 'a node leaves so long after its download (default: never)',
  },
  { name: 'seed', kind: 'number', help: 'another seed is another run; the same gives the same', default: 1 },
  { name: 'json', kind: 'flag', help: 'print JSON' },
];

export const simulate: Command = {
  name: 'simulate',
  synopsis: '--nodes N --size SIZE --rate RATE [options]',
  summary: 'Tells how long an image takes to all nodes of a cluster, and what holds them up.',
  options: OPTIONS,
  async run(args, terminal) {
    expectWords(args);
    const plan = planOf(args);
    const outcome = await watch(new Run(plan), plan, terminal);
    const forecast = forecastOf(plan, outcome);
    terminal.out.write(
      args.flag('json') ? `${JSON.stringify(forecast, null, 2)}\n` : pageOf(forecast, args.text('rate')!),
    );
    if (forecast.unfinished > 0) {
      const who = `${forecast.unfinished} of ${plan.nodes} nodes`;
      throw new SwarmbootError(
        'network',
        `${who} never had the whole image in this run; see docs/simulate.md`,
      );
    }
  },
};

/** The JSON that `simulate` prints. Times are in ms. */
interface Forecast {
  readonly nodes: number;
  readonly sizeBytes: number;
  readonly pieceBytes: number;
  /** Of the pieces that were simulated, which are larger in very large runs. */
  readonly simulatedPieceBytes: number;
  readonly seed: number;
  /** From the first start until the last, and the middle one of all nodes is complete. */
  readonly slowestMs: Ms;
  readonly medianMs: Ms;
  /** From a node's own start. */
  readonly slowestOwnMs: Ms;
  readonly medianOwnMs: Ms;
  readonly boundMs: Ms;
  /** The bound over the slowest node's own time. */
  readonly efficiency: number;
  /** What the image servers sent, in images. */
  readonly serverImages: number;
  readonly wastedShare: number;
  readonly load: Outcome['load'];
  readonly bottleneck: string;
  readonly unfinished: number;
}

function planOf(args: Arguments): Simulation {
  const nodes = wholeNumber(args, 'nodes', 1, 100_000);
  const sizeBytes = sizeOf(args, 'size') ?? missing('size');
  const rate = rateOf(args, 'rate') ?? missing('rate');
  const pieceBytes = sizeOf(args, 'piece') ?? pieceLengthFor(sizeBytes);
  if (pieceBytes < PIECE_BYTES_MIN || !Number.isInteger(Math.log2(pieceBytes)))
    throw usage(`--piece wants a power of two from 32KiB on, not "${args.text('piece')}"`);
  const racks = args.number('racks') === undefined ? 0 : wholeNumber(args, 'racks', 1, nodes);
  const rackRate = rateOf(args, 'rack-rate');
  if (racks > 0 !== (rackRate !== undefined)) throw usage('--racks and --rack-rate go together');
  const leaveAfterMs = args.number('leave');
  const serverRate = rateOf(args, 'server-rate');
  return {
    nodes,
    sizeBytes,
    pieceBytes,
    upBytesPerSec: rate,
    downBytesPerSec: rate,
    imageServers: wholeNumber(args, 'image-servers', 1, 100),
    staggerMs: args.number('stagger')!,
    seed: wholeNumber(args, 'seed', 0, 2 ** 32 - 1),
    faults: faultsOf(args.text('faults') ?? ''),
    ...(serverRate !== undefined && { serverBytesPerSec: serverRate }),
    ...(rackRate !== undefined && { racks: { count: racks, bytesPerSec: rackRate } }),
    ...(leaveAfterMs !== undefined && { leaveAfterMs }),
  };
}

/** Lets the run go on bit by bit, so that it can be watched and stopped. */
async function watch(run: Run, { nodes, sizeBytes }: Simulation, terminal: Terminal): Promise<Outcome> {
  const progress = new Progress(terminal.err, `${nodes} nodes`, nodes * sizeBytes);
  for (let untilMs = SLICE_MS; !run.advance(untilMs); untilMs += SLICE_MS) {
    progress.update(run.bytesHeld);
    await setImmediate();
    terminal.signal.throwIfAborted();
  }
  progress.update(run.bytesHeld);
  return run.outcome();
}

function forecastOf(plan: Simulation, outcome: Outcome): Forecast {
  const all = summaryOf(outcome.finishMs);
  const own = summaryOf(outcome.ownMs);
  const { boundMs, load } = outcome;
  return {
    nodes: plan.nodes,
    sizeBytes: plan.sizeBytes,
    pieceBytes: plan.pieceBytes,
    simulatedPieceBytes: outcome.pieceBytes,
    seed: plan.seed,
    slowestMs: all.slowestMs,
    medianMs: all.medianMs,
    slowestOwnMs: own.slowestMs,
    medianOwnMs: own.medianMs,
    boundMs,
    efficiency: boundMs / own.slowestMs,
    serverImages: outcome.seederBytes / plan.sizeBytes,
    wastedShare: outcome.wastedBytes / plan.sizeBytes / plan.nodes,
    load,
    bottleneck: bottleneckOf(load),
    unfinished: outcome.unfinished.length,
  };
}

function pageOf(forecast: Forecast, rate: string): string {
  const seconds = (ms: Ms) => `${(ms / 1000).toFixed(1)} s`;
  const { slowestMs, medianMs, slowestOwnMs, medianOwnMs } = forecast;
  const size = `${(forecast.sizeBytes / 1e9).toFixed(2)} GB`;
  const count = forecast.nodes.toLocaleString('en');
  const rows: [string, string][] = [
    ['slowest node', `${seconds(slowestMs)} after the first start, ${seconds(slowestOwnMs)} after its own`],
    ['median node', `${seconds(medianMs)} after the first start, ${seconds(medianOwnMs)} after its own`],
    ['at best', `${seconds(forecast.boundMs)}: efficiency ${forecast.efficiency.toFixed(2)}`],
    ['server sends', `${forecast.serverImages.toFixed(2)} images`],
    ['thrown away', `${(100 * forecast.wastedShare).toFixed(2)} % of what the nodes fetch`],
    ['bottleneck', forecast.bottleneck],
  ];
  if (forecast.simulatedPieceBytes > forecast.pieceBytes)
    rows.push(['simulated in', `pieces of ${forecast.simulatedPieceBytes / MIB} MiB (docs/simulate.md)`]);
  const lines = rows.map(([what, value]) => `${what.padEnd(14)}${value}\n`);
  return `${count} nodes, ${size}, ${rate}: expect ${Math.round(slowestMs / 1000)} s\n${lines.join('')}`;
}

function faultsOf(list: string): FaultShares {
  const shares: Record<string, number> = {};
  for (const item of list.split(',').filter((text) => text !== '')) {
    const [, name = '', percent = ''] = /^([a-z]+)=(\d{1,2}(?:\.\d+)?)%$/.exec(item) ?? [];
    if (!FAULT_NAMES.some((known) => known === name))
      throw usage(`--faults wants a list like die=5%,slow=10% of ${FAULT_NAMES.join(', ')}, not "${item}"`);
    shares[name] = Number(percent) / 100;
  }
  return shares;
}

function sizeOf(args: Arguments, name: string): number | undefined {
  const text = args.text(name);
  if (text === undefined) return undefined;
  const bytes = parseBytes(text);
  if (bytes === undefined || bytes === 0)
    throw usage(`--${name} wants a size like 606MiB or 10GB, not "${text}"`);
  return bytes;
}

/** Content per second over a link of the rate that is given. */
function rateOf(args: Arguments, name: string): number | undefined {
  const text = args.text(name);
  if (text === undefined) return undefined;
  const bits = parseBitRate(text);
  if (bits === undefined || bits === 0)
    throw usage(`--${name} wants a rate like 1Gbit or 100Mbit, not "${text}"`);
  return (bits / 8) * CONTENT_SHARE;
}

function wholeNumber(args: Arguments, name: string, min: number, max: number): number {
  const value = args.number(name) ?? missing(name);
  if (!Number.isInteger(value) || value < min || value > max)
    throw usage(`--${name} wants a whole number from ${min} to ${max}, not ${value}`);
  return value;
}

function missing(name: string): never {
  throw usage(`--${name} is missing; see --help`);
}
