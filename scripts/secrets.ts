// Files that are for their owner's eyes, and for the service's where this machine runs one: root makes them, and another user
// serves (scripts/systemd).

import * as fs from 'node:fs/promises';

/** The group of scripts/systemd/sysusers.conf, in /etc/group. */
const SERVICE_GROUP = /^swarmboot:[^:]*:(\d+):/m;

/** Writes a new file. Nobody else can ever have opened it. */
export async function writeSecret(place: string, text: string): Promise<void> {
  await fs.writeFile(place, text, { mode: 0o600, flag: 'wx' });
  await giveToService(place);
}

/** Makes the folder `place`, if it is not there. */
export async function makeSecretFolder(place: string): Promise<void> {
  const made = await fs.mkdir(place, { mode: 0o700, recursive: true });
  if (made !== undefined) await give(place, 0o700, 0o750);
}

/** The service reads this file, where there is one; nobody else does but its owner. */
export function giveToService(file: string): Promise<void> {
  return give(file, 0o600, 0o640);
}

async function give(place: string, alone: number, shared: number): Promise<void> {
  const group = process.getuid?.() === 0 ? await serviceGroup() : null;
  if (group !== null) await fs.chown(place, 0, group);
  await fs.chmod(place, group === null ? alone : shared);
}

/** Null: this machine has no such group. */
async function serviceGroup(): Promise<number | null> {
  const groups = await fs.readFile('/etc/group', 'utf8').catch(() => '');
  const found = SERVICE_GROUP.exec(groups)?.[1];
  return found === undefined ? null : Number(found);
}
