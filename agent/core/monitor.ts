// What a node and its image server say to each other over HTTP: the node's message (its state, what it is made of, the new
// lines of its log), and the server's answer about a node. Both sides read with this file. Sending and keeping
// are done elsewhere.

import { BOUNDS } from './bounds.ts';
import { FALLBACK_STEPS, type Fallback, NO_FALLBACK } from './fallback.ts';
import { boundText, Fields } from './fields.ts';
import { boundInventory, type Inventory, readInventory } from './inventory.ts';
import { type NodeReport, plainText, STAGES, type StageName } from './report.ts';
import { KIB, type Ms } from './units.ts';

/** Most bytes of one message as it is sent. */
export const MESSAGE_BYTES_MAX = BOUNDS.messageOfNodeBytes;
/** Most bytes of a log inside it, if the rest leaves so many. */
const LOG_BYTES_MAX = 128 * KIB;
export const LOG_LINES_MAX = BOUNDS.logLines;
/** The number of the line behind the last must be exact too. */
const LOG_FROM_MAX = Number.MAX_SAFE_INTEGER - LOG_LINES_MAX;
const LINE_MAX = BOUNDS.logLineChars;
const TEXT_MAX = 4000;
const WORD_MAX = 128;
const ERRORS_MAX = BOUNDS.reportedErrors;

/** Header of the server's answer to a message: how long it wants to hear no mere progress of this node. */
export const REPORT_AFTER = 'report-after-ms';
export const REPORT_AFTER_MAX_MS: Ms = 120_000;

/** What a node says of itself. */
export interface Message {
  readonly format: 1;
  /** `aa:bb:cc:dd:ee:ff`, lower case; who is speaking. */
  readonly mac: string;
  /** Empty when it has no name yet. */
  readonly host: string;
  readonly image: string | null;
  /** Which install speaks, each has an id of its own; null outside of one. */
  readonly install: string | null;
  /** SystemImager's number: see STATUS, and 1 to 99 for percent. */
  readonly status: number;
  /** A stage of the install, WAITING, or what the installed system says. */
  readonly stage: string;
  /** The stages that this install has begun, in order. */
  readonly stages: readonly StageBegin[];
  /** For people: why it failed, where it stands; line ends are its only control characters. */
  readonly text: string;
  /** The kind of fault that `text` tells of (`ErrorCode`); null when nothing is wrong. */
  readonly code: string | null;
  readonly report: NodeReport | null;
  /** Null: as told before. */
  readonly inventory: Inventory | null;
  /** Lines of the install's log that the server has not got, and the number of the first of them; the first of all is 0. */
  readonly log: readonly LogLine[];
  readonly logFrom: number;
}

/** When a stage began. */
export interface StageBegin {
  readonly stage: StageName;
  /** Since the install began. */
  readonly atMs: Ms;
}

/** A line of an install's log. */
export interface LogLine {
  /** Since the install began. */
  readonly atMs: Ms;
  /** One line, without control characters. */
  readonly text: string;
}

/** The server's answer to `GET /nodes/MAC`. */
export interface NodeAnswer {
  /** It is in nodes.conf. */
  readonly known: boolean;
  /** Its next network boot installs it. */
  readonly armed: boolean;
  readonly name: string | null;
  /** When it was armed last, ISO 8601: another time means that it was armed anew. Null: it is not armed. */
  readonly armedSince: string | null;
}

/** SystemImager's numbers. Only `rebooted`, sent by the new system itself, says that a node is installed. */
export const STATUS = {
  failed: -1,
  started: 0,
  imaged: 100,
  finalizing: 101,
  rebooted: 102,
  rebooting: 104,
  shutdown: 105,
  shell: 106,
  extracting: 107,
  preInstall: 108,
  postInstall: 109,
} as const;
const STATUS_MIN = -999;
const STATUS_MAX = 109;

/** The stage of a node that nobody has armed. */
export const WAITING = 'waiting';

