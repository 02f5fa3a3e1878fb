// Shows in a terminal what the page shows in a browser: the cluster at a glance, or all that is known of one machine.

import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import type { Inventory, LinkSight } from '../agent/core/inventory.ts';
import { mac12, parseMac } from '../agent/core/mac.ts';
import { plainText } from '../agent/core/report.ts';
import { formatBytes, formatDuration, formatRate, type Ms } from '../agent/core/units.ts';
import { type Command, type Terminal, usage } from './command.ts';
import { NODE_STATES } from './core/board.ts';
import type { Cluster, ClusterNode, ClusterRun, NodeDetail } from './core/cluster.ts';
import { formatTime } from './node.ts';
import { formatTable } from './table.ts';

const DRAW_MS: Ms = 2000;
const ANSWER_MS: Ms = 10_000;
const SHOWN_LINES = 20;
/** What a line of the table takes beside the state of a node. */
const OTHER_COLUMNS = 72;
/** Erases the screen and goes to its top (ECMA-48). */
const CLEAR = '\x1b[2J\x1b[H';

export const status: Command = {
  name: 'status',
  synopsis: '[NAME|MAC] [options]',
  summary: 'Shows the cluster at work, or one machine.',
  options: [
    { name: 'watch', kind: 'flag', help: 'draw it again every two seconds, until interrupted' },
    { name: 'json', kind: 'flag', help: 'print all that is known, as JSON' },
    {
      name: 'server',
      kind: 'text',
      value: 'URL',
      help: 'where swarmboot serve answers',
      default: 'http://localhost:8080',
    },
  ],
  run: async (args, terminal) => {
    const [word, ...more] = args.words;
    if (more.length > 0) throw usage(`too many words: "${more.join(' ')}"; see --help`);
    const server = args.text('server')!;
    const look = async () => {
      const cluster = (await ask(server, 'cluster.json', terminal.signal)) as Cluster;
      if (word === undefined)
        return args.flag('json') ? formatJson(cluster) : formatCluster(cluster, roomOf(terminal));
      const node = cluster.nodes.find(({ name, mac }) => name === word || mac === parseMac(word));
      if (node === undefined)
        throw new SwarmbootError('nodes', `nothing is known of "${word}"; see swarmboot status`);
      const detail = (await ask(server, `nodes/${mac12(node.mac)}.json`, terminal.signal)) as NodeDetail;
      return args.flag('json') ? formatJson(detail) : formatDetail(detail);
    };
    if (!args.flag('watch')) return void terminal.out.write(await look());
    const clear = 'isTTY' in terminal.out && terminal.out.isTTY === true ? CLEAR : '';
    for (;;) {
      terminal.out.write(`${clear}${await look()}`);
      await sleep(DRAW_MS, undefined, { signal: terminal.signal });
    }
  },
};

/** Throws SwarmbootError('network') when it is not answered. */
async function ask(server: string, path: string, signal: AbortSignal): Promise<unknown> {
  const base = /^https?:\/\//.test(server) ? server : `http://${server}`;
  const url = `${base.replace(/\/$/, '')}/${path}`;
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]) });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return await response.json();
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const next = 'start swarmboot serve there, or give --server';
    throw new SwarmbootError('network', `cannot get ${url}: ${messageOf(cause)}; ${next}`, { cause: error });
  }
}

/** What a screen has room for below the head: nodes, and characters of a state. Elsewhere all nodes. */
interface Room {
  readonly nodes: number;
  readonly phrase: number;
}

function roomOf({ out }: Terminal): Room {
  const [rows, columns] = ['rows', 'columns'].map((key) => Reflect.get(out, key) as unknown);
  return {
    nodes: typeof rows === 'number' ? Math.max(5, rows - 8) : Number.POSITIVE_INFINITY,
    phrase: typeof columns === 'number' ? Math.max(20, columns - OTHER_COLUMNS) : 60,
  };
}

