// Where the tarballs of an install are kept while it runs: the machine's pools, weighed by core/staging.

import { SwarmbootError } from './core/errors.ts';
import type { Params } from './core/params.ts';
import type { HostRoom } from './core/rooms.ts';
import { chooseStaging, type Pool } from './core/staging.ts';
import type { Tarball } from './plan.ts';

/** The pool for `tarballs` together, whose trees go to `target`. Throws SwarmbootError('staging') as `chooseStaging` does. */
export async function choosePool(
  tarballs: readonly Tarball[],
  target: Pool,
  { stagingPool }: Params,
  host: HostRoom,
): Promise<ReturnType<typeof chooseStaging>> {
  const sum = (pick: (tarball: Tarball) => number) => tarballs.reduce((total, next) => total + pick(next), 0);
  return chooseStaging(
    host.pools(),
    stagingPool === null ? null : host.poolAt(stagingPool, 'BITTORRENT_STAGING'),
    {
      keptBytes: sum(({ torrent }) => torrent.length),
      unpackedBytes: sum(({ unpackedBytes }) => unpackedBytes),
      target,
    },
    await host.memoryAvailableBytes(),
  );
}

/** The pool at `folder`, which `parameter` names. Throws SwarmbootError('extract') when nothing can be written there. */
export function usablePool(host: HostRoom, folder: string, parameter: string): Pool {
  const pool = host.poolAt(folder, parameter);
  if (pool.unusable === null) return pool;
  throw new SwarmbootError(
    'extract',
    `${parameter}=${folder} ${pool.unusable}; name another, or become root`,
  );
}
