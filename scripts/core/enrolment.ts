// Who may enrol: a node of nodes.conf that is armed, once for each time that it is armed, within a window, from the machine
// that it has always been. Decides; reads no file, no clock and no token: of these it is told.

import { Fields } from '../../agent/core/fields.ts';
import type { Ms } from '../../agent/core/units.ts';

/** How long an armed node may enrol, unless `node arm --window` says otherwise. */
export const WINDOW_HOURS = 24;
export const WINDOW_HOURS_MAX = 24 * 365;
const HOUR_MS: Ms = 3_600_000;
/** A token that nobody has ended is at an end after so long: of a node that was switched off in the middle, say. */
export const TOKEN_MAX_MS: Ms = 7 * 24 * HOUR_MS;

const TEXT_MAX = 400;
const DIGEST = /^[0-9a-f]{64}$/;

/** The last enrolment of a node. Times are in milliseconds since 1970. */
export interface Enrolment {
  /** Of the machine, without blanks; may be empty. */
  readonly serial: string;
  /** When the node had been armed. */
  readonly armedMs: number;
  readonly sinceMs: number;
  /** SHA-256 of the token, hex; null: it is at an end. */
  readonly token: string | null;
  /** SHA-256 of the proof that the new system sends, hex; null: it counts no more. */
  readonly proof: string | null;
  /** The proof has been used. */
  readonly booted: boolean;
}

/** Somebody tried to be a node that is somebody else. It stays until the node is armed again or revoked. */
export interface Alarm {
  readonly atMs: number;
  /** One line. */
  readonly text: string;
}

/** What is kept of one node. */
export interface Standing {
  readonly enrolment: Enrolment | null;
  readonly alarm: Alarm | null;
}

export const NEVER_ENROLLED: Standing = { enrolment: null, alarm: null };

/** How a node was armed. */
export interface Arming {
  readonly sinceMs: number;
  readonly windowHours: number;
}

/** Somebody who wants to enrol as a node. */
export interface Attempt {
  readonly nowMs: number;
  /** Address that he asks from. */
  readonly from: string;
  /** What his machine calls itself. */
  readonly serial: string;
  /** `serial=` of the node in nodes.conf; null: it has none. Undefined: the node is not there. */
  readonly listedSerial: string | null | undefined;
  /** Null: the node is not armed. */
  readonly arming: Arming | null;
}

/** Whether somebody may enrol. A refusal says why, for the node's console, and `alarm` when it is more than bad luck. */
export type Verdict =
  | { readonly granted: true; readonly armedMs: number }
  | { readonly granted: false; readonly reason: string; readonly alarm: Alarm | null };

export function judgeEnrolment({ enrolment }: Standing, attempt: Attempt): Verdict {
  const { nowMs, from, serial, listedSerial, arming } = attempt;
  const machine = serial === '' ? 'a machine without serial number' : `the machine ${serial}`;
  const refused = (reason: string, alarming = false): Verdict => {
    // For the admin alone: who asked must not learn what he should have said.
    const text = `${machine} at ${from} was refused: ${reason}`.slice(0, TEXT_MAX);
    return { granted: false, reason, alarm: alarming ? { atMs: nowMs, text } : null };
  };
  if (listedSerial === undefined) return refused('it is not in nodes.conf');
  if (arming === null) return refused('it is not armed');
  // Before the window: who is not the machine is told of, whenever he comes.
  const right = listedSerial ?? enrolment?.serial ?? serial;
  if (serial !== right) {
    const whose = listedSerial === null ? 'of the machine that enrolled first' : 'that nodes.conf names';
    return refused(`its serial number is not the one ${whose}`, true);
  }
  if (enrolment?.armedMs === arming.sinceMs) {
    return refused('it has enrolled already since it was armed, and may do so once', true);
  }
  const open = nowMs - arming.sinceMs < arming.windowHours * HOUR_MS;
  if (!open) return refused(`it was armed more than ${arming.windowHours} h ago`);
  return { granted: true, armedMs: arming.sinceMs };
}

/** After an enrolment that was granted; `token` and `proof` are digests. */
export function enrolled(
  { alarm }: Standing,
  { nowMs, serial }: Pick<Attempt, 'nowMs' | 'serial'>,
  { armedMs }: { readonly armedMs: number },
  { token, proof }: { readonly token: string; readonly proof: string },
): Standing {
  return { enrolment: { serial, armedMs, sinceMs: nowMs, token, proof, booted: false }, alarm };
}

/** After an alarm: the first is kept, for what comes later may be its author's noise. */
export function alarmed(standing: Standing, alarm: Alarm): Standing {
  return standing.alarm === null ? { ...standing, alarm } : standing;
}

/** After the node was armed anew: token and proof are at an end, and what was wrong has been seen. The machine is known still. */
export function rearmed({ enrolment }: Standing): Standing {
  return { enrolment: enrolment && { ...enrolment, token: null, proof: null }, alarm: null };
}

/** After the new system has proved that it is up: the token is at an end. */
export function booted(standing: Standing): Standing {
  const { enrolment } = standing;
  return { ...standing, enrolment: enrolment && { ...enrolment, token: null, booted: true } };
}

/** The digest that a token must have to count now; null: none does. */
export function tokenDigest({ enrolment }: Standing, nowMs: number): string | null {
  return enrolment !== null && nowMs - enrolment.sinceMs < TOKEN_MAX_MS ? enrolment.token : null;
}

/** Reads a standing. Throws SwarmbootError('report') that names the field. */
export function parseStanding(text: string): Standing {
  const fields = Fields.parse(text, 'the enrolment');
  return {
    enrolment: fields.orNull('enrolment', () => readEnrolment(fields.raw('enrolment'))),
    alarm: fields.orNull('alarm', () => {
      const alarm = new Fields(fields.raw('alarm'), 'the alarm');
      return { atMs: alarm.amount('atMs'), text: alarm.text('text', TEXT_MAX) };
    }),
  };
}

function readEnrolment(value: unknown): Enrolment {
  const fields = new Fields(value, 'the enrolment');
  const digest = (key: string) =>
    fields.orNull(key, () => {
      const text = String(fields.raw(key));
      if (!DIGEST.test(text)) throw fields.bad(key, '64 hex digits');
      return text;
    });
  return {
    serial: fields.text('serial', TEXT_MAX),
    armedMs: fields.amount('armedMs'),
    sinceMs: fields.amount('sinceMs'),
    token: digest('token'),
    proof: digest('proof'),
    booted: fields.flag('booted'),
  };
}
