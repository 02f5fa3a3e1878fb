// What the image server knows of its nodes from their messages, and how an admin reads it. Reads no file and no clock:
// times are ISO texts in UTC, which compare as texts.

import { Fields } from '../../agent/core/fields.ts';
import { type LogLine, type Message, readMessage, STATUS, WAITING } from '../../agent/core/monitor.ts';
import type { Ms } from '../../agent/core/units.ts';

/** The newest message of a node, without its log; the inventory is the last that came. */
export interface NodeRecord {
  /** When the message came: `2026-01-31T12:00:00.000Z`. */
  readonly at: string;
  readonly message: Message;
  /** Lines of the install's log that we have. */
  readonly logLines: number;
}

/** A line of a node's log as it is kept. */
export interface LogEntry extends LogLine {
  /** When it came: `2026-01-31T12:00:00.000Z`. */
  readonly at: string;
  /** Id of the install; null: it was none. */
  readonly install: string | null;
}

const TIME_MAX = 24;

/** The record after one more message, and what that one adds to the node's log. */
export function recorded(
  before: NodeRecord | null,
  message: Message,
  at: string,
): { record: NodeRecord; lines: readonly LogLine[]; missed: number } {
  const inventory = message.inventory ?? before?.message.inventory ?? null;
  // A message may come twice, when its answer was lost; and lines may have been too many to be sent.
  const had = before?.message.install === message.install ? before.logLines : 0;
  const { log, logFrom } = message;
  const lines = log.slice(Math.max(0, had - logFrom));
  const missed = log.length === 0 ? 0 : Math.max(0, logFrom - had);
  const logLines = Math.max(had, log.length === 0 ? 0 : logFrom + log.length);
  return { record: { at, message: { ...message, inventory, log: [], logFrom: 0 }, logLines }, lines, missed };
}

/** Reads a record. Throws SwarmbootError('report') that names the field. */
export function parseRecord(text: string): NodeRecord {
  const fields = Fields.parse(text, 'the record');
  const message = readMessage(new Fields(fields.raw('message'), 'the message'));
  return { at: fields.text('at', TIME_MAX), message, logLines: fields.amount('logLines') };
}

/** The image is on its disk and the node will not come back for it. */
export function isSuccess({ status }: Message): boolean {
  return status === STATUS.imaged || status === STATUS.rebooting || status === STATUS.shutdown;
}

/** The installed system has come up. */
export function hasCome({ status }: Message): boolean {
  return status === STATUS.rebooted;
}

/** When the install began that a message speaks of; `at` is when the message came. Null: it does not say. */
export function begunMs({ report }: Message, atMs: number): number | null {
  return report === null ? null : atMs - report.elapsedMs;
}

/** A node that installs and says nothing for so long is lost. */
export const LOST_MS: Ms = 60_000;

/** In the order in which people want to see them. */
export const NODE_STATES = [
  'alarm',
  'failed',
  'lost',
  'installing',
  'imaged',
  'installed',
  'armed',
  'waiting',
  'idle',
  'unknown',
] as const;

/**
 * Where a node stands. `alarm`: somebody who is not it has tried to enrol as it; `lost`: it was installing and is silent; `imaged`: the image is on its disk; `installed`: the new
 * system has come up; `waiting`: it runs from the RAM disk and nobody has armed it; `idle`: nobody has, and it says
 * nothing; `unknown`: it waits and is not in nodes.conf.
 */
export type NodeState = (typeof NODE_STATES)[number];

/** What is known of a node beside its messages. */
export interface Known {
  /** It is in nodes.conf. */
  readonly listed: boolean;
  /** Since when it is armed; null: it is not. */
  readonly armedAt: string | null;
  /** What an admin must look at before anything else; null: nothing. */
  readonly alarm: string | null;
  /** Whoever installs and last spoke before this moment is lost: LOST_MS ago. */
  readonly lostBefore: string;
}

export function stateOf(record: NodeRecord | null, { listed, armedAt, alarm, lostBefore }: Known): NodeState {
  if (alarm !== null) return 'alarm';
  if (armedAt !== null && (record === null || record.at < armedAt)) return 'armed';
  if (record === null) return listed ? 'idle' : 'unknown';
  const { status, stage } = record.message;
  if (status < 0) return 'failed';
  if (stage === WAITING) return armedAt !== null ? 'armed' : listed ? 'waiting' : 'unknown';
  if (hasCome(record.message)) return 'installed';
  if (isSuccess(record.message) || status === STATUS.shell) return 'imaged';
  return record.at < lostBefore ? 'lost' : 'installing';
}

/** One phrase: where a node stands. */
export function describeState(record: NodeRecord | null, known: Known): string {
  const state = stateOf(record, known);
  if (known.alarm !== null) return `alarm: ${known.alarm}`;
  if (record === null) return state;
  const { status, text, report, stage } = record.message;
  const percent = Math.floor(report?.percent ?? Math.max(0, Math.min(status, 99)));
  switch (state) {
    case 'failed':
      return `failed: ${text.split('\n')[0]}`;
    case 'lost':
      return `lost at ${percent} %, in ${stage}`;
    case 'installing':
      return `installing ${percent} %`;
    case 'imaged':
      return IMAGED[status] ?? 'imaged';
    default:
      return state;
  }
}

const IMAGED: Readonly<Record<number, string>> = {
  [STATUS.rebooting]: 'rebooting',
  [STATUS.shutdown]: 'powered off',
  [STATUS.shell]: 'shell',
};
