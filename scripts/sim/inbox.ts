// What has been said to a node and not been heard yet, in order, each entry from its due time on. Numbers in one array:
// of all that happens in a large swarm, words of new pieces are the most.

import type { Ms } from '../../agent/core/units.ts';
import type { Entry } from './pipe.ts';

/** An entry of an inbox names the connection too, as the node calls it. */
export interface Message extends Entry {
  slot: number;
}

const MESSAGE_WORDS = 6;

export class Inbox {
  #words = new Float64Array(4 * MESSAGE_WORDS);
  #head = 0;
  #end = 0;

  get isEmpty(): boolean {
    return this.#head === this.#end;
  }

  /** When the first entry is due; there must be one. */
  get dueMs(): Ms {
    return this.#words[this.#head]!;
  }

  push(due: Ms, slot: number, kind: number, piece: number, begin: number, length: number): void {
    if (this.#end === this.#words.length) this.#makeRoom();
    const words = this.#words;
    const at = this.#end;
    words[at] = due;
    words[at + 1] = slot;
    words[at + 2] = kind;
    words[at + 3] = piece;
    words[at + 4] = begin;
    words[at + 5] = length;
    this.#end = at + MESSAGE_WORDS;
  }

  /** Takes the first entry out, into `message`. False when none is due. */
  shift(now: Ms, message: Message): boolean {
    const words = this.#words;
    const at = this.#head;
    if (at === this.#end || words[at]! > now) return false;
    message.slot = words[at + 1]!;
    message.kind = words[at + 2]!;
    message.piece = words[at + 3]!;
    message.begin = words[at + 4]!;
    message.length = words[at + 5]!;
    this.#head = at + MESSAGE_WORDS;
    if (this.#head === this.#end) this.#head = this.#end = 0;
    return true;
  }

  #makeRoom(): void {
    if (this.#head > this.#words.length / 2) {
      this.#words.copyWithin(0, this.#head, this.#end);
    } else {
      const words = new Float64Array(2 * this.#words.length);
      words.set(this.#words.subarray(this.#head, this.#end));
      this.#words = words;
    }
    this.#end -= this.#head;
    this.#head = 0;
  }
}
