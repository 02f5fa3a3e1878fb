// Decides when a node that has everything may leave: when it is of no more use, or has waited long enough. How it
// leaves is the engine's.

import { formatDuration, formatRate, type Ms } from './units.ts';

export interface SeedWaitLimits {
  /** False: leave at once. */
  readonly enabled: boolean;
  readonly uploadMinBytesPerSec: number;
  readonly pollingMs: Ms;
  /** Zero: no cap. */
  readonly seedMaxMs: Ms;
}

/** What the swarms of all torrents say together. */
export interface SeedWaitSight {
  /** Since the start of the program. */
  readonly uploadedBytes: number;
  readonly leechersConnected: number;
  /** From the last announces; null when a tracker has not said. */
  readonly trackerLeechers: number | null;
}

/** Whole polling intervals with little upload, one after the other, before it counts: one may be a pause of the swarm. */
export const QUIET_INTERVALS = 2;

/** One wait, from the moment that the install is done. */
export class SeedWait {
  readonly #limits: SeedWaitLimits;
  readonly #startedMs: Ms;
  #lookedMs: Ms;
  #uploadedBytes: number;
  #quiet = 0;

  constructor(limits: SeedWaitLimits, now: Ms, sight: SeedWaitSight) {
    this.#limits = limits;
    this.#startedMs = now;
    this.#lookedMs = now;
    this.#uploadedBytes = sight.uploadedBytes;
  }

  /** When `look` next matters. */
  deadline(): Ms {
    const { enabled, pollingMs, seedMaxMs } = this.#limits;
    if (!enabled) return this.#startedMs;
    const cap = seedMaxMs === 0 ? Number.POSITIVE_INFINITY : this.#startedMs + seedMaxMs;
    return Math.min(this.#lookedMs + pollingMs, cap);
  }

  /** Why to leave now, in words; null to stay. A look before the deadline changes nothing. */
  look(now: Ms, sight: SeedWaitSight): string | null {
    const { enabled, uploadMinBytesPerSec, seedMaxMs } = this.#limits;
    if (!enabled) return 'BITTORRENT_SEED_WAIT=n';
    if (now < this.deadline()) return null;
    if (seedMaxMs > 0 && now - this.#startedMs >= seedMaxMs) {
      return `seeded for ${formatDuration(seedMaxMs)}, the cap (BITTORRENT_SEED_MAX)`;
    }
    if (sight.leechersConnected === 0 && sight.trackerLeechers === 0) return 'no leecher is left';
    const rate = ((sight.uploadedBytes - this.#uploadedBytes) * 1000) / (now - this.#lookedMs);
    this.#quiet = rate < uploadMinBytesPerSec ? this.#quiet + 1 : 0;
    this.#lookedMs = now;
    this.#uploadedBytes = sight.uploadedBytes;
    if (this.#quiet < QUIET_INTERVALS) return null;
    return `uploaded less than ${formatRate(uploadMinBytesPerSec)} (BITTORRENT_UPLOAD_MIN) for ${QUIET_INTERVALS} intervals`;
  }
}
