// Texts of the files that make an unpacked image into this node's own system: fstab, names, name servers, the record of
// what was installed. Where they lie is agent/system.ts's to know; the network's files are in targetnetwork.ts.

import type { FstabLine } from './diskplan.ts';
import type { Lease } from './lease.ts';
import { shellVariables } from './sitescripts.ts';
import type { SystemJob } from './systemrooms.ts';

/** Opens every file that is written anew, so that nobody wonders where the image's own went. */
export const HEADER = '# Written by swarmboot when this machine was installed.\n';

/** fstab(5), with the columns one below the other. */
export function fstabText(lines: readonly FstabLine[]): string {
  const rows = lines.map(({ source, mountPoint, type, options, pass }) => [
    source,
    // Spaces end a field; the file knows them in octal (fstab(5)).
    mountPoint.replaceAll(' ', '\\040').replaceAll('\t', '\\011'),
    type,
    options,
    '0',
    String(pass),
  ]);
  const table = [['# source', 'mount point', 'type', 'options', 'dump', 'pass'], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const aligned = table.map((row) =>
    row
      .map((field, column) => field.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  return `${HEADER}${aligned.join('\n')}\n`;
}

/**
 * /etc/hosts with this host in it, as Debian writes it: its own name at 127.0.1.1. The image's other lines stay; when they
 * give the host an address of the network already, none is added.
 */
export function hostsText(image: string, hostName: string, domain: string): string {
  const lines = image.split('\n').filter((line) => line.trim() !== '' && addressOn(line) !== '127.0.1.1');
  const names = domain === '' ? [hostName] : [`${hostName}.${domain}`, hostName];
  const named = lines.some((line) => namesOn(line).includes(hostName) && !addressOn(line).startsWith('127.'));
  const local = lines.findIndex(
    (line) => addressOn(line) === '127.0.0.1' && namesOn(line).includes('localhost'),
  );
  if (local < 0) lines.unshift('127.0.0.1\tlocalhost');
  if (!named) lines.splice(Math.max(0, local) + 1, 0, ['127.0.1.1', ...names].join('\t'));
  return `${lines.join('\n')}\n`;
}

/** /etc/resolv.conf; null when no name server is known. */
export function resolvText({ dns, domain }: Lease): string | null {
  if (dns.length === 0) return null;
  const search = domain === '' ? '' : `search ${domain}\n`;
  return `${HEADER}${search}${dns.map((server) => `nameserver ${server}\n`).join('')}`;
}

/** /etc/swarmboot/installed: what this system was made from. */
export function recordText(job: SystemJob): string {
  const { image, overrides } = job;
  return (
    HEADER +
    shellVariables({
      IMAGENAME: image.name,
      IMAGE_SHA256: image.sha256,
      OVERRIDES: overrides.map(({ name }) => name).join(' '),
      OVERRIDES_SHA256: overrides.map(({ sha256 }) => sha256).join(' '),
      IMAGESERVER: job.server,
      DISKS_LAYOUT: job.layoutName,
      HOSTNAME: job.hostName,
      GROUPNAMES: job.groups.join(' '),
      INSTALLED_AT: job.installedAt,
    })
  );
}

function addressOn(line: string): string {
  return line.trim().split(/\s+/)[0] ?? '';
}

function namesOn(line: string): string[] {
  return line.replace(/#.*$/, '').trim().split(/\s+/).slice(1);
}