const STATUS_OF_STAGE: Partial<Record<StageName, number>> = {
  'pre-install': STATUS.preInstall,
  extract: STATUS.extracting,
  overrides: STATUS.extracting,
  'main-install': STATUS.finalizing,
  finish: STATUS.finalizing,
  'boot loader': STATUS.finalizing,
  'post-install': STATUS.postInstall,
  'seed-wait': STATUS.imaged,
  leave: STATUS.imaged,
  'post-action': STATUS.rebooting,
};

/** SystemImager's number of a node in `stage`; `percent` of the whole install. The caller knows of another post action. */
export function statusOf(stage: StageName, percent: number, failed: boolean): number {
  if (failed) return STATUS.failed;
  const least = stage === 'image' ? 1 : STATUS.started;
  return STATUS_OF_STAGE[stage] ?? Math.max(least, Math.min(99, Math.floor(percent)));
}

/** Of a brief message: it fits into one packet, with what HTTP puts around it. */
const BRIEF_TEXT_MAX = 300;

/** The state alone, for a network on which larger messages get lost. */
export function briefMessage(message: Message): Message {
  const text = message.text.slice(0, BRIEF_TEXT_MAX);
  return { ...message, text, stages: [], report: null, inventory: null, log: [], logFrom: 0 };
}

/** Whether the newer of two messages tells of more than progress. */
export function isNews(older: Message, newer: Message): boolean {
  // From 1 to 99 the status is the percentage of the progress.
  const state = ({ status }: Message) => (status >= 1 && status <= 99 ? 1 : status);
  const same = (['install', 'stage', 'text', 'code'] as const).every((key) => older[key] === newer[key]);
  return newer.inventory !== null || !same || state(older) !== state(newer);
}

/** One message in place of two that were not sent: the newer state, the inventory that was told last, all lines. */
export function followed(older: Message, newer: Message): Message {
  const inventory = newer.inventory ?? older.inventory;
  if (older.install !== newer.install || older.log.length === 0) return { ...newer, inventory };
  const log = [...older.log, ...newer.log].slice(-LOG_LINES_MAX);
  return {
    ...newer,
    inventory,
    log,
    logFrom: older.logFrom + older.log.length + newer.log.length - log.length,
  };
}

/** The message as JSON of at most MESSAGE_BYTES_MAX bytes: texts are cut and escaped, of too long a log the last lines stay. */
export function encodeMessage(message: Message): string {
  const { report, inventory } = message;
  const bounded: Message = {
    format: 1,
    mac: message.mac,
    host: boundText(message.host, WORD_MAX),
    image: message.image === null ? null : boundText(message.image, WORD_MAX),
    install: message.install === null ? null : boundText(message.install, WORD_MAX),
    status: message.status,
    stage: boundText(message.stage, WORD_MAX),
    stages: message.stages,
    text: message.text.split('\n').map(plainText).join('\n').slice(0, TEXT_MAX).toWellFormed(),
    code: message.code === null ? null : boundText(message.code, WORD_MAX),
    report: report === null ? null : boundReport(report),
    inventory: inventory === null ? null : boundInventory(inventory),
    log: [],
    logFrom: message.logFrom,
  };
  const roomBytes = MESSAGE_BYTES_MAX - bytesOf(bounded);
  const log = lastLines(message.log, Math.min(roomBytes, LOG_BYTES_MAX));
  return JSON.stringify({ ...bounded, log, logFrom: message.logFrom + message.log.length - log.length });
}

/** Reads a message. Throws SwarmbootError('report') that names the field. */
export function parseMessage(text: string): Message {
  return readMessage(Fields.parse(text, 'the message'));
}

/** Reads a message out of a larger object. Throws SwarmbootError('report') that names the field. */
export function readMessage(fields: Fields): Message {
  if (fields.raw('format') !== 1) throw fields.bad('format', '1');
  return {
    format: 1,
    mac: fields.mac('mac'),
    host: fields.text('host', WORD_MAX),
    image: fields.orNull('image', () => fields.text('image', WORD_MAX)),
    install: fields.orNull('install', () => fields.text('install', WORD_MAX)),
    status: fields.whole('status', STATUS_MIN, STATUS_MAX),
    stage: fields.text('stage', WORD_MAX),
    stages: fields.list('stages', STAGES.length, readStage),
    text: fields.lines('text', TEXT_MAX),
    code: fields.orNull('code', () => fields.text('code', WORD_MAX)),
    report: fields.orNull('report', () => readReport(fields.raw('report'))),
    inventory: fields.orNull('inventory', () => readInventory(fields.raw('inventory'))),
    log: fields.list('log', LOG_LINES_MAX, readLine),
    logFrom: fields.whole('logFrom', 0, LOG_FROM_MAX),
  };
}

