// The site's own scripts: which of them are for this node, in which order, and the variables that they get. A script is
// called `NNclass.description`; running it is done elsewhere.

import { SwarmbootError } from './errors.ts';
import type { SystemJob } from './systemrooms.ts';

/** The folders below `scripts/` of a repository, in the order in which an install runs them. */
export const SCRIPT_PHASES = ['pre-install', 'main-install', 'post-install'] as const;
export type ScriptPhase = (typeof SCRIPT_PHASES)[number];

/** Whose scripts are run. Empty texts: not known. */
export interface ScriptClasses {
  readonly imageName: string;
  readonly hostName: string;
  readonly groups: readonly string[];
}

const SCRIPT_NAME = /^\d\d([^.]+)\.(.+)$/;

/**
 * Of `files`, the scripts of `phase` that are for this node: those of class `all`, then of the image, of the host name
 * without its number, of each group in order, and of the host; by number inside a class. A class has no dots, so a
 * name that has some counts up to its first. Each script comes once, however many of its node's classes it fits.
 */
export function chooseScripts<T extends { readonly path: string }>(
  files: readonly T[],
  phase: ScriptPhase,
  { imageName, hostName, groups }: ScriptClasses,
): T[] {
  const folder = `scripts/${phase}/`;
  const host = upToDot(hostName);
  const base = host.replace(/\d+$/, '');
  const classes = new Set(['all', upToDot(imageName), base, ...groups.map(upToDot), host]);
  classes.delete('');
  const scripts = files.filter(({ path }) => path.startsWith(folder));
  return [...classes].flatMap((name) =>
    scripts
      .filter(({ path }) => SCRIPT_NAME.exec(path.slice(folder.length))?.[1] === name)
      .sort((a, b) => (a.path < b.path ? -1 : 1)),
  );
}

/**
 * Throws SwarmbootError 'script' that names every script which no kernel would start: one that begins neither with `#!`
 * nor as an ELF program.
 */
export function checkScripts(
  scripts: readonly { readonly path: string; readonly content: Uint8Array }[],
): void {
  const starts = (content: Uint8Array, bytes: readonly number[]) =>
    bytes.every((byte, index) => content[index] === byte);
  const faults = scripts.filter(
    ({ content }) => !starts(content, [0x23, 0x21]) && !starts(content, [0x7f, 0x45, 0x4c, 0x46]),
  );
  if (faults.length === 0) return;
  throw new SwarmbootError(
    'script',
    `no first line that names an interpreter (#!/bin/sh) in ${faults.map(({ path }) => path).join(', ')}; add it on the image server`,
  );
}

/** `text` as one word of a shell. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Lines `KEY='value'`, as a shell reads them. */
export function shellVariables(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([key, value]) => `${key}=${shellQuoted(value)}\n`)
    .join('');
}

/** What a script of `phase` may know: lists with spaces between, empty values for what is not known. */
export function scriptVariables(job: SystemJob, phase: ScriptPhase): Record<string, string> {
  const { lease, plan } = job;
  const [address = '', prefix = ''] = lease.address.split('/');
  return {
    HOSTNAME: job.hostName,
    DOMAINNAME: lease.domain,
    GROUPNAMES: job.groups.join(' '),
    IMAGENAME: job.image.name,
    IMAGESERVER: job.server,
    OVERRIDES: job.overrides.map(({ name }) => name).join(' '),
    DEVICE: lease.device,
    MAC: lease.mac,
    VLAN: lease.vlan === null ? '' : String(lease.vlan),
    IPADDR: address,
    PREFIX: prefix,
    NETMASK: prefix === '' ? '' : netmaskOf(Number(prefix)),
    GATEWAY: lease.gateway,
    DNS: lease.dns.join(' '),
    DISKS_LAYOUT: job.layoutName,
    DISKS: plan.bootDisks.join(' '),
    FIRMWARE: plan.firmware,
    PHASE: phase,
    // A post-install script runs with the new system as its own root.
    TARGET: phase === 'post-install' ? '/' : job.target,
  };
}

/** `24` becomes `255.255.255.0`. */
function netmaskOf(prefix: number): string {
  return [0, 8, 16, 24].map((at) => 256 - 2 ** (8 - Math.min(8, Math.max(0, prefix - at)))).join('.');
}

function upToDot(name: string): string {
  return name.split('.')[0] ?? '';
}
