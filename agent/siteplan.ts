// What an install onto disks is going to do beyond its tarballs: the layout that is for this node, the plan for its disks,
// the site's scripts. All of it is read and checked before anything is written.

import { formatCommand } from './core/command.ts';
import { parseLayout } from './core/disklayout.ts';
import { planDisks } from './core/diskplan.ts';
import { SwarmbootError } from './core/errors.ts';
import { LEASE_PATH } from './core/lease.ts';
import type { Params } from './core/params.ts';
import type { Rooms } from './core/rooms.ts';
import { checkScripts, chooseScripts, SCRIPT_PHASES, type ScriptClasses } from './core/sitescripts.ts';
import type { Published, SiteScript, SystemJob } from './core/systemrooms.ts';
import { formatBytes } from './core/units.ts';
import type { Plan, Tarball } from './plan.ts';

/** Scripts and their variables, beside what /init has left there. */
const RUN_FOLDER = LEASE_PATH.slice(0, LEASE_PATH.lastIndexOf('/'));

/** Whether this install is one onto disks. */
export function onDisks(params: Params): boolean {
  return params.disksLayout !== 'none' && params.torrent === null && !params.wait;
}

/** Throws SwarmbootError 'layout', 'disk', 'script', 'missing' or 'catalog'. */
export async function planSystem(
  params: Params,
  plan: Plan,
  rooms: Rooms,
  signal: AbortSignal,
): Promise<SystemJob> {
  const { machine, catalog } = rooms;
  const servers = rooms.servers!;
  const lease = machine.lease();
  const hostName = params.hostName ?? lease.hostName;
  const classes: ScriptClasses = { imageName: plan.image.name, hostName, groups: params.groups };
  const layoutName = chooseLayout(params, plan, classes);
  const fetch = async (path: string) => {
    const file = plan.files.find((candidate) => candidate.path === path)!;
    const content = await servers.ask((server, limit) => catalog.fetchFile(server, file, limit), signal);
    return { path, content };
  };
  const { path, content } = await fetch(layoutPath(layoutName));
  const layout = parseLayout(new TextDecoder().decode(content), path);
  const disks = await machine.diskFacts();
  const diskPlan = planDisks(layout, disks, machine.firmware(), params.target, machine.uuid);
  requireRoom(plan, diskPlan.capacityBytes, path);
  const chosen = SCRIPT_PHASES.flatMap((phase) => chooseScripts(plan.files, phase, classes));
  const scripts: SiteScript[] = await Promise.all(chosen.map((file) => fetch(file.path)));
  checkScripts(scripts);
  return {
    target: params.target,
    runFolder: RUN_FOLDER,
    plan: diskPlan,
    layoutName,
    lease,
    hostName,
    groups: params.groups,
    image: publishedOf(plan.image),
    overrides: params.overrides.map((name) =>
      publishedOf(plan.overrides.find((override) => override.name === name)!),
    ),
    server: servers.first.href.replace(/\/$/, ''),
    reportsUrls: (params.firstBootServers ?? servers.all.map(({ href }) => href)).map(
      (url) => `${url.replace(/\/$/, '')}/reports`,
    ),
    scripts,
    kernelCommandLine: machine.kernelCommandLine(),
    installedAt: machine.date(),
  };
}

/** What DRY_RUN=y prints. */
export function describeJob(job: SystemJob): string {
  const commands = job.plan.prepare.flatMap((command) => [
    `  $ ${formatCommand(command)}`,
    ...(typeof command.input === 'string' ? command.input.trimEnd().split('\n') : []).map(
      (line) => `      ${line}`,
    ),
  ]);
  const scripts = job.scripts.map(({ path }) => `  ${path}`);
  return [
    `layout "${job.layoutName}" for ${job.hostName === '' ? 'a node without a name' : job.hostName}`,
    ...job.plan.lines,
    'to be run:',
    ...commands,
    ...(scripts.length === 0 ? [] : ['scripts of the site:', ...scripts]),
    'DRY_RUN=y: nothing was written',
  ].join('\n');
}

function chooseLayout({ disksLayout, imageServers }: Params, plan: Plan, classes: ScriptClasses): string {
  const { hostName, groups, imageName } = classes;
  const search = [hostName, ...groups, hostName.replace(/\d+$/, ''), imageName, 'default'].filter(
    (name) => name !== '',
  );
  const names = disksLayout === 'search' ? search : [disksLayout];
  const found = names.find((name) => plan.files.some(({ path }) => path === layoutPath(name)));
  if (found !== undefined) return found;
  const list = names.map((name) => layoutPath(name)).join(', ');
  throw new SwarmbootError(
    'missing',
    `${imageServers!.join(' or ')} has no disk layout for this node (looked for ${list}); put one into its repository, or install into a folder with DISKS_LAYOUT=none`,
  );
}

function layoutPath(name: string): string {
  return `layouts/${name}.json`;
}

function requireRoom(plan: Plan, capacityBytes: number, layout: string): void {
  const needBytes = [plan.image, ...plan.overrides].reduce(
    (sum, { unpackedBytes }) => sum + unpackedBytes,
    0,
  );
  if (needBytes <= capacityBytes) return;
  throw new SwarmbootError(
    'disk',
    `the image needs ${formatBytes(needBytes)} on the disk, and the file systems of ${layout} hold ${formatBytes(capacityBytes)}; give them more, or take a larger disk`,
  );
}

function publishedOf({ name, entry }: Tarball): Published {
  return { name, sha256: entry!.sha256 };
}
