// What the image server knows of its nodes from their messages, and how an admin reads it. Reads no file and no clock:
// times are ISO texts in UTC, which compare as texts.

import { Fields } from '../../agent/core/fields.ts';
import { type LogLine, type Message, readMessage, STATUS, WAITING } from '../../agent/core/monitor.ts';

/** The newest message of a node, without its log; the inventory is the last that came. */
export interface NodeRecord {
  /** When the message came: `2026-01-31T12:00:00.000Z`. */
  readonly at: string;
  readonly message: Message;
  /** Lines of the install's log that we have. */
  readonly logLines: number;
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

/** One phrase: where a node stands. `armedAt`: since when it is armed; null: it is not. */
export function describeState(record: NodeRecord | null, known: boolean, armedAt: string | null): string {
  if (!known) return 'unknown';
  if (armedAt !== null && (record === null || record.at < armedAt)) return 'armed';
  if (record === null) return 'not armed';
  const { status, stage, text, report } = record.message;
  if (status < 0) return `failed: ${text.split('\n')[0]}`;
  if (stage === WAITING) return armedAt === null ? 'waiting' : 'armed';
  switch (status) {
    case STATUS.imaged:
      return 'imaged';
    case STATUS.rebooted:
      return 'installed';
    case STATUS.rebooting:
      return 'rebooting';
    case STATUS.shutdown:
      return 'powered off';
    case STATUS.shell:
      return 'shell';
    default:
      return `installing ${Math.floor(report?.percent ?? Math.min(status, 99))} %`;
  }
}
