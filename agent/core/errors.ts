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
  memory: 22,
  check: 23,
} as const;

export type ErrorCode = keyof typeof EXIT_STATUS;

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
