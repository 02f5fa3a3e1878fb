// Compares two trees of files in everything that an installation must keep, for the demo and the tests.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { quoted } from '../agent/core/tarhead.ts';
import { MIB } from '../agent/core/units.ts';

const GETFATTR = '/usr/bin/getfattr';
/** What only root can make or keep. */
const PRIVILEGED = /^(security|trusted)\./;

interface Leaf {
  readonly stat: fs.BigIntStats;
  /** Name to value in hexadecimal. */
  readonly attributes: ReadonlyMap<string, string>;
  /** The first path with the same inode. */
  readonly group: string;
}

/**
 * The differences between the trees below `left` and `right`, in words; none when they are alike in paths, types,
 * content, modes, times of modification, links, hard-link groups and extended attributes (ACLs and file capabilities
 * among them); as root also in owners and devices. Sockets are passed over: no archive keeps them.
 * Throws SwarmbootError `missing` when getfattr is not installed.
 */
export async function compareTrees(left: string, right: string): Promise<string[]> {
  const root = process.geteuid?.() === 0;
  const [ours, theirs] = await Promise.all([readTree(left), readTree(right)]);
  const differences: string[] = [];
  for (const [path, leaf] of ours) {
    const other = theirs.get(path);
    const privileged = leaf.stat.isCharacterDevice() || leaf.stat.isBlockDevice();
    if (other === undefined) {
      if (root || !privileged) differences.push(`${quoted(path)} is missing in ${right}`);
      continue;
    }
    const changes = [
      ...compareLeaves(leaf, other, root),
      ...compareContent(placed(left, path), placed(right, path), leaf.stat, other.stat),
    ];
    differences.push(...changes.map((change) => `${quoted(path)}: ${change}`));
  }
  for (const path of theirs.keys()) {
    if (!ours.has(path)) differences.push(`${quoted(path)} is only in ${right}`);
  }
  return differences;
}

/** Every path below `folder`, itself as the empty path, with one character per byte. */
async function readTree(folder: string): Promise<Map<string, Leaf>> {
  const attributes = await readAttributes(folder);
  const leaves = new Map<string, Leaf>();
  const groups = new Map<bigint, string>();
  const visit = (path: string): void => {
    const stat = fs.lstatSync(placed(folder, path), { bigint: true });
    if (stat.isSocket()) return;
    const group = groups.get(stat.ino) ?? path;
    groups.set(stat.ino, group);
    leaves.set(path, { stat, group, attributes: attributes.get(path) ?? new Map() });
    if (!stat.isDirectory()) return;
    for (const name of fs.readdirSync(placed(folder, path), 'latin1').sort()) {
      visit(path === '' ? name : `${path}/${name}`);
    }
  };
  visit('');
  return leaves;
}

function placed(folder: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, 'latin1')]);
}

function compareLeaves(left: Leaf, right: Leaf, root: boolean): string[] {
  const facts = (leaf: Leaf): Readonly<Record<string, string>> => ({
    type: typeOf(leaf.stat),
    mode: (leaf.stat.mode & 0o7777n).toString(8),
    'time of modification': String(leaf.stat.mtimeNs),
    'hard-link group': quoted(leaf.group),
    ...(root && {
      owner: `${leaf.stat.uid}:${leaf.stat.gid}`,
      device: leaf.stat.isCharacterDevice() || leaf.stat.isBlockDevice() ? String(leaf.stat.rdev) : '',
    }),
    'extended attributes': [...leaf.attributes]
      .filter(([name]) => root || !PRIVILEGED.test(name))
      .map(([name, value]) => `${name}=${value}`)
      .sort()
      .join(' '),
  });
  const [ours, theirs] = [facts(left), facts(right)];
  return Object.keys(ours)
    .filter((fact) => ours[fact] !== theirs[fact])
    .map((fact) => `${fact} is ${theirs[fact] || 'none'}, not ${ours[fact] || 'none'}`);
}

function typeOf(stat: fs.BigIntStats): string {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isFIFO()) return 'fifo';
  return stat.isCharacterDevice() ? 'character device' : 'block device';
}

function compareContent(left: Buffer, right: Buffer, ours: fs.BigIntStats, theirs: fs.BigIntStats): string[] {
  if (ours.isSymbolicLink() && theirs.isSymbolicLink()) {
    const [from, to] = [fs.readlinkSync(left, 'latin1'), fs.readlinkSync(right, 'latin1')];
    return from === to ? [] : [`points at ${quoted(to)}, not ${quoted(from)}`];
  }
  if (!ours.isFile() || !theirs.isFile()) return [];
  if (ours.size !== theirs.size) return [`holds ${theirs.size} bytes, not ${ours.size}`];
  return digest(left) === digest(right) ? [] : ['other content'];
}

const buffer = Buffer.alloc(MIB);

function digest(place: Buffer): string {
  const fd = fs.openSync(place, 'r');
  try {
    const hash = createHash('sha256');
    for (;;) {
      const length = fs.readSync(fd, buffer);
      if (length === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, length));
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** The extended attributes of every path below `folder`, by Debian's attr package. */
async function readAttributes(folder: string): Promise<Map<string, Map<string, string>>> {
  const options = ['-R', '-P', '-d', '-m', '-', '-e', 'hex', '-h', '--absolute-names', '.'];
  const text = await promisify(execFile)(GETFATTR, options, {
    cwd: folder,
    encoding: 'latin1',
    maxBuffer: 64 * MIB,
    env: { LC_ALL: 'C' },
  }).then(
    ({ stdout }) => stdout,
    (error) => {
      const what = `cannot read the extended attributes of ${folder} (${messageOf(error).trim()})`;
      throw new SwarmbootError('missing', `${what}; install the package attr`, { cause: error });
    },
  );
  const trees = new Map<string, Map<string, string>>();
  for (const paragraph of text.split('\n\n')) {
    const [head, ...lines] = paragraph.trim().split('\n');
    if (!head?.startsWith('# file: .')) continue;
    const path = unescaped(head.slice('# file: .'.length)).replace(/^\//, '');
    trees.set(
      path,
      new Map(
        lines.map((line): [string, string] => {
          const equals = line.indexOf('=');
          return equals < 0 ? [line, ''] : [line.slice(0, equals), line.slice(equals + 1)];
        }),
      ),
    );
  }
  return trees;
}

/** getfattr writes bytes that it will not print as `\ooo`. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
