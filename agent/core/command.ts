// One program that is to be run on the node, as data: plans are made here in the core, run by agent/io/command, and shown
// to people before anything happens (DRY_RUN=y). Decides nothing.

import type { Ms } from './units.ts';

export interface Command {
  /** Absolute path of the program, then its arguments. */
  readonly argv: readonly string[];
  /** What it reads on its standard input; nothing when absent. */
  readonly input?: string | Uint8Array;
  /** Variables added to the clean environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** It is ended, and has failed, when it runs longer than this; COMMAND_TIMEOUT_MS when absent. */
  readonly timeoutMs?: Ms;
  /** What it is for, in words that fit behind "cannot": `make the file system of /`. */
  readonly why: string;
}

/** Long enough for mkfs on a slow disk; a program that hangs must not hold the node for ever. */
export const COMMAND_TIMEOUT_MS: Ms = 15 * 60_000;

/** The command as a shell would take it, for logs, plans and faults; never run in this form. */
export function formatCommand(command: Command): string {
  return command.argv.map(quote).join(' ');
}

function quote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
