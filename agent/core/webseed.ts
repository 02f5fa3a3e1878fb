// When and what a web seed (BEP 19) is asked. To the parts of the swarm it is somebody with every piece; but it is no peer: it
// is asked only while the swarm does not give, for whole pieces that no peer has, each node from another place in the file,
// so that each byte leaves the server about once and the nodes give each other the rest. It keeps the one that is in use,
// and the reason; connections are the transfer's.

import { Bitfield } from './bitfield.ts';
import { BOUNDS } from './bounds.ts';
import type { Download } from './download.ts';
import type { Stretch, SwarmCommand } from './events.ts';
import type { Limits } from './limits.ts';
import type { Members } from './members.ts';
import { Peer } from './peer.ts';
import type { Picker } from './picker.ts';
import type { Rng } from './rng.ts';
import { pieceSize, type Torrent } from './torrent.ts';
import { BLOCK_BYTES, type Ms } from './units.ts';

/** Waits are drawn from so much less to so much more than their length: a thousand nodes must not ask in step. */
const JITTER = 0.25;

/** How often every piece is looked at, while a web seed is in use: for those that peers have, and for one to be asked for. */
const LOOK_MS: Ms = 250;
/** A peer that wants something of ours has said so by then: new pieces are told together, and what is wanted, at once. */
const CONTENT_MS: Ms = 2000;

export interface WebSeedParts {
  readonly torrent: Torrent;
  readonly have: Bitfield;
  readonly picker: Picker;
  readonly download: Download;
  readonly members: Members;
  readonly limits: Limits;
  readonly rng: Rng;
}

/** What there is to see of it. */
export interface WebSeedSight {
  /** Bytes that came from web seeds. */
  readonly bytes: number;
  /** Why one is in use, or was when the download ended; null: none is. */
  readonly reason: string | null;
}

export class WebSeeding {
  readonly #parts: WebSeedParts;
  readonly #picked: Stretch[] = [];
  /** In the order in which they are tried; the first is in use, or next. */
  #urls: string[] = [];
  /** Those that were opened, by slot: pieces that came from them may be checked after they were closed. */
  readonly #slots = new Map<number, string>();
  #peer: Peer | null = null;
  /** Every piece, as the web seed has them; of its own it shows none, so that no piece counts as held for its sake. */
  #full = new Bitfield(0);
  #reason: string | null = null;
  #closedBytes = 0;
  /** When a peer last gave a block, and the last block of a good piece. */
  #blockAt: Ms = 0;
  #pieceAt: Ms = 0;
  /** Blocks that peers have given since then. */
  #blocks = 0;
  #patience = 1;
  /** Where the next request continues. */
  #cursor = 0;
  /** When it may begin elsewhere; null: it has not had to wait for that. */
  #leapAt: Ms | null = null;
  #lookedAt: Ms = 0;
  /** There was nothing to be asked for; until then it is not looked again. */
  #quietUntil: Ms = Number.NEGATIVE_INFINITY;
  /** Since when a peer wants nothing of us. */
  readonly #contentSince = new WeakMap<Peer, Ms>();
  #waitUntil: Ms = Number.NEGATIVE_INFINITY;
  /** Until then it is asked for one thing at a time. */
  #narrowUntil: Ms = Number.NEGATIVE_INFINITY;
  /** Answers without content in a row. */
  #failures = 0;

  constructor(parts: WebSeedParts) {
    this.#parts = parts;
  }

