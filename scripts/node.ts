// Arms nodes for an install at their next network boot, lists where they stand, and prints what their installs said.

import { SwarmbootError } from '../agent/core/errors.ts';
import { parseMac } from '../agent/core/mac.ts';
import { formatDuration } from '../agent/core/units.ts';
import { type Command, expectWords, type Terminal, usage } from './command.ts';
import { describeState, LOST_MS, type LogEntry, type NodeRecord } from './core/board.ts';
import { type Alarm, WINDOW_HOURS, WINDOW_HOURS_MAX } from './core/enrolment.ts';
import type { Node, Nodes } from './core/nodes.ts';
import { armNode, readAlarms, revokeNode } from './enrolment.ts';
import { followLog, readLog } from './logs.ts';
import { armedSince, disarm, nodesPath, readNodes, readRecords } from './nodes.ts';
import { REPO_OPTION, readEntry } from './repository.ts';
import { formatTable } from './table.ts';

const SELECTORS = 'NAME|MAC|RANGE|@GROUP... [options]';

/** A machine as lists show it. */
interface Standing {
  readonly mac: string;
  /** Null: it is not in nodes.conf. */
  readonly node: Node | null;
  readonly armedAt: string | null;
  /** Somebody who is not it has tried to enrol as it. */
  readonly alarm: Alarm | null;
  readonly record: NodeRecord | null;
  readonly state: string;
}

export const nodeArm: Command = {
  name: 'node arm',
  synopsis: SELECTORS,
  summary: 'Makes the next network boot of nodes install them, and lets each enrol once.',
  options: [
    {
      name: 'window',
      kind: 'number',
      value: 'HOURS',
      help: 'how long they may enrol, in a closed site',
      default: WINDOW_HOURS,
    },
    REPO_OPTION,
  ],
  run: async (args, terminal) => {
    const repo = args.text('repo')!;
    const hours = args.number('window')!;
    if (!(hours > 0 && hours <= WINDOW_HOURS_MAX)) {
      throw usage(`--window wants hours, more than 0 and at most ${WINDOW_HOURS_MAX}, not ${hours}`);
    }
    const nodes = selected(await readNodes(repo), args.words);
    const images = new Set<string>();
    for (const { name, image } of nodes) {
      if (image !== null) images.add(image);
      else throw fault(`${name} has no image=`, `add one in ${nodesPath(repo)}`);
    }
    for (const image of images) {
      if ((await readEntry(repo, image))?.kind === 'image') continue;
      throw fault(`no image "${image}" is published in ${repo}`, 'see swarmboot publish and swarmboot list');
    }
    for (const { name, mac } of nodes) {
      await armNode(repo, mac, hours);
      terminal.out.write(`armed ${name} (${mac})\n`);
    }
  },
};

export const nodeDisarm: Command = {
  name: 'node disarm',
  synopsis: SELECTORS,
  summary: 'Makes nodes boot from their own disks.',
  options: [REPO_OPTION],
  run: async (args, terminal) => {
    const repo = args.text('repo')!;
    for (const { name, mac } of selected(await readNodes(repo), args.words)) {
      const was = await disarm(repo, mac);
      terminal.out.write(was ? `disarmed ${name} (${mac})\n` : `${name} (${mac}) was not armed\n`);
    }
  },
};

export const nodeRevoke: Command = {
  name: 'node revoke',
  synopsis: SELECTORS,
  summary: 'Ends what nodes have enrolled for, disarms them, and forgets which machines they were.',
  options: [REPO_OPTION],
  run: async (args, terminal) => {
    const repo = args.text('repo')!;
    for (const { name, mac } of selected(await readNodes(repo), args.words)) {
      const was = await revokeNode(repo, mac);
      terminal.out.write(
        was ? `revoked ${name} (${mac})\n` : `${name} (${mac}) has not enrolled, and is not armed\n`,
      );
    }
  },
};

