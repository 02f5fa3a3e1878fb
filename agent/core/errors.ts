// The two families of wrong: the world's fault is a SwarmbootError, reported and perhaps retried; our own fault is a
// failed `assert`, on in production. A remote peer's fault is neither: it is data, a `drop` command with a reason.

/** Every code that can end a stage or a command, with the exit status that a script sees. */
export const EXIT_STATUS = {
  torrent: 1,
  usage: 2,
  parameters: 3,
  catalog: 4,
  tracker: 6,
  staging: 7,
  archive: 9,
  extract: 10,
  network: 11,
  repository: 12,
  missing: 13,
  interrupted: 14,
  layout: 15,
  disk: 16,
  system: 17,
  script: 18,
  report: 19,
  nodes: 20,
  build: 21,
  check: 23,
  signature: 24,
  enrolment: 25,
} as const;

export type ErrorCode = keyof typeof EXIT_STATUS;

/** What each exit status tells an admin; the manual is printed from it. */
export const EXIT_MEANING: Readonly<Record<ErrorCode, string>> = {
  torrent:
    'a torrent or magnet link is wrong; or a fault of the program itself, which prints where it happened',
  usage: 'the command line or the configuration file is wrong',
  parameters: 'the parameters of an install are wrong',
  catalog: 'the catalog of the image server cannot be had, or lacks what was asked for',
  tracker: 'a tracker does not answer, or refuses',
  staging: 'there is no place, or not enough, for what is downloaded',
  archive: 'a tarball holds what no node would unpack, or is no tarball',
  extract: 'a tree could not be unpacked where it belongs',
  network: 'a port cannot be opened, or the other side cannot be reached',
  repository: 'the repository cannot be read, written or believed',
  missing: 'a file, a program or a publication that was named is not there',
  interrupted: 'stopped by a signal',
  layout: 'a disk layout is wrong, or there is none for this machine',
  disk: 'the disks do not fit the layout, or a command for them failed',
  system: 'the installed tree could not be made a system that starts by itself',
  script: 'a script of the site failed',
  report: 'a report of a node is wrong',
  nodes: 'nodes.conf is wrong, or does not have that node',
  build: 'BOEL binaries or RAM disk could not be built',
  check: 'this machine is not fit for an install; nothing was written',
  signature: 'a key, a signature or a certificate is wrong, or what was signed has been changed',
  enrolment: 'the image server does not let this machine enrol; nothing was written',
};

/** A fault of the world outside: what is wrong, where, and what to do next, in that order, in one message. */
export class SwarmbootError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'SwarmbootError';
    this.code = code;
  }
}

/** Stops the program when our own reasoning was wrong. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`broken assumption: ${message}`);
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
