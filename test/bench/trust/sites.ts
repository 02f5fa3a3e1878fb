// The sites that `make bench-trust` installs from: the same image on the same machine, and each site trusts less than the one
// before it.

import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOM_MEMORY } from '../../lab/room.ts';
import { closeRepository } from '../../scripts/closedsite.ts';
import { IMAGE_NAME, REPOSITORY, SEALED_REPOSITORY } from '../install/published.ts';

export const HTTP_PORT = 8080;
export const HTTPS_PORT = 8443;

export interface TrustSite {
  readonly name: 'plain' | 'closed' | 'sealed';
  /** As the table calls it. */
  readonly title: string;
  /** In the room's memory. */
  readonly repository: string;
  readonly server: string;
  /** The text of trust.json in its RAM disk; null: there is none. */
  readonly trust: string | null;
}

/** Makes them for so many nodes. The first is what the others are measured by. */
export async function makeSites(nodes: number): Promise<TrustSite[]> {
  return [
    {
      name: 'plain',
      title: 'unsigned, HTTP, open',
      repository: copy(REPOSITORY, 'plain', nodes),
      server: `http://127.0.0.1:${HTTP_PORT}`,
      trust: null,
    },
    await closedSite('closed', 'signed, TLS, closed', REPOSITORY, nodes),
    await closedSite('sealed', 'signed, TLS, closed, encrypted', SEALED_REPOSITORY, nodes),
  ];
}

/** What node `number` is known by, from 1 on. */
export function macOf(number: number): string {
  return `52:54:00:0a:00:${number.toString(16).padStart(2, '0')}`;
}

async function closedSite(
  name: 'closed' | 'sealed',
  title: string,
  published: string,
  nodes: number,
): Promise<TrustSite> {
  const repository = copy(published, name, nodes);
  const { trust } = await closeRepository(repository, join(ROOM_MEMORY, `${name}-release`));
  return { name, title, repository, server: `https://127.0.0.1:${HTTPS_PORT}`, trust };
}

function copy(published: string, name: string, nodes: number): string {
  const repository = join(ROOM_MEMORY, name);
  cpSync(published, repository, { recursive: true });
  const lines = Array.from({ length: nodes }, (_, index) => {
    const number = index + 1;
    return `node${number} mac=${macOf(number)} image=${IMAGE_NAME}\n`;
  });
  writeFileSync(join(repository, 'nodes.conf'), lines.join(''));
  return repository;
}
