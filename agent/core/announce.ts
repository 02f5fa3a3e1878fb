// Decides which tracker hears what, and when, for one torrent. It sends nothing, knows no peers and reads no clock: the
// engine takes an announce, sends it, and tells how it went. One announce is under way at most.

import { BOUNDS } from './bounds.ts';
import { assert } from './errors.ts';
import type { AnnounceEvent, AnnounceReply } from './tracker.ts';
import type { Ms } from './units.ts';

/** Every number of the announce policy. */
export interface AnnounceLimits {
  /** Trackers beyond this many are not used. */
  readonly trackersMax: number;
  /** The interval that a tracker names is held between these two. */
  readonly intervalMinMs: Ms;
  readonly intervalMaxMs: Ms;
  /** A swarm with fewer other peers than this is looked at again soon, whatever interval was named. */
  readonly peersEnough: number;
  /** First wait of such a look; each further one doubles, up to the interval. */
  readonly seekMs: Ms;
  /** `hurry` never brings two announces closer together than this. */
  readonly hurryFloorMs: Ms;
  /** First wait after every tracker has failed; doubles up to `retryMaxMs`. */
  readonly retryMs: Ms;
  readonly retryMaxMs: Ms;
  /** A tracker that has failed is passed over for so long while there are others. */
  readonly restMs: Ms;
  /** Each wait is spread by this share both ways, so that nodes booted together do not announce together. */
  readonly jitter: number;
}

export const ANNOUNCE_LIMITS: AnnounceLimits = {
  trackersMax: BOUNDS.trackers,
  intervalMinMs: 5_000,
  intervalMaxMs: 3_600_000,
  peersEnough: 10,
  seekMs: 1_000,
  hurryFloorMs: 5_000,
  retryMs: 1_000,
  retryMaxMs: 60_000,
  restMs: 60_000,
  jitter: 0.2,
};

/** An announce to be sent now. */
export interface Announce {
  readonly url: string;
  readonly event: AnnounceEvent;
}

/** When to announce what to which tracker (BEP 3 events, BEP 12 tiers). */
export class AnnounceSchedule {
  readonly #tiers: readonly string[][];
  readonly #limits: AnnounceLimits;
  readonly #random: () => number;
  /** Position of the tracker to ask next. */
  #tier = 0;
  #place = 0;
  /** Until when trackers that have failed are passed over. */
  readonly #resting = new Map<string, Ms>();
  /** All of them do, or did when this round began: then none is passed over. */
  #allRest = false;
  #underWay: Announce | null = null;
  #nextAt: Ms = Number.NEGATIVE_INFINITY;
  /** `hurry` may not go below this time. */
  #earliestAt: Ms = Number.NEGATIVE_INFINITY;
  /** Trackers that count us as a peer, the latest last. */
  #knownBy: string[] = [];
  #completedDue = false;
  #completedSaid = false;
  #stopping = false;
  /** Looks at a small swarm in a row, and rounds in which every tracker failed in a row. */
  #seeks = 0;
  #failedRounds = 0;
  #seeders: number | null = null;
  #leechers: number | null = null;
  #problem: string | null = null;

  /**
   * @param tiers tracker URLs by tier; shuffled within each tier (BEP 12)
   * @param random numbers from 0 up to but not including 1
   */
  constructor(tiers: readonly (readonly string[])[], limits: AnnounceLimits, random: () => number) {
    this.#limits = limits;
    this.#random = random;
    const seen = new Set<string>();
    const kept: string[][] = [];
    for (const tier of tiers) {
      const urls: string[] = [];
      for (const url of tier) {
        if (seen.has(url) || seen.size === limits.trackersMax) continue;
        seen.add(url);
        urls.push(url);
      }
      if (urls.length > 0) kept.push(shuffled(urls, random));
    }
    this.#tiers = kept;
  }

  /** Complete peers by the last tracker that said; null when none did. */
  get seeders(): number | null {
    return this.#seeders;
  }

  /** Incomplete peers by the last tracker that said; null when none did. */
  get leechers(): number | null {
    return this.#leechers;
  }

  /** Why the last announce failed; null when it did not. */
  get problem(): string | null {
    return this.#problem;
  }

