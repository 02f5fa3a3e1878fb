// Everyone who takes part, and how: our peer, the peers of others, and two plain copies as the floor.

import { existsSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { NODE_FLAGS } from '../../scripts/build.ts';
import {
  aria2,
  type Client,
  type Job,
  libtorrent,
  rtorrent,
  toldToGo,
  transmission,
} from '../foreign/clients.ts';
import { Program } from '../foreign/process.ts';

export interface Contender {
  readonly client: Client;
  readonly torrent: 'v1' | 'hybrid' | null;
}

/** Where the engine bench has our peer. */
export const BUNDLES = join(import.meta.dirname, '..', '..', 'build', 'bench');

/** Bundles a script of this folder, as the agent is: to strip types at each start would be counted as ours. Returns where. */
export async function bundle(script: string, into: string): Promise<string> {
  const outfile = join(into, basename(script, '.ts').concat('.cjs'));
  const entryPoints = [join(import.meta.dirname, script)];
  await build({ entryPoints, outfile, bundle: true, platform: 'node', target: 'node26', format: 'cjs' });
  return outfile;
}

/** Our peer, as `bundle` has made it of ours.ts. With `diary` it leaves one in its state folder. */
export function ours(bundled: string, torrent: 'v1' | 'hybrid', diary = false): Client {
  const start = async (role: 'seed' | 'fetch', job: Job) => {
    const args = [
      ...NODE_FLAGS,
      bundled,
      role === 'fetch' && job.stays === false ? 'leave' : role,
      job.torrent,
      join(job.folder, job.name),
      job.host,
      String(job.port),
      ...(diary ? [join(job.state, 'diary.jsonl')] : []),
    ];
    const program = new Program(process.execPath, args, { ...job.launch, told: true });
    return toldToGo(program, role);
  };
  return {
    name: `Swarmboot, ${torrent}`,
    package: '',
    path: process.execPath,
    versionArgs: ['--version'],
    seed: (job) => start('seed', job),
    fetch: (job) => start('fetch', job),
  };
}

export const rsync: Client = {
  name: 'rsync',
  package: 'rsync',
  path: '/usr/bin/rsync',
  versionArgs: ['--version'],
  async seed(job) {
    const settings = join(job.state, 'rsyncd.conf');
    // Root must name a user, and others may not.
    const asRoot = process.getuid!() === 0 ? 'uid = 0\ngid = 0\n' : '';
    writeFileSync(settings, `use chroot = no\n[content]\npath = ${job.folder}\n${asRoot}`);
    const args = [
      '--daemon',
      '--no-detach',
      `--config=${settings}`,
      `--address=${job.host}`,
      `--port=${job.port}`,
    ];
    return running(new Program(rsync.path, args, job.launch));
  },
  async fetch(job) {
    const from = `rsync://${job.seeder}/content/${job.name}`;
    return running(new Program(rsync.path, ['--whole-file', from, join(job.folder, job.name)], job.launch));
  },
};

export const socat: Client = {
  name: 'socat',
  package: 'socat',
  path: '/usr/bin/socat',
  versionArgs: ['-V'],
  async seed(job) {
    const listen = `TCP-LISTEN:${job.port},bind=${job.host},reuseaddr`;
    return running(
      new Program(socat.path, [...SOCAT, `OPEN:${join(job.folder, job.name)}`, listen], job.launch),
    );
  },
  async fetch(job) {
    const to = `CREATE:${join(job.folder, job.name)}`;
    return running(new Program(socat.path, [...SOCAT, `TCP:${job.seeder}`, to], job.launch));
  },
};
const SOCAT = ['-b', '1048576', '-u'];

/** A copy is complete when its program has ended well. */
export function running(program: Program) {
  return { program, complete: (timeoutMs: number) => program.success(timeoutMs) };
}

const OURS = join(BUNDLES, 'ours.cjs');

/** In the order of their rows and of their turns. */
export const CONTENDERS: readonly Contender[] = [
  { client: ours(OURS, 'v1'), torrent: 'v1' },
  { client: ours(OURS, 'hybrid'), torrent: 'hybrid' },
  { client: rtorrent, torrent: 'v1' },
  { client: aria2, torrent: 'v1' },
  { client: libtorrent('default'), torrent: 'v1' },
  { client: libtorrent('high_performance_seed'), torrent: 'v1' },
  { client: transmission, torrent: 'v1' },
  { client: rsync, torrent: null },
  { client: socat, torrent: null },
];

/**
 * Those whose names begin with one of `names`; null: all. Throws when a program is missing, and says how to get it, and
 * when a name is nobody's.
 */
export function chosen<T extends { readonly client: Client }>(
  all: readonly T[],
  names: readonly string[] | null,
): T[] {
  const begins = ({ client }: T, name: string) => client.name.toLowerCase().startsWith(name.toLowerCase());
  const stranger = names?.find((name) => !all.some((one) => begins(one, name)));
  if (stranger !== undefined)
    throw new Error(
      `RIVALS: nobody is called ${stranger}; there are ${all.map(({ client }) => client.name).join(', ')}`,
    );
  const contenders = all.filter((one) => names?.some((name) => begins(one, name)) ?? true);
  const missing = contenders
    .filter(({ client }) => !existsSync(client.path))
    .map(({ client }) => client.package);
  if (missing.length > 0)
    throw new Error(`rivals are missing; run: apt-get install ${[...new Set(missing)].join(' ')}`);
  return contenders;
}
