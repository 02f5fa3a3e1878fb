// Debian's opentracker. It is built to serve listed torrents only; the list is a file.

import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Torrent } from '../../agent/core/torrent.ts';
import { hex } from '../../agent/core/units.ts';
import { freePort, Program } from './process.ts';
import { seedersAt } from './scrape.ts';

const PATH = '/usr/bin/opentracker';

/** Serves `torrents`, over HTTP and UDP on one port number of `host`. `folder` is an empty one, for the list. */
export async function startOpenTracker(
  host: string,
  folder: string,
  torrents: readonly Torrent[],
): Promise<{ port: number; program: Program }> {
  const port = await freePort(host);
  writeFileSync(join(folder, 'list'), torrents.map((torrent) => `${hex(torrent.infoHashV1!)}\n`).join(''));
  // As root it changes into the folder and becomes nobody, who must be able to read there.
  chmodSync(folder, 0o755);
  const list = process.getuid!() === 0 ? '/list' : join(folder, 'list');
  const args = ['-i', host, '-p', `${port}`, '-P', `${port}`, '-d', folder, '-w', list, '-u', 'nobody'];
  const program = new Program(PATH, args);
  const answers = () =>
    seedersAt(`${host}:${port}`, torrents[0]!.infoHashV1!).then(
      () => true,
      () => false,
    );
  await program.until('answering', answers, 5000);
  return { port, program };
}
