// What peers asked of us, and when it goes out: each peer's queue, the room in its socket, the node's upload cap.
// Who may ask at all is the choker's choice, carried out here.

import type { Bitfield } from './bitfield.ts';
import type { Budget } from './budget.ts';
import { chooseUnchoked } from './choker.ts';
import type { Stretch, SwarmCommand } from './events.ts';
import type { Limits } from './limits.ts';
import type { Peer } from './peer.ts';
import { pieceSize, type Torrent } from './torrent.ts';
import { BLOCK_BYTES, MIB, type Ms } from './units.ts';

/** Blocks in a row go out as one write up to this size. */
const SERVE_MAX_BYTES = MIB;
/** Under an upload cap each turn is small, so that all peers advance together. */
const CAPPED_SERVE_BYTES = 4 * BLOCK_BYTES;

export class Upload {
  readonly #torrent: Torrent;
  readonly #have: Bitfield;
  readonly #budget: Budget;
  readonly #limits: Limits;
  #waitsForBudget = false;
  /** Who waits for blocks and may have room in its socket: the next to be served comes first. */
  readonly #line = new Set<Peer>();

  constructor(torrent: Torrent, have: Bitfield, budget: Budget, limits: Limits) {
    this.#torrent = torrent;
    this.#have = have;
    this.#budget = budget;
    this.#limits = limits;
  }

