// Which pieces each peer has, as it says it: kept with the peer, and told to those whose choices depend on it. It drops
// nobody; what is wrong it gives back as a reason.

import { Bitfield } from './bitfield.ts';
import type { Hunger } from './hunger.ts';
import type { Peer } from './peer.ts';
import type { Picker } from './picker.ts';
import type { Showing } from './showing.ts';
import type { Ms } from './units.ts';

export class Holdings {
  readonly #have: Bitfield;
  readonly #picker: Picker;
  readonly #showing: Showing;
  readonly #hunger: Hunger;

  /** @param have our own pieces, which the Swarm goes on setting */
  constructor(have: Bitfield, picker: Picker, showing: Showing, hunger: Hunger) {
    this.#have = have;
    this.#picker = picker;
    this.#showing = showing;
    this.#hunger = hunger;
  }

  /** The peer has one more piece. Returns what is wrong with that; null: nothing. */
  had(peer: Peer, piece: number, now: Ms): string | null {
    const count = this.#have.length;
    if (piece >= count) return `has piece ${piece} of ${count}`;
    peer.fieldKnown = true;
    if (!peer.field.set(piece)) return null;
    this.#picker.gained(piece);
    this.#showing.seen(piece, now);
    if (this.#have.has(piece)) return null;
    peer.useful++;
    if (this.#picker.canAsk(piece)) this.#hunger.feed(peer);
    return null;
  }

  /** The peer's bitfield came. Returns what is wrong with it; null: nothing. */
  field(peer: Peer, bytes: Uint8Array, now: Ms): string | null {
    const field = Bitfield.parse(bytes, this.#have.length);
    return field === null
      ? 'sent a bitfield of the wrong size or with spare bits set'
      : this.#learn(peer, field, now);
  }

  /** The peer has every piece. */
  all(peer: Peer, now: Ms): null {
    return this.#learn(peer, Bitfield.full(this.#have.length), now);
  }

  #learn(peer: Peer, field: Bitfield, now: Ms): null {
    if (peer.fieldKnown) {
      // aria2 sends its bitfield again where that is shorter than a `have` for each new piece.
      for (let piece = 0; piece < field.length; piece++) if (field.has(piece)) this.had(peer, piece, now);
      return null;
    }
    peer.fieldKnown = true;
    peer.field = field;
    this.#picker.counted(field, 1);
    for (let piece = 0; piece < field.length; piece++) {
      if (!field.has(piece)) continue;
      this.#showing.seen(piece, now);
      if (!this.#have.has(piece)) peer.useful++;
    }
    return null;
  }
}
