// Which requests are under way with which peer, and what becomes of them: asked, arrived, rejected, stalled. The
// choice of blocks is the picker's; connections are the swarm's.

import type { Stretch, SwarmCommand } from './events.ts';
import { Lead } from './lead.ts';
import type { Limits } from './limits.ts';
import type { Peer } from './peer.ts';
import type { Picker } from './picker.ts';
import { pieceSize, type Torrent } from './torrent.ts';
import { BLOCK_BYTES, type Ms } from './units.ts';

/** Late blocks are forgiven for this many requests per peer. */
const EXCUSED_MAX = 1024;

/** A peer is late when all of its blocks should have come so many times. */
const STALL_TURNS = 4;

/** In the endgame a peer is asked for so few blocks at a time that others hold already. */
const REPEAT_BLOCKS = 4;

export class Download {
  readonly #torrent: Torrent;
  readonly #picker: Picker;
  readonly #limits: Limits;
  readonly #picked: Stretch[] = [];
  readonly #lead: Lead;
  #repeatAt: Ms = Number.POSITIVE_INFINITY;
  /** How many peers could be asked for something, when last one was. */
  #givers = 1;

  constructor(torrent: Torrent, picker: Picker, limits: Limits) {
    this.#lead = new Lead(limits.pipelineStretch, limits.pipelineStepBytes);
    this.#torrent = torrent;
    this.#picker = picker;
    this.#limits = limits;
  }

  /** The best rate so far; 0 before there is one. */
  get bestBytesPerSec(): number {
    return this.#lead.bestBytesPerSec;
  }