  /**
   * Queues a wish for whole blocks in a row. Returns the fault of a wish that no correct peer has, else null. One block
   * may be asked for in part, from its beginning.
   */
  requested(peer: Peer, stretch: Stretch, accepting: boolean, commands: SwarmCommand[]): string | null {
    const { piece, begin, length } = stretch;
    if (piece >= this.#torrent.pieceCount) return `asked for piece ${piece} of ${this.#torrent.pieceCount}`;
    const size = pieceSize(this.#torrent, piece);
    if (begin + length > size) return `asked beyond the end of piece ${piece}`;
    const blocks = Math.ceil(length / BLOCK_BYTES);
    if (length === 0 || begin % BLOCK_BYTES !== 0) {
      return `asked for ${length} bytes from ${begin}: not a block of 16 KiB on its boundary`;
    }
    if (!this.#have.has(piece)) return `asked for piece ${piece}, which was not announced`;
    if (waitingBlocks(peer.queue) + blocks > this.#limits.queueMax) {
      return `more than ${this.#limits.queueMax} requests waiting`;
    }
    if (peer.unchoked && accepting) {
      peer.queue.push({ piece, begin, length });
      this.#line.add(peer);
    } else rejectBlocks(peer, stretch, commands);
    return null;
  }

  /** Takes one block back (BEP 3 cancel). With BEP 6 it is answered by a reject; one already sent by its block. */
  cancelled(peer: Peer, { piece, begin, length }: Stretch, commands: SwarmCommand[]): void {
    const end = begin + length;
    const at = peer.queue.findIndex(
      (wish) => wish.piece === piece && wish.begin <= begin && wish.begin + wish.length >= end,
    );
    const wish = peer.queue[at];
    if (wish === undefined || begin % BLOCK_BYTES !== 0) return;
    // What is cut out is a whole block, or the rest would begin inside of one.
    if (length !== Math.min(BLOCK_BYTES, wish.begin + wish.length - begin)) return;
    const before = { piece, begin: wish.begin, length: begin - wish.begin };
    const after = { piece, begin: end, length: wish.begin + wish.length - end };
    peer.queue.splice(at, 1, ...[before, after].filter((rest) => rest.length > 0));
    rejectBlocks(peer, { piece, begin, length }, commands);
  }

  /**
   * Gives the places anew at a choke round; between rounds only free places are given away, so none stays idle. With
   * `everybody` each peer has a place, interested or not: what it may fetch is governed by what it is shown.
   */
  rechoke(
    peers: readonly Peer[],
    everybody: boolean,
    round: boolean,
    now: Ms,
    commands: SwarmCommand[],
  ): void {
    const { chokeTurnMs, peersMax } = this.#limits;
    const uploadSlots = everybody ? peersMax : this.#limits.uploadSlots;
    let taken = round ? 0 : peers.filter((peer) => peer.unchoked && (peer.interested || everybody)).length;
    if (taken >= uploadSlots) return;
    const candidates = peers.map((peer) => ({
      slot: peer.slot,
      interested: peer.interested || everybody,
      snubbed: peer.snubbed,
      downBytesPerSec: peer.down.rate(now),
      unchoked: peer.unchoked,
      unchokedAt: peer.unchokedAt,
      turns: peer.turns,
    }));
    const chosen = chooseUnchoked(
      candidates,
      this.#have.isFull,
      { slots: uploadSlots, turnMs: chokeTurnMs },
      now,
    );
    for (const peer of peers) {
      if (chosen.has(peer.slot) === peer.unchoked) continue;
      if (!peer.unchoked && taken < uploadSlots) {
        taken += round ? 0 : 1;
        peer.unchoked = true;
        peer.unchokedAt = now;
        peer.turns++;
        commands.push({ type: 'unchoke', slot: peer.slot });
      } else if (peer.unchoked && round) {
        peer.unchoked = false;
        commands.push({ type: 'choke', slot: peer.slot });
        this.#clear(peer, commands);
      }
    }
  }

  /** The peer has been choked: its queue is void; with BEP 6 every request gets its reject. */
  #clear(peer: Peer, commands: SwarmCommand[]): void {
    for (const wish of peer.queue) rejectBlocks(peer, wish, commands);
    peer.queue.length = 0;
  }

  /** The peer's socket has taken bytes. */
  sent(peer: Peer, bytes: number, now: Ms): void {
    peer.sendingBytes -= bytes;
    peer.up.add(bytes, now);
    if (peer.queue.length > 0) this.#line.add(peer);
  }

  /** The peer is not connected any more. */
  gone(peer: Peer): void {
    this.#line.delete(peer);
  }

  /** Hands out what sockets and cap allow, peer by peer, each a stretch at a time. Returns bytes handed out. */
  serve(now: Ms, commands: SwarmCommand[]): number {
    const stretchMax = this.#budget.bytesPerSec > 0 ? CAPPED_SERVE_BYTES : SERVE_MAX_BYTES;
    this.#waitsForBudget = false;
    let served = 0;
    // Who was served and waits for more goes to the end of the line, and is met again there.
    for (const peer of this.#line) {
      const room = peer.queue.length === 0 ? 0 : this.#socketRoom(peer, now);
      if (room >= BLOCK_BYTES && this.#budget.available(now) < BLOCK_BYTES) {
        this.#waitsForBudget = true;
        break;
      }
      this.#line.delete(peer);
      if (room < BLOCK_BYTES) continue;
      const stretch = nextStretch(peer.queue, Math.min(stretchMax, room));
      peer.sendingBytes += stretch.length;
      this.#budget.spend(stretch.length);
      served += stretch.length;
      commands.push({ type: 'serve', slot: peer.slot, ...stretch });
      if (peer.queue.length > 0) this.#line.add(peer);
    }
    return served;
  }

  /** When the cap lets the next block out; Infinity when nothing waits for it. */
  deadline(now: Ms): Ms {
    return this.#waitsForBudget ? this.#budget.availableAt(BLOCK_BYTES, now) : Number.POSITIVE_INFINITY;
  }

  #socketRoom(peer: Peer, now: Ms): number {
    const { sendMinBytes, sendMaxBytes, sendMs } = this.#limits;
    const covered = (peer.up.rate(now) * sendMs) / 1000;
    return Math.min(sendMaxBytes, Math.max(sendMinBytes, covered)) - peer.sendingBytes;
  }
}

/** Takes the oldest wish, and those that continue it, up to `maxBytes` (one block at least) off the queue. */
function nextStretch(queue: Stretch[], maxBytes: number): Stretch {
  const { piece, begin } = queue[0]!;
  const most = Math.max(BLOCK_BYTES, maxBytes - (maxBytes % BLOCK_BYTES));
  let length = 0;
  while (length < most && length % BLOCK_BYTES === 0) {
    const wish = queue[0];
    if (wish === undefined || wish.piece !== piece || wish.begin !== begin + length) break;
    const taken = Math.min(wish.length, most - length);
    length += taken;
    if (taken === wish.length) queue.shift();
    else queue[0] = { piece, begin: wish.begin + taken, length: wish.length - taken };
  }
  return { piece, begin, length };
}

function waitingBlocks(queue: readonly Stretch[]): number {
  let blocks = 0;
  for (const wish of queue) blocks += Math.ceil(wish.length / BLOCK_BYTES);
  return blocks;
}

/** BEP 6: each block that will not come gets its reject; without BEP 6 silence has to do. */
function rejectBlocks(peer: Peer, { piece, begin, length }: Stretch, commands: SwarmCommand[]): void {
  if (!peer.fast) return;
  for (let at = 0; at < length; at += BLOCK_BYTES) {
    const part = Math.min(BLOCK_BYTES, length - at);
    commands.push({ type: 'reject', slot: peer.slot, piece, begin: begin + at, length: part });
  }
}
