// Builds what nodes boot over the network: the command line of initrd-builder, and its size report for people.

import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { formatPublicKey } from '../agent/core/minisign.ts';
import { TRUST_PATH } from '../agent/core/trust.ts';
import { EXTRA_WORDS } from '../initrd-builder/boel.ts';
import { type BuildReport, buildInitrd, RELEASE_LEVEL } from '../initrd-builder/build.ts';
import type { AddedFile } from '../initrd-builder/tree.ts';
import packageJson from '../package.json' with { type: 'json' };
import { building, wordsOf } from './boel.ts';
import { type Arguments, type Command, expectWords, usage } from './command.ts';
import { newestSigned } from './manifest.ts';
import { REPO_OPTION } from './repository.ts';
import { readPublicKey } from './sign.ts';
import { readAuthority } from './tls.ts';

/** Made by `make agent`. */
const AGENT = path.join(import.meta.dirname, '..', 'build', 'swarmboot-agent');

export const initrdBuild: Command = {
  name: 'initrd build',
  synopsis: '[options]',
  summary:
    'Builds the kernel and the RAM disk that nodes boot over the network, and tells what takes how much.',
  options: [
    REPO_OPTION,
    {
      name: 'out',
      kind: 'text',
      value: 'DIR',
      help: 'where kernel and initrd.img go (default: boot in the repository)',
    },
    {
      name: 'kernel',
      kind: 'text',
      value: 'VERSION|DIR',
      help: 'a kernel of this machine, or the folder of an unpacked kernel package, with a slash in it (default: the newest here)',
    },
    {
      name: 'modules',
      kind: 'text',
      value: 'WHICH',
      help: 'all, default (wired networks, disks, their file systems), or names with commas',
      default: 'default',
    },
    {
      name: 'add',
      kind: 'list',
      value: 'FILE:PATH',
      help: 'a file of this machine, and where it goes in the RAM disk',
    },
    {
      name: 'param',
      kind: 'list',
      value: 'NAME=VALUE',
      help: 'a parameter for nodes that are told nothing else',
    },
    {
      name: 'trust',
      kind: 'list',
      value: 'NAME.pub',
      help: "a public key: nodes then install only what one of these keys has signed, from the repository's newest manifest on",
    },
    { name: 'with', kind: 'text', value: 'WORDS', help: `more tools: ${EXTRA_WORDS.join(', ')}` },
    {
      name: 'level',
      kind: 'number',
      value: '1..19',
      help: 'how hard zstd tries: 3 takes seconds and gives a larger RAM disk',
      default: RELEASE_LEVEL,
    },
  ],
  run: async (args, terminal) => {
    expectWords(args);
    const level = args.number('level')!;
    if (!Number.isInteger(level) || level < 1 || level > RELEASE_LEVEL) {
      throw usage(`--level wants a whole number from 1 to ${RELEASE_LEVEL}, not ${level}`);
    }
    const out = path.resolve(args.text('out') ?? path.join(args.text('repo')!, 'boot'));
    const trust = await trustFile(args, out);
    const options = {
      kernel: args.text('kernel') ?? null,
      modules: wordsOf(args.text('modules')),
      agent: AGENT,
      extras: wordsOf(args.text('with')),
      added: [...args.list('add').map(addedFile), ...trust],
      params: args.list('param'),
      version: packageJson.version,
      level,
      out,
    };
    const tell = (line: string) => terminal.err.write(`${line}\n`);
    const report = await building(terminal.signal, () => buildInitrd(options, tell, terminal.signal));
    terminal.out.write(sizeTable(report));
    terminal.out.write(`${out} has kernel, initrd.img and this as initrd.json\n`);
  },
};

/** What nodes believe by, made of the keys given and the site's authority: none, or one file, which is left beside the RAM disk. */
async function trustFile(args: Arguments, out: string): Promise<AddedFile[]> {
  const keys = await Promise.all(args.list('trust').map(readPublicKey));
  const file = path.join(out, 'trust.json');
  const repo = args.text('repo')!;
  const authority = await readAuthority(repo);
  if (keys.length === 0) {
    if (authority !== null)
      throw usage(
        `${repo} has an authority, and the RAM disk would not know it: give --trust NAME.pub (swarmboot keygen and sign), or remove ${repo}/tls`,
      );
    await fs.rm(file, { force: true });
    return [];
  }
  const signed = await newestSigned(repo, { keys, serialMin: 1, sinceSec: 0, authority: null });
  if (signed === null) {
    throw usage(
      `nothing is signed in ${repo}, and nodes would believe nothing of it; sign first: swarmboot sign`,
    );
  }
  const { serial, created } = signed.manifest.release!;
  const lines = keys.map((key) => formatPublicKey(key).split('\n')[1]);
  await fs.mkdir(out, { recursive: true });
  const trust = {
    keys: lines,
    serialMin: serial,
    // By this time a node sets a clock that is behind: no certificate must be from the future then.
    since: Math.max(created, authority?.sinceSec ?? 0),
    authority: authority?.text ?? null,
  };
  await fs.writeFile(file, `${JSON.stringify(trust, null, 2)}\n`);
  return [{ file, path: TRUST_PATH }];
}

/** `FILE:PATH`; the path begins at the last colon before a slash. */
function addedFile(text: string): AddedFile {
  const at = text.lastIndexOf(':/');
  if (at < 1) throw usage(`--add wants FILE:PATH with an absolute path in the RAM disk, not "${text}"`);
  return { file: path.resolve(text.slice(0, at)), path: text.slice(at + 1) };
}

function sizeTable(report: BuildReport): string {
  const rows = [
    ['part', 'files', 'MB', 'MB packed'],
    ...report.parts.map((part) => [part.name, `${part.files}`, inMb(part.bytes), inMb(part.packedBytes)]),
    ['initrd.img', '', '', inMb(report.initrd.bytes)],
    [`kernel ${report.kernel.version}`, '', '', inMb(report.kernel.bytes)],
  ];
  const width = Math.max(...rows.map(([name = '']) => name.length));
  const line = ([name = '', ...numbers]: string[]) =>
    `${name.padEnd(width)}${numbers.map((number) => number.padStart(11)).join('')}\n`;
  return rows.map(line).join('');
}

/** Megabytes of 10^6 bytes. */
const inMb = (bytes: number) => (bytes / 1e6).toFixed(2);