  /** True when the block is one that we wait for from this peer (or did until lately) and still miss. */
  accepts(peer: Peer, block: Stretch): boolean {
    if (!this.#isBlock(block) || !this.#picker.misses(peer.slot, block)) return false;
    const key = this.#keyOf(block);
    return peer.asked.has(key) || peer.excused.has(key);
  }

  /** True when an unwanted block is no fault of the sender: we asked for it once. */
  excuses(peer: Peer, stretch: Stretch): boolean {
    if (!this.#isBlock(stretch)) return false;
    const key = this.#keyOf(stretch);
    if (!peer.excused.delete(key) && !this.#forgetRequest(peer, key)) return false;
    peer.snubbed = false;
    return true;
  }

  /** Keeps the peer's pipeline full; `givers` is how many peers may be asked for something now. */
  fill(peer: Peer, givers: number, now: Ms, commands: SwarmCommand[]): void {
    this.#givers = givers;
    const depth = this.#depth(peer, givers, now);
    const room = depth - peer.asked.size;
    // Half a pipeline at a time: each message is a packet.
    if (room < depth / 2) return;
    const picked = this.#picked;
    picked.length = 0;
    const taken = this.#picker.pick(peer.slot, peer.field, room, picked);
    peer.dry = taken < room;
    for (const piece of this.#picker.takeStranded()) commands.push({ type: 'forget', piece });
    if (taken === 0 && this.#isTimeToRepeat(now)) {
      this.#picker.pickAgain(peer.field, Math.min(room, REPEAT_BLOCKS), (key) => peer.asked.has(key), picked);
    }
    this.ask(peer, picked, now, commands);
  }

  /** Asks for what the picker has chosen. */
  ask(peer: Peer, picked: readonly Stretch[], now: Ms, commands: SwarmCommand[]): void {
    if (picked.length > 0 && peer.asked.size === 0) peer.waitingSince = now;
    for (const { piece, begin, length } of picked) {
      const first = this.#picker.key(piece, begin / BLOCK_BYTES);
      const blocks = Math.ceil(length / BLOCK_BYTES);
      for (let block = 0; block < blocks; block++) peer.asked.add(first + block);
      commands.push({ type: 'request', slot: peer.slot, piece, begin, length });
      // Only a trial: whoever gives may be asked for the same, or two that stall would keep the last block from all others.
      if (peer.snubbed) this.#picker.released(peer.slot, piece, begin / BLOCK_BYTES);
    }
  }

  /** When blocks that are long under way may be asked of others too; Infinity outside the endgame. */
  deadline(): Ms {
    return this.#repeatAt;
  }

  /** Asking twice wastes bandwidth, so the endgame first waits for what is under way to come by itself. */
  #isTimeToRepeat(now: Ms): boolean {
    if (!this.#picker.isEndgame) this.#repeatAt = Number.POSITIVE_INFINITY;
    else if (this.#repeatAt === Number.POSITIVE_INFINITY) this.#repeatAt = now + this.#repeatMs;
    return now >= this.#repeatAt;
  }

  /**
   * Books a block that `accepts` said yes to. Cancels it with `others` when they were asked too: in the endgame, or
   * because this one was late, or only tried. True when its piece is whole.
   */
  arrived(peer: Peer, stretch: Stretch, others: Iterable<Peer>, now: Ms, commands: SwarmCommand[]): boolean {
    const block = stretch.begin / BLOCK_BYTES;
    const key = this.#keyOf(stretch);
    const late = !peer.asked.delete(key);
    if (late) peer.excused.delete(key);
    const tried = peer.snubbed;
    peer.down.add(stretch.length, now);
    this.#lead.add(stretch.length);
    peer.waitingSince = now;
    peer.snubbed = false;
    if (late || tried || this.#picker.isShared(stretch.piece, block)) {
      for (const other of others) {
        if (other === peer || !this.#forgetRequest(other, key)) continue;
        this.#excuse(other, key);
        commands.push({ type: 'cancel', slot: other.slot, ...stretchOf(stretch) });
      }
    }
    return this.#picker.arrived(peer.slot, stretch.piece, block);
  }

  /** BEP 6: the peer will not send this block. False when it was never asked for: a fault. */
  rejected(peer: Peer, stretch: Stretch): boolean {
    if (!this.#isBlock(stretch)) return false;
    const key = this.#keyOf(stretch);
    if (peer.excused.delete(key)) return true;
    if (!this.#forgetRequest(peer, key)) return false;
    if (!peer.snubbed) this.#picker.released(peer.slot, stretch.piece, stretch.begin / BLOCK_BYTES);
    return true;
  }

  /** None of the peer's requests count any more; what it sends all the same in the next moments is no fault. */
  releaseAll(peer: Peer): void {
    const blocksPerPiece = this.#picker.key(1, 0);
    for (const key of peer.asked) {
      this.#excuse(peer, key);
      if (!peer.snubbed)
        this.#picker.released(peer.slot, Math.floor(key / blocksPerPiece), key % blocksPerPiece);
    }
    peer.asked.clear();
    this.#picker.abandoned(peer.slot);
  }

  /** One wave of repeated requests is out; the next waits as long. */
  waveDone(now: Ms): void {
    if (now < this.#repeatAt) return;
    this.#repeatAt = this.#picker.isEndgame ? now + this.#repeatMs : Number.POSITIVE_INFINITY;
  }

  /** Why a peer that does nothing has to go; null when it need not. */
  neglectOf(peer: Peer, now: Ms): string | null {
    if (now - peer.heardAt > this.#limits.silentMs) return 'nothing heard for too long';
    // TCP would try again ever more seldom on a path that is there again; a new connection does at once.
    if (peer.snubbed && now - peer.heardAt > this.#limits.deadMs)
      return 'nothing heard since blocks were asked for';
    const owed = peer.snubbed && now - peer.waitingSince > this.#limits.stallDropMs;
    return owed ? 'sent none of the blocks asked for' : null;
  }

  /** Looks for a peer that owes blocks for too long. True when it has just been snubbed. */
  checkStall(peer: Peer, now: Ms): boolean {
    if (peer.asked.size === 0 || peer.snubbed) return false;
    const patienceMs = this.#limits.stallMs + STALL_TURNS * this.#turnMs(peer.asked.size);
    if (now - peer.waitingSince < patienceMs) return false;
    this.releaseAll(peer);
    peer.snubbed = true;
    return true;
  }

  /**
   * How many requests to keep under way: a fair share of what comes in a certain time at our best rate, within bounds. By
   * the peer's own rate a node that fell behind would ask for less and stay behind. With few givers more time is
   * covered: there are programs that serve twice a second.
   */
  #depth(peer: Peer, givers: number, now: Ms): number {
    if (peer.snubbed) return 1;
    const { pipelineMin, pipelineMax, pipelineBytes, pipelineMs } = this.#limits;
    const factor = this.#lead.factor(now);
    const covered = (this.#lead.bestBytesPerSec * pipelineMs * (1 + 2 / givers)) / 1000;
    const share = Math.max(pipelineBytes, covered) / BLOCK_BYTES / givers;
    return Math.min(Math.ceil(Math.max(pipelineMin, share) * factor), pipelineMax, peer.requestsMax);
  }

  /** Until a block of the endgame is asked of somebody else: it should have come by then. */
  get #repeatMs(): Ms {
    return this.#limits.repeatMs + this.#turnMs(this.#limits.pipelineMin);
  }

  /** How long so many blocks of one peer take when all peers give as much and we get as much as we did at best. */
  #turnMs(blocks: number): Ms {
    const { bestBytesPerSec } = this;
    return bestBytesPerSec === 0 ? 0 : (1000 * blocks * BLOCK_BYTES * this.#givers) / bestBytesPerSec;
  }

  #isBlock({ piece, begin, length }: Stretch): boolean {
    if (piece >= this.#torrent.pieceCount || begin % BLOCK_BYTES !== 0) return false;
    return length > 0 && length === Math.min(BLOCK_BYTES, pieceSize(this.#torrent, piece) - begin);
  }

  #keyOf({ piece, begin }: Stretch): number {
    return this.#picker.key(piece, begin / BLOCK_BYTES);
  }

  #forgetRequest(peer: Peer, key: number): boolean {
    return peer.asked.delete(key);
  }

  #excuse(peer: Peer, key: number): void {
    peer.excused.add(key);
    if (peer.excused.size > EXCUSED_MAX) {
      for (const oldest of peer.excused) {
        peer.excused.delete(oldest);
        break;
      }
    }
  }
}

function stretchOf({ piece, begin, length }: Stretch): Stretch {
  return { piece, begin, length };
}