export const nodeList: Command = {
  name: 'node list',
  synopsis: '[options]',
  summary: 'Lists the nodes, and machines that nobody has named yet.',
  options: [{ name: 'json', kind: 'flag', help: 'print all that is known' }, REPO_OPTION],
  run: async (args, terminal) => {
    expectWords(args);
    const standings = await readStandings(args.text('repo')!, (text) => terminal.err.write(`${text}\n`));
    if (args.flag('json')) {
      terminal.out.write(`${JSON.stringify(standings, null, 2)}\n`);
      return;
    }
    const rows = standings.map(({ mac, node, record, state }) => [
      node?.name ?? '-',
      mac,
      node?.image ?? '-',
      state,
      formatTime(record?.at),
    ]);
    terminal.out.write(formatTable([['NAME', 'MAC', 'IMAGE', 'STATE', 'LAST SEEN (UTC)'], ...rows]));
  },
};

export const logs: Command = {
  name: 'logs',
  synopsis: 'NAME|MAC [options]',
  summary: 'Prints what the installs of one machine said.',
  options: [
    { name: 'follow', kind: 'flag', help: 'go on with what comes, until interrupted' },
    { name: 'json', kind: 'flag', help: 'print JSON lines' },
    REPO_OPTION,
  ],
  run: async (args, terminal) => {
    const repo = args.text('repo')!;
    const { mac } = await findMachine(repo, expectWords(args, 'NAME|MAC')[0], terminal);
    let install: string | null | undefined;
    const entries = args.flag('follow') ? followLog(repo, mac, terminal.signal) : await readLog(repo, mac);
    for await (const entry of entries) {
      if (args.flag('json')) terminal.out.write(`${JSON.stringify(entry)}\n`);
      else {
        if (entry.install !== install) terminal.out.write(`install ${entry.install ?? '-'}\n`);
        terminal.out.write(`${formatEntry(entry)}\n`);
      }
      install = entry.install;
    }
  },
};

/** What each word means, every node once. */
function selected(nodes: Nodes, words: readonly string[]): readonly Node[] {
  if (words.length === 0) throw usage('no node is named; see --help');
  return [...new Set(words.flatMap((word) => nodes.select(word)))];
}

/** Every machine: those of nodes.conf in its order, then the others that have spoken. */
async function readStandings(repo: string, problem: (text: string) => void): Promise<readonly Standing[]> {
  const nodes = await readNodes(repo);
  const records = await readRecords(repo, problem);
  const alarms = await readAlarms(repo);
  const lostBefore = new Date(Date.now() - LOST_MS).toISOString();
  const strangers = [...records.keys()].filter((mac) => nodes.byMac(mac) === null);
  return Promise.all(
    [...nodes.all.map(({ mac }) => mac), ...strangers].map(async (mac) => {
      const node = nodes.byMac(mac);
      const record = records.get(mac) ?? null;
      const armedAt = node === null ? null : ((await armedSince(repo, mac))?.toISOString() ?? null);
      const alarm = alarms.get(mac) ?? null;
      const known = { listed: node !== null, armedAt, alarm: alarm?.text ?? null, lostBefore };
      return { mac, node, armedAt, alarm, record, state: describeState(record, known) };
    }),
  );
}

async function findMachine(repo: string, word: string, terminal: Terminal): Promise<Standing> {
  const standings = await readStandings(repo, (text) => terminal.err.write(`${text}\n`));
  // One that is not in nodes.conf goes by the name that it gives itself, as on the page.
  const nameOf = ({ node, record }: Standing) => node?.name ?? record?.message.host;
  const found = standings.find((one) => nameOf(one) === word || one.mac === parseMac(word));
  if (found === undefined) throw fault(`nothing is known of "${word}"`, 'see swarmboot node list');
  return found;
}

/** `2026-01-31 12:00:05  0:42  image ...`: when it came, and how long after the install began it was said. */
function formatEntry({ at, atMs, text }: LogEntry): string {
  return `${formatTime(at)}  ${formatDuration(atMs).padStart(5)}  ${text}`;
}

/** `2026-01-31 12:00:05`. */
export function formatTime(at: string | undefined): string {
  return at === undefined ? '-' : at.slice(0, 19).replace('T', ' ');
}

function fault(what: string, next: string): SwarmbootError {
  return new SwarmbootError('nodes', `${what}; ${next}`);
}