  /** When `take` next gives an announce; Infinity while one is under way, without trackers, and after the end. */
  deadline(): Ms {
    if (this.#underWay !== null || this.#tiers.length === 0) return Number.POSITIVE_INFINITY;
    if (this.#stopping && this.#knownBy.length === 0) return Number.POSITIVE_INFINITY;
    return this.#nextAt;
  }

  /** The announce that is due, or null. It is under way until `succeeded` or `failed` is told of it. */
  take(now: Ms): Announce | null {
    if (now < this.deadline()) return null;
    this.#underWay = this.#stopping ? { url: this.#knownBy.pop()!, event: 'stopped' } : this.#next(now);
    return this.#underWay;
  }

  /** The announce under way was answered. */
  succeeded(url: string, reply: AnnounceReply, now: Ms): void {
    const { event } = this.#landed(url);
    this.#problem = null;
    if (event === 'stopped') return;
    this.#seeders = reply.seeders ?? this.#seeders;
    this.#leechers = reply.leechers ?? this.#leechers;
    this.#knownBy = [...this.#knownBy.filter((known) => known !== url), url];
    if (event === 'completed') {
      this.#completedDue = false;
      this.#completedSaid = true;
    }
    this.#resting.delete(url);
    const tier = this.#tiers[this.#tier]!;
    tier.splice(this.#place, 1);
    tier.unshift(url);
    // BEP 12: the next announce starts from the first tier again, so that a split swarm comes together.
    this.#tier = 0;
    this.#place = 0;
    // A tracker that takes every word but `completed` must not make us forget that we were refused.
    if (!this.#completedDue) this.#failedRounds = 0;
    if (this.#stopping) return;
    this.#plan(reply, now);
  }

  /** The announce under way failed; `reason` is kept as `problem`. */
  failed(url: string, reason: string, now: Ms): void {
    const { event } = this.#landed(url);
    this.#problem = reason;
    if (event === 'stopped') return;
    this.#knownBy = this.#knownBy.filter((known) => known !== url);
    this.#resting.set(url, now + this.#limits.restMs);
    this.#moveOn();
    this.#passOver(now);
    if (this.#stopping || this.#tier < this.#tiers.length) {
      this.#nextAt = now;
      return;
    }
    this.#tier = 0;
    const { retryMs, retryMaxMs } = this.#limits;
    this.#nextAt = now + this.#spread(Math.min(retryMaxMs, retryMs * 2 ** this.#failedRounds));
    this.#earliestAt = this.#nextAt;
    this.#failedRounds++;
  }

  /** The download has ended: say `completed`, once. Not to be called for a torrent that was whole from the start. */
  completed(now: Ms): void {
    if (this.#completedSaid || this.#completedDue) return;
    this.#completedDue = true;
    if (this.#knownBy.length > 0) this.#nextAt = Math.min(this.#nextAt, now);
  }

  /**
   * We leave: `stopped` goes once to each tracker that knows us, then nothing. An announce under way is waited for;
   * a caller in a hurry aborts it and tells `failed`.
   */
  stop(now: Ms): void {
    this.#stopping = true;
    this.#nextAt = Math.min(this.#nextAt, now);
  }

  /** More peers are wanted: announces earlier, as far as the tracker's min interval and our floor allow. */
  hurry(now: Ms): void {
    this.#nextAt = Math.min(this.#nextAt, Math.max(now, this.#earliestAt));
  }

  #next(now: Ms): Announce {
    if (this.#tier === 0 && this.#place === 0) {
      this.#allRest = this.#tiers.flat().every((url) => this.#rests(url, now));
      this.#passOver(now);
    }
    const url = this.#tiers[this.#tier]![this.#place]!;
    if (!this.#knownBy.includes(url)) return { url, event: 'started' };
    return { url, event: this.#completedDue ? 'completed' : 'update' };
  }

  #rests(url: string, now: Ms): boolean {
    return now < (this.#resting.get(url) ?? Number.NEGATIVE_INFINITY);
  }

  #moveOn(): void {
    this.#place++;
    if (this.#place < this.#tiers[this.#tier]!.length) return;
    this.#place = 0;
    this.#tier++;
  }

  /** To the next tracker of this round that is worth asking; beyond the last tier when there is none. */
  #passOver(now: Ms): void {
    if (this.#allRest) return;
    while (this.#tier < this.#tiers.length && this.#rests(this.#tiers[this.#tier]![this.#place]!, now))
      this.#moveOn();
  }

  #landed(url: string): Announce {
    const announce = this.#underWay;
    assert(announce !== null && announce.url === url, `no announce to ${url} is under way`);
    this.#underWay = null;
    return announce;
  }

  #plan(reply: AnnounceReply, now: Ms): void {
    const { intervalMinMs, intervalMaxMs, peersEnough, seekMs, hurryFloorMs } = this.#limits;
    const floorMs = clamp(reply.minIntervalMs ?? 0, 0, intervalMaxMs);
    let waitMs = clamp(reply.intervalMs, intervalMinMs, intervalMaxMs);
    const others = Math.max(reply.peers.length, (reply.seeders ?? 0) + (reply.leechers ?? 0) - 1);
    if (others < peersEnough) {
      waitMs = Math.min(waitMs, seekMs * 2 ** this.#seeks);
      this.#seeks++;
    } else {
      this.#seeks = 0;
    }
    this.#earliestAt = now + Math.max(floorMs, hurryFloorMs);
    this.#nextAt = this.#completedDue ? now : now + Math.max(floorMs, this.#spread(waitMs));
  }

  #spread(waitMs: Ms): Ms {
    return waitMs * (1 + this.#limits.jitter * (2 * this.#random() - 1));
  }
}

/** Not a number counts as the lower bound. */
function clamp(value: number, low: number, high: number): number {
  return value >= low ? Math.min(value, high) : low;
}

function shuffled(urls: string[], random: () => number): string[] {
  for (let last = urls.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [urls[last], urls[other]] = [urls[other]!, urls[last]!];
  }
  return urls;
}
