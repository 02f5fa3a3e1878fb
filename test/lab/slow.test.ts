// One node with a slow link and one with a slow disk install among others in the lab, and the report of the run names both,
// each with its reason. Run by `make lab-test`, in a room of its own.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { RunReport } from '../../scripts/core/runreport.ts';
import { noise, scratch } from '../content.ts';
import { Program } from '../foreign/process.ts';
import { PROGRAM, published, swarmboot } from '../scripts/commands.ts';
import { Lab, type LabNode } from './lab.ts';
import { enterRoom, ROOM_MEMORY } from './room.ts';

const AGENT = fileURLToPath(new URL('../../agent/main.ts', import.meta.url));
const THROTTLE = '/sys/fs/cgroup/blkio';
const NODES = 7;
const [SLOW_LINK, SLOW_DISK] = [3, 5];
const LINK_BITS = 40e6;
const IMAGE_BYTES = 24_000_000;
/** The link alone would take about five seconds. */
const DISK_BYTES_PER_SEC = 1_000_000;
const PATIENCE_MS = 120_000;

before(() => enterRoom('make lab-test'));

/** A disk of its own that takes so many bytes per second from whoever is in the group; `undo` is run backwards. */
function slowDisk(folder: string, target: string, undo: (() => void)[]): string {
  if (!existsSync(join(THROTTLE, 'blkio.throttle.write_bps_device'))) {
    throw new Error(`${THROTTLE} cannot hold back a disk here: boot with systemd.unified_cgroup_hierarchy=0`);
  }
  const file = join(folder, 'disk');
  execFileSync('/usr/bin/truncate', ['--size', '200M', file]);
  execFileSync('/usr/sbin/mkfs.ext4', ['-q', '-O', '^has_journal', file]);
  const device = execFileSync('/usr/sbin/losetup', ['--find', '--show', file]).toString().trim();
  undo.push(() => execFileSync('/usr/sbin/losetup', ['--detach', device]));
  // Written at once by who writes, or else the machine's own threads would do it, which nobody holds back.
  execFileSync('/usr/bin/mount', ['-o', 'sync', device, target]);
  undo.push(() => execFileSync('/usr/bin/umount', [target]));
  const group = join(THROTTLE, `swarmboot-${process.pid}`);
  mkdirSync(group);
  undo.push(() => rmdirSync(group));
  const { rdev } = statSync(device);
  writeFileSync(
    join(group, 'blkio.throttle.write_bps_device'),
    `${rdev >> 8}:${rdev & 255} ${DISK_BYTES_PER_SEC}`,
  );
  return group;
}

test('the report names the node with the slow link and the one with the slow disk, each with its reason', async (t) => {
  const undo: (() => void | Promise<void>)[] = [];
  // Before the folder goes: a test's own clean-up runs in the order in which it was asked for.
  t.after(async () => {
    for (const step of undo.toReversed()) await step();
  });
  const folder = scratch(t);
  const repo = join(folder, 'repo');
  const tree = join(folder, 'tree');
  mkdirSync(tree);
  for (let file = 0; file < 24; file++)
    writeFileSync(join(tree, `noise${file}`), noise(IMAGE_BYTES / 24, file));
  await published('web', '--kind', 'image', '--from', tree, '--repo', repo, '--compress', 'none');
  const bitsPerSec = Array.from({ length: NODES + 1 }, (_, index) =>
    index === SLOW_LINK ? LINK_BITS / 6 : LINK_BITS,
  );
  const lab = Lab.raise({ bitsPerSec, lossShare: 0 });
  undo.push(() => lab.close());
  const [server, ...nodes] = lab.nodes as [LabNode, ...LabNode[]];
  const serving = new Program(
    process.execPath,
    [PROGRAM, 'serve', '--repo', repo, '--host', server.host],
    server,
  );
  undo.push(() => serving.stop());
  await serving.until('seeding', () => serving.output.includes('seeding image web'), PATIENCE_MS);

  const programs = nodes.map((node, index) => {
    const number = index + 1;
    const target = join(folder, node.name);
    const staging = join(ROOM_MEMORY, `${node.name}-staging`);
    for (const path of [target, staging]) mkdirSync(path);
    const flags = {
      IMAGESERVER: `${server.host}:8080`,
      IMAGENAME: 'web',
      BOOTIF: `02:00:00:00:00:0${number}`,
      HOSTNAME: node.name,
      TARGET: target,
      BITTORRENT_STAGING: staging,
      BITTORRENT_UPLOAD_MIN: '0',
      BITTORRENT_SEED_MAX: '60',
      BIND: node.host,
    };
    const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const group = number === SLOW_DISK ? slowDisk(folder, target, undo) : null;
    const held =
      group === null ? [] : ['/bin/sh', '-c', `echo $$ > ${group}/cgroup.procs; exec "$@"`, 'held'];
    const program = new Program(process.execPath, [AGENT, ...words], {
      launcher: [...node.launcher, ...held],
    });
    undo.push(() => program.stop());
    return program;
  });
  await Promise.all(
    programs.map((program) =>
      program.until('its image', () => /^installed in /m.test(program.output), PATIENCE_MS),
    ),
  );
  await Promise.all(programs.map((program) => program.stop()));
  await serving.stop();

  const { out } = await swarmboot(['report', '--repo', repo, '--json']);
  const report = JSON.parse(out) as RunReport;
  t.diagnostic((await swarmboot(['report', '--repo', repo])).out);
  equal(report.counts.imaged, NODES);
  deepEqual(
    report.slow.map(({ name }) => name).sort(),
    [SLOW_LINK, SLOW_DISK].map((number) => `node${number}`),
  );
  for (const [number, cause] of [
    [SLOW_LINK, 'link'],
    [SLOW_DISK, 'disk'],
  ] as const) {
    const { reasons } = report.slow.find(({ name }) => name === `node${number}`)!;
    deepEqual(
      reasons.map((reason) => reason.cause),
      [cause],
      JSON.stringify(reasons),
    );
  }
  ok(report.slow.every(({ reasons }) => reasons.every(({ text }) => /, elsewhere /.test(text))));
});
