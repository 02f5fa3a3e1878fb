// What a node and its image server say to each other when the node enrols: it names itself, and gets the token by which it
// is known until its install has ended. Both sides read with this file; asking and keeping are done elsewhere.

import { SwarmbootError } from './errors.ts';
import { boundText, Fields } from './fields.ts';

/** Where a node enrols, below the image server. */
export const ENROL_NAME = 'enrol';
export const ENROL_BYTES_MAX = 1024;
/** What the first-boot proof is made over, with the token as its key: HMAC-SHA256. */
export const FIRST_BOOT_LABEL = 'swarmboot first boot';

const SERIAL_MAX = 128;
/** `525400090001.` and 256 bits in base64url: whose it is may be known, for the rest is the secret. */
const TOKEN = /^([0-9a-f]{12})\.[A-Za-z0-9_-]{43}$/;
const SECRET = /^[A-Za-z0-9_-]{43}$/;
const PROOF = /^[0-9a-f]{64}$/;

export interface EnrolRequest {
  readonly mac: string;
  /** The machine's, as `machineSerial` gives it; empty when it tells none. */
  readonly serial: string;
}

/** What an enrolled node has. It goes into no log, no report and no file. */
export interface Enrolled {
  readonly token: string;
  /** The secret of this run: 32 bytes in base64url. */
  readonly secret: string;
}

/** A serial number without the blanks that firmware puts into it, so that it is one word in nodes.conf. */
export function machineSerial(text: string): string {
  return boundText(text.replace(/\s+/g, ''), SERIAL_MAX);
}

/** Reads a request to enrol. Throws SwarmbootError('report'). */
export function parseEnrolRequest(text: string): EnrolRequest {
  const fields = Fields.parse(text, 'the request to enrol');
  return { mac: fields.mac('mac'), serial: machineSerial(fields.text('serial', SERIAL_MAX)) };
}

/** Reads the answer to it. Throws SwarmbootError('report'), which tells nothing of what is in it. */
export function parseEnrolled(text: string): Enrolled {
  const fields = Fields.parse(text, 'the answer to an enrolment');
  const [token, secret] = [fields.raw('token'), fields.raw('secret')];
  if (typeof token !== 'string' || macOfToken(token) === null) throw unshown('token');
  if (typeof secret !== 'string' || !SECRET.test(secret)) throw unshown('secret');
  return { token, secret };
}

/** Whose token it says that it is, as 12 hex digits; null when it has not the form of one. */
export function macOfToken(token: string): string | null {
  return TOKEN.exec(token)?.[1] ?? null;
}

/** `message` as JSON, with the proof in it that the new system sends once. */
export function withProof(message: string, proof: string | null): string {
  return proof === null ? message : JSON.stringify({ ...JSON.parse(message), proof });
}

/** The proof in a message; null when it has none. Throws SwarmbootError('report') when the message is no object. */
export function proofIn(text: string): string | null {
  const proof = Fields.parse(text, 'the message').raw('proof');
  return typeof proof === 'string' && PROOF.test(proof) ? proof : null;
}

function unshown(key: string): SwarmbootError {
  const what = `in the answer to an enrolment, "${key}" is not what it has to be`;
  return new SwarmbootError('report', `${what}; are agent and server of one version?`);
}
