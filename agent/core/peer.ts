// What a Swarm remembers of one connected peer. Records only; the decisions are in download, upload, choker and swarm.

import { Bitfield } from './bitfield.ts';
import type { Stretch } from './events.ts';
import { Meter } from './meter.ts';
import type { PeerAddress } from './tracker.ts';
import type { Ms } from './units.ts';

export class Peer {
  readonly slot: number;
  readonly peerId: string;
  readonly outgoing: boolean;
  /** BEP 6 was agreed: rejects are sent and expected. */
  readonly fast: boolean;
  /** Where it listens, as far as known. */
  address: PeerAddress;

  field: Bitfield;
  /** Its first message may be a bitfield; later ones may not. */
  fieldKnown = false;
  uploadOnly = false;
  /** It is told of pieces as one that waits for none of them (showing.ts). */
  onlyGives = false;
  /** Requests that it queues at most (BEP 10 `reqq`). */
  requestsMax = 250;
  heardAt: Ms;

  /** It chokes us. */
  chokesUs = true;
  /** We are interested in it. */
  wanted = false;
  /** Pieces that it has and we lack. */
  useful = 0;
  /** Requests under way, by block key, in the order sent. */
  readonly asked = new Set<number>();
  /** Blocks that we no longer wait for but that may still come; they are no fault. */
  readonly excused = new Set<number>();
  /** It owes blocks since then. */
  waitingSince: Ms = 0;
  snubbed = false;
  /** For now it has nothing that we could ask of it. */
  dry = false;
  /** Hunger's own notes: it counts as one who gives; its pipeline may have room. */
  giving = false;
  hungry = false;
  readonly down: Meter;

  /** We let it download. */
  unchoked = false;
  unchokedAt: Ms = Number.NEGATIVE_INFINITY;
  turns = 0;
  /** It wants to download. */
  interested = false;
  /** Requests of blocks that it waits for, oldest first. */
  readonly queue: Stretch[] = [];
  /** Bytes handed to its socket and not yet taken. */
  sendingBytes = 0;
  readonly up: Meter;

  constructor(
    slot: number,
    identity: { peerId: string; address: PeerAddress; outgoing: boolean; fast: boolean },
    pieceCount: number,
    now: Ms,
  ) {
    this.slot = slot;
    this.peerId = identity.peerId;
    this.address = identity.address;
    this.outgoing = identity.outgoing;
    this.fast = identity.fast;
    this.field = new Bitfield(pieceCount);
    this.heardAt = now;
    this.down = new Meter(now);
    this.up = new Meter(now);
  }

  /** It has something that we lack, and lets us have it. */
  get gives(): boolean {
    return this.wanted && !this.chokesUs;
  }

  get isSeeder(): boolean {
    return this.field.isFull;
  }
}
