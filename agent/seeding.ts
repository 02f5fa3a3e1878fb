// Seed-wait: a node that has its image goes on giving to others, until the policy says that it may leave.

import type { Params } from './core/params.ts';
import { foldSight } from './core/report.ts';
import type { Rooms } from './core/rooms.ts';
import { SeedWait } from './core/seedwait.ts';
import type { SwarmView } from './core/view.ts';

/** Returns when it may leave, and has told why. Throws the signal's reason. */
export async function seedOn(
  { seedWait, uploadMinBytesPerSec, pollingMs, seedMaxMs }: Params,
  { now, sleep, tell }: Pick<Rooms, 'now' | 'sleep' | 'tell'>,
  views: () => readonly SwarmView[],
  signal: AbortSignal,
): Promise<void> {
  const sight = () => foldSight(views());
  const limits = { enabled: seedWait, uploadMinBytesPerSec, pollingMs, seedMaxMs };
  const wait = new SeedWait(limits, now(), sight());
  for (;;) {
    const reason = wait.look(now(), sight());
    if (reason !== null) return tell({ fact: 'leaving', reason, uploadedBytes: sight().uploadedBytes });
    await sleep(Math.max(0, wait.deadline() - now()), signal);
  }
}