/** The cluster in lines; of more nodes than there is room for those that want looking at come first. */
function formatCluster(cluster: Cluster, room: Room): string {
  const { counts, nodes, runs, downBytesPerSec, upBytesPerSec, at } = cluster;
  const standing = NODE_STATES.filter((state) => counts[state] > 0).map(
    (state) => `${counts[state]} ${state}`,
  );
  const lines = [
    `${at.slice(11, 19)} UTC  ${nodes.length} nodes: ${standing.join(', ') || 'none are known'}`,
    `all together: down ${formatRate(downBytesPerSec)}, up ${formatRate(upBytesPerSec)}`,
    ...runs.map(describeRun),
    '',
  ];
  const order = (node: ClusterNode) => NODE_STATES.indexOf(node.state);
  const sorted = nodes.toSorted(
    (a, b) => order(a) - order(b) || a.percent - b.percent || (a.name < b.name ? -1 : 1),
  );
  const rows = sorted
    .slice(0, room.nodes)
    .map((node) => [
      plainText(node.name),
      plainText(node.phrase).slice(0, room.phrase),
      plainText(node.stage),
      `${Math.floor(node.percent)} %`,
      formatRate(node.downBytesPerSec),
      formatRate(node.upBytesPerSec),
      `${node.peers}`,
      node.leftMs === null ? '-' : formatDuration(node.leftMs),
    ]);
  const table = formatTable([['NAME', 'STATE', 'STAGE', 'DONE', 'DOWN', 'UP', 'PEERS', 'LEFT'], ...rows]);
  const rest = nodes.length - rows.length;
  return `${lines.join('\n')}\n${nodes.length === 0 ? '' : table}${rest > 0 ? `and ${rest} more\n` : ''}`;
}

function describeRun({ report, rates }: ClusterRun): string {
  const { counts, elapsedMs, leftMs, linkShare, seederCopies } = report;
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const parts = [
    `run ${report.id}: ${counts.imaged + counts.installed} of ${total} have the image after ${formatDuration(elapsedMs)}`,
    leftMs === null ? '' : `about ${formatDuration(leftMs)} left`,
    linkShare === null ? '' : `efficiency ${Math.round(100 * linkShare)} % so far`,
    `first seeder ${formatRate(rates.seederBytesPerSec)}, ${seederCopies.toFixed(2)} images`,
  ];
  return parts.filter(Boolean).join(', ');
}

/** One machine in lines. */
function formatDetail({ node, listed, record, install, log }: NodeDetail): string {
  const rows: [string, string][] = [
    ['state', node.phrase],
    ['last seen', formatTime(node.heard ?? undefined)],
    ['image', node.image ?? '-'],
    ['groups', node.groups.join(', ') || '-'],
  ];
  if (listed !== null) {
    rows.push(['layout', listed.layout ?? '-'], ['overrides', listed.overrides.join(', ') || '-']);
    rows.push(['parameters', listed.params.join(' ') || '-']);
  }
  for (const [index, { stage, atMs }] of (install?.stages ?? []).entries())
    rows.push([index === 0 ? 'stages' : '', `${formatDuration(atMs).padStart(7)}  ${stage}`]);
  for (const line of record?.message.text.split('\n') ?? []) if (line !== '') rows.push(['', line]);
  const report = record?.message.report ?? null;
  if (report !== null && node.state === 'installing') {
    rows.push(['verified', `${formatBytes(report.bytesVerified)} of ${formatBytes(report.bytesTotal)}`]);
    rows.push([
      'rates',
      `down ${formatRate(report.downBytesPerSec)}, up ${formatRate(report.upBytesPerSec)}`,
    ]);
    rows.push(['peers', `${report.peers}, ${report.seeders} of them seeders`]);
  }
  const inventory = record?.message.inventory ?? null;
  if (inventory !== null) rows.push(...inventoryRows(inventory));
  const newest = log.filter((entry) => entry.install === log.at(-1)?.install).slice(-SHOWN_LINES);
  for (const [index, { text }] of newest.entries()) rows.push([index === 0 ? 'log' : '', text]);
  const lines = rows.map(([key, value]) => `  ${key.padEnd(11)}  ${plainText(value)}\n`);
  return `${plainText(node.name)} (${node.mac})\n${lines.join('')}`;
}

function inventoryRows(inventory: Inventory): [string, string][] {
  const { vendor, model, serial, firmware, cpu, cores, memoryBytes, disks, links } = inventory;
  return [
    ['machine', [vendor, model, serial === '' ? '' : `serial ${serial}`].filter(Boolean).join(' ') || '-'],
    ['firmware', firmware || '-'],
    ['processor', `${cpu || '-'}, ${cores} threads`],
    ['memory', formatBytes(memoryBytes)],
    ...disks.map((disk): [string, string] => [
      `disk ${disk.name}`,
      [formatBytes(disk.sizeBytes), disk.type, disk.model, disk.serial].filter(Boolean).join(', '),
    ]),
    ...links.map((link): [string, string] => [`link ${link.name}`, describeLink(link)]),
  ];
}

function describeLink({ mac, up, megabitPerSec, fullDuplex, mtu, addresses }: LinkSight): string {
  const speed = megabitPerSec === null ? '' : `${megabitPerSec} Mbit/s`;
  const duplex = fullDuplex === false ? 'half duplex' : '';
  return [mac, up ? 'up' : 'down', speed, duplex, `MTU ${mtu}`, ...addresses].filter(Boolean).join(', ');
}

function formatJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