/** Reads the answer about a node. Throws SwarmbootError('report'). */
export function parseNodeAnswer(text: string): NodeAnswer {
  const fields = Fields.parse(text, 'the answer about a node');
  return {
    known: fields.flag('known'),
    armed: fields.flag('armed'),
    name: fields.orNull('name', () => fields.text('name', WORD_MAX)),
    armedSince: fields.orNull('armedSince', () => fields.text('armedSince', WORD_MAX)),
  };
}

function readStage(value: unknown): StageBegin {
  const fields = new Fields(value, 'a stage');
  return { stage: fields.oneOf('stage', STAGES), atMs: fields.amount('atMs') };
}

function readLine(value: unknown): LogLine {
  const fields = new Fields(value, 'a line of the log');
  return { atMs: fields.amount('atMs'), text: fields.text('text', LINE_MAX) };
}

function readReport(value: unknown): NodeReport {
  const fields = new Fields(value, 'the report');
  return {
    stage: fields.oneOf('stage', STAGES),
    percent: fields.amount('percent', 0, 100),
    bytesTotal: fields.amount('bytesTotal'),
    bytesVerified: fields.amount('bytesVerified'),
    bytesExtracted: fields.amount('bytesExtracted'),
    bytesWritten: fields.amount('bytesWritten'),
    downBytesPerSec: fields.amount('downBytesPerSec'),
    upBytesPerSec: fields.amount('upBytesPerSec'),
    uploadedBytes: fields.amount('uploadedBytes'),
    wastedBytes: fields.amount('wastedBytes'),
    hashFailures: fields.amount('hashFailures'),
    // Records that were kept before there was a choice say nothing of it.
    webSeedBytes: fields.raw('webSeedBytes') === undefined ? 0 : fields.amount('webSeedBytes'),
    fallback: fields.raw('fallback') === undefined ? NO_FALLBACK : readFallback(fields.raw('fallback')),
    retries: fields.amount('retries'),
    busyPercent: fields.amount('busyPercent', 0, 100),
    diskBytesPerSec: fields.orNull('diskBytesPerSec', () => fields.amount('diskBytesPerSec')),
    peers: fields.amount('peers'),
    seeders: fields.amount('seeders'),
    leechers: fields.amount('leechers'),
    pool: fields.orNull('pool', () => fields.text('pool', LINE_MAX)),
    leftMs: fields.orNull<Ms>('leftMs', () => fields.amount('leftMs')),
    elapsedMs: fields.amount('elapsedMs'),
    errors: fields.texts('errors', ERRORS_MAX, LINE_MAX),
  };
}

function readFallback(value: unknown): Fallback {
  const fields = new Fields(value, 'the fallback');
  return { step: fields.oneOf('step', FALLBACK_STEPS), reason: fields.text('reason', LINE_MAX) };
}

function boundReport(report: NodeReport): NodeReport {
  return {
    ...report,
    fallback: { ...report.fallback, reason: boundText(report.fallback.reason, LINE_MAX) },
    pool: report.pool === null ? null : boundText(report.pool, LINE_MAX),
    errors: report.errors.slice(-ERRORS_MAX).map((error) => boundText(error, LINE_MAX)),
  };
}

/** The last lines that fit. */
function lastLines(log: readonly LogLine[], bytesMax: number): readonly LogLine[] {
  const kept: LogLine[] = [];
  let bytes = 0;
  for (const { atMs, text } of log.slice(-LOG_LINES_MAX).reverse()) {
    const bounded = { atMs, text: boundText(text, LINE_MAX) };
    bytes += bytesOf(bounded) + 1;
    if (bytes > bytesMax) break;
    kept.push(bounded);
  }
  return kept.reverse();
}

function bytesOf(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}