  get sight(): WebSeedSight {
    return { bytes: this.#closedBytes + (this.#peer?.down.totalBytes ?? 0), reason: this.#reason };
  }

  /** What is asked of the web seed by that number; undefined when it is not one that is open. */
  get(slot: number): Peer | undefined {
    return this.#peer?.slot === slot ? this.#peer : undefined;
  }

  found(urls: readonly string[], now: Ms): void {
    if (this.#urls.length === 0) this.#patientFrom(now);
    this.#urls = [...new Set([...this.#urls, ...urls])].slice(0, BOUNDS.webSeeds);
  }

  /** A peer has given a block, or a web seed: the next time that that has no place is then the first. */
  gave(giver: Peer, now: Ms): void {
    if (giver === this.#peer) this.#failures = 0;
    else {
      this.#blockAt = now;
      this.#blocks++;
    }
  }

  /** A piece that peers have given is good. */
  gained(now: Ms): void {
    this.#pieceAt = now;
    this.#blocks = 0;
  }

  opened(slot: number, now: Ms): void {
    const url = this.#urls[0]!;
    this.#full = Bitfield.full(this.#parts.torrent.pieceCount);
    const identity = { peerId: url, address: { host: url, port: 0 }, outgoing: true, fast: true };
    this.#peer = new Peer(slot, identity, this.#parts.torrent.pieceCount, now);
    this.#slots.set(slot, url);
  }

  /**
   * Its answer was none. It is asked again later, after another one if it is more than busy (`busyMs` null). Whoever has a
   * place for another request of ours goes on being asked for one at a time: its places are not to stand empty.
   */
  failed(slot: number, busyMs: Ms | null, now: Ms, commands: SwarmCommand[]): void {
    if (this.#peer?.slot !== slot || (busyMs !== null && now < this.#waitUntil)) return;
    const { webRetryMs, webRetryMaxMs } = this.#parts.limits;
    const doubledMs = Math.min(webRetryMaxMs, webRetryMs * 2 ** this.#failures);
    const until = now + Math.max(busyMs ?? 0, doubledMs) * (this.#jitter() + JITTER);
    if (busyMs !== null && this.#peer.asked.size > 0) {
      this.#narrowUntil = until;
      return;
    }
    this.#failures++;
    this.#waitUntil = until;
    if (busyMs !== null) return;
    this.#close('failed', commands);
    this.#urls.push(this.#urls.shift()!);
  }

  /** All blocks of a piece that is bad came from that slot. Returns whether it is a web seed: then it is not used again. */
  bans(slot: number, piece: number, commands: SwarmCommand[]): boolean {
    const url = this.#slots.get(slot);
    if (url === undefined) return false;
    if (this.#peer?.slot === slot)
      this.#close(`sent bytes of piece ${piece} that fail its hash`, commands, true);
    this.#urls = this.#urls.filter((other) => other !== url);
    if (this.#urls.length === 0) this.#reason = null;
    return true;
  }

  /** Nothing more is asked. Why something was until now can still be seen. */
  stop(reason: string, commands: SwarmCommand[]): void {
    this.#close(reason, commands);
    this.#urls = [];
  }

  /** Asks what is to be asked now. */
  fill(now: Ms, commands: SwarmCommand[]): void {
    if (this.#urls.length === 0) return;
    if (this.#parts.have.isFull) return this.stop('complete', commands);
    this.#look(now);
    if (this.#reason === null || now < this.#waitUntil || now < this.#quietUntil) return;
    if (this.#peer === null) {
      return void commands.push({ type: 'openWebSeed', url: this.#urls[0]!, reason: this.#reason });
    }
    // So that one request is answered while the next is under way.
    const depth = now < this.#narrowUntil ? 0 : this.#parts.limits.webRequests - 1;
    while (this.#peer.asked.size <= depth * this.#requestBlocks) {
      if (this.#askRow(this.#peer, now, commands)) continue;
      this.#quietUntil = now + LOOK_MS;
      return;
    }
  }

  /** When `fill` next has something to do without an event; `now`: of the last one. */
  deadline(now: Ms): Ms {
    if (this.#urls.length === 0) return Number.POSITIVE_INFINITY;
    const times = [...this.#starvesAt(), this.#waitUntil, this.#quietUntil];
    return Math.min(...times.filter((time) => time > now));
  }

  #look(now: Ms): void {
    const isStarved = this.#isStarved(now);
    if (this.#reason === null) {
      if (isStarved) this.#reason = this.#why(now);
      return;
    }
    // It takes a look at every piece.
    if (isStarved || now < this.#lookedAt + LOOK_MS) return;
    this.#lookedAt = now;
    if (!this.#swarmGives(now)) return;
    this.#reason = null;
    this.#patientFrom(now);
  }

  #why(now: Ms): string {
    const { members } = this.#parts;
    if (members.size === 0) return 'no peer is connected';
    const seconds = Math.round((now - Math.min(this.#blockAt, this.#pieceAt)) / 1000);
    return `${members.size} peers are connected, and none has given a good piece for ${seconds} s`;
  }

  /** The times from which on the swarm does not give. */
  #starvesAt(): [block: Ms, piece: Ms] {
    const { starvedMs, starvedOfPiecesMs } = this.#parts.limits;
    return [this.#blockAt + starvedMs * this.#patience, this.#pieceAt + starvedOfPiecesMs * this.#patience];
  }

  #isStarved(now: Ms): boolean {
    const [block, piece] = this.#starvesAt();
    const enough = ((now - this.#pieceAt) / 1000) * this.#parts.limits.starvedBytesPerSec;
    return now >= block || (now >= piece && this.#blocks * BLOCK_BYTES < enough);
  }

  /** Somebody has all that is missing, or all of them together do. */
  #swarmGives(now: Ms): boolean {
    const { members, have, picker } = this.#parts;
    for (const peer of members.all()) if (this.#hasAll(peer, now) && !peer.snubbed) return true;
    for (let piece = 0; piece < have.length; piece++)
      if (!have.has(piece) && picker.holders(piece) === 0) return false;
    return true;
  }

  /** A first seeder does not show what it has (BEP 16), but it does not want either, for some time, what we have and it shows not. */
  #hasAll(peer: Peer, now: Ms): boolean {
    if (peer.isSeeder || peer.uploadOnly) return true;
    const wants = peer.interested || this.#parts.have.count <= peer.field.count;
    const since = wants ? now : (this.#contentSince.get(peer) ?? now);
    this.#contentSince.set(peer, since);
    return now >= since + CONTENT_MS;
  }

  #patientFrom(now: Ms): void {
    this.#blockAt = now;
    this.gained(now);
    this.#patience = this.#jitter();
  }

  #jitter(): number {
    return 1 - JITTER + 2 * JITTER * this.#parts.rng.next();
  }

  /** Blocks of one request: of whole pieces in a row, or of one large piece. */
  get #requestBlocks(): number {
    const { torrent, limits } = this.#parts;
    return Math.ceil(Math.max(torrent.pieceLength, limits.webRequestBytes) / BLOCK_BYTES);
  }

  /** Asks for whole pieces that follow each other. False: there are none to be asked for. */
  #askRow(peer: Peer, now: Ms, commands: SwarmCommand[]): boolean {
    const { picker, download } = this.#parts;
    const picked = this.#picked;
    picked.length = 0;
    const row = (wanted: (piece: number) => boolean) =>
      this.#pickRow(peer.slot, this.#next(wanted, now), wanted);
    row((piece) => picker.isIdle(piece, false) && picker.holders(piece) === 0);
    if (picked.length === 0 && this.#isStarved(now)) {
      // Peers have the rest, and do not give it: what was asked of them is asked once more.
      row((piece) => picker.isIdle(piece, true));
      if (picked.length === 0)
        picker.pickAgain(this.#full, this.#requestBlocks, (key) => peer.asked.has(key), picked);
    }
    download.ask(peer, picked, now, commands);
    return picked.length > 0;
  }

  /** Picks pieces from `first` on (-1: none), as many as a request holds. */
  #pickRow(slot: number, first: number, wanted: (piece: number) => boolean): void {
    if (first === -1) return;
    const { torrent, picker } = this.#parts;
    let piece = first;
    let bytes = 0;
    do {
      picker.pickWhole(slot, piece, this.#picked);
      bytes += pieceSize(torrent, piece);
      piece++;
    } while (
      piece < torrent.pieceCount &&
      bytes + pieceSize(torrent, piece) <= this.#requestBlocks * BLOCK_BYTES &&
      wanted(piece)
    );
    this.#cursor = piece;
  }

  /**
   * Where the next request begins; -1 for nowhere. It goes on from the last as long as nobody else has been there, and
   * leaps to any other place then: whoever began where another is would always be a step behind. Whoever is alone begins
   * at the front, where the extraction waits.
   */
  #next(wanted: (piece: number) => boolean, now: Ms): number {
    const { torrent, members, rng } = this.#parts;
    const isFirst = this.#cursor === 0 && members.size > 0;
    if (!isFirst && this.#cursor < torrent.pieceCount && wanted(this.#cursor)) return this.#cursor;
    let count = 0;
    for (let piece = 0; piece < torrent.pieceCount; piece++) if (wanted(piece)) count++;
    if (count === 0 || !this.#mayLeap(count, now)) return -1;
    let left = members.size > 0 ? rng.below(count) : 0;
    for (let piece = 0; ; piece++) if (wanted(piece) && left-- === 0) return piece;
  }

  /** So few pieces may all be on their way to others, who tell of them soon. */
  #mayLeap(count: number, now: Ms): boolean {
    const { torrent, members, limits, rng } = this.#parts;
    const othersBytes = members.size * limits.webRequests * this.#requestBlocks * BLOCK_BYTES;
    if (count * torrent.pieceLength > othersBytes) return true;
    this.#leapAt ??= now + limits.webLeapMs * rng.next();
    if (now < this.#leapAt) return false;
    this.#leapAt = null;
    return true;
  }

  #close(reason: string, commands: SwarmCommand[], ban = false): void {
    if (this.#peer === null) return;
    this.#parts.download.releaseAll(this.#peer);
    this.#closedBytes += this.#peer.down.totalBytes;
    commands.push({ type: 'drop', slot: this.#peer.slot, reason, ban });
    this.#peer = null;
  }
}
