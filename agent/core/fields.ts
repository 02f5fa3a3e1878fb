// Strict reading of what a node or a server sent as JSON: each value is of its kind and within its limit, or a fault that
// names it. Texts hold no control characters, so that they may be shown and kept as they are.

import { messageOf, SwarmbootError } from './errors.ts';
import { parseMac } from './mac.ts';
import { plainText } from './report.ts';

/** The fields of one JSON object. Every method throws SwarmbootError('report') that names the field. */
export class Fields {
  readonly #where: string;
  readonly #values: Readonly<Record<string, unknown>>;

  /** `where` names the object in faults. */
  constructor(value: unknown, where: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw fault(`${where} is not a JSON object`);
    }
    this.#where = where;
    this.#values = value as Readonly<Record<string, unknown>>;
  }

  /** The object that `text` is in JSON. */
  static parse(text: string, where: string): Fields {
    try {
      return new Fields(JSON.parse(text), where);
    } catch (error) {
      if (error instanceof SwarmbootError) throw error;
      throw fault(`${where} is not JSON (${messageOf(error)})`, error);
    }
  }

  raw(key: string): unknown {
    return this.#values[key];
  }

  /** One line of at most `max` characters. */
  text(key: string, max: number): string {
    const value = this.lines(key, max);
    if (value.includes('\n')) throw this.bad(key, 'one line');
    return value;
  }

  /** Lines of at most `max` characters together. */
  lines(key: string, max: number): string {
    const value = this.#values[key];
    if (typeof value !== 'string' || value.length > max || !isPlain(value)) {
      throw this.bad(key, `text of at most ${max} characters, without control characters`);
    }
    return value;
  }

  mac(key: string): string {
    const value = this.#values[key];
    if (typeof value !== 'string' || parseMac(value) !== value) {
      throw this.bad(key, 'a MAC like 52:54:00:09:00:01');
    }
    return value;
  }

  oneOf<T extends string>(key: string, allowed: readonly T[]): T {
    const value = allowed.find((word) => word === this.#values[key]);
    if (value === undefined) throw this.bad(key, `one of ${allowed.join(', ')}`);
    return value;
  }

  amount(key: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.#values[key];
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      throw this.bad(key, `a number from ${min} to ${max}`);
    }
    return value;
  }

  whole(key: string, min: number, max: number): number {
    const value = this.amount(key, min, max);
    if (!Number.isInteger(value)) throw this.bad(key, `a whole number from ${min} to ${max}`);
    return value;
  }

  flag(key: string): boolean {
    const value = this.#values[key];
    if (typeof value !== 'boolean') throw this.bad(key, 'true or false');
    return value;
  }

  list<T>(key: string, max: number, read: (item: unknown) => T): readonly T[] {
    const value = this.#values[key];
    if (!Array.isArray(value) || value.length > max) throw this.bad(key, `a list of at most ${max}`);
    return value.map(read);
  }

  texts(key: string, max: number, textMax: number): readonly string[] {
    return this.list(key, max, (item) => new Fields({ [key]: item }, this.#where).text(key, textMax));
  }

  orNull<T>(key: string, read: () => T): T | null {
    return this.#values[key] === null ? null : read();
  }

  bad(key: string, wanted: string): SwarmbootError {
    const value = this.#values[key];
    const shown = value === undefined ? 'missing' : plainText((JSON.stringify(value) ?? '').slice(0, 100));
    return fault(`in ${this.#where}, "${key}" is ${shown}, not ${wanted}`);
  }
}

/** `text` as `Fields.text` takes it: on one line, escaped, and cut to `max` characters without half of a surrogate pair. */
export function boundText(text: string, max: number): string {
  return plainText(text).slice(0, max).toWellFormed();
}

function isPlain(text: string): boolean {
  return text.split('\n').every((line) => plainText(line) === line);
}

function fault(what: string, cause?: unknown): SwarmbootError {
  return new SwarmbootError('report', `${what}; are agent and server of one version?`, { cause });
}
