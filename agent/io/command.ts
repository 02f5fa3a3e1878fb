// Runs one program of a plan: no shell, a clean environment, everything it says in the log, and an end when it hangs or the
// install is stopped.

import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import type { Readable } from 'node:stream';
import { BOUNDS } from '../core/bounds.ts';
import { COMMAND_TIMEOUT_MS, type Command, formatCommand } from '../core/command.ts';
import { type ErrorCode, SwarmbootError } from '../core/errors.ts';
import { plainText } from '../core/report.ts';
import { formatDuration, type Ms } from '../core/units.ts';

const ENVIRONMENT = {
  LC_ALL: 'C',
  HOME: '/',
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
};
/** Of the output the last so many characters are kept. */
const OUTPUT_MAX = BOUNDS.outputChars;
/** So many last lines stand in the error. */
const ERROR_LINES = 12;
/** A program that is told to end gets this long, then it is killed. */
const KILL_MS: Ms = 5000;
/** Something it left behind may hold its output open; so long we wait for the rest of it after its end. */
const REST_MS: Ms = 1000;

/** The programs of a plan that are not here: to be asked before its first command runs. */
export function absentPrograms(commands: readonly Command[]): readonly string[] {
  const programs = new Set(commands.map(({ argv }) => argv[0] ?? ''));
  return [...programs].filter((path) => {
    try {
      accessSync(path, constants.X_OK);
      return false;
    } catch {
      return true;
    }
  });
}

/**
 * Runs a command to its end and returns the lines that it wrote, of standard output and standard error, the last 64 Ki
 * characters. `tell` gets the command, and each line as it comes. Throws SwarmbootError with `code` when it cannot be started, ends
 * with another status than 0, or runs too long; and the signal's reason when that ended it.
 */
export async function runCommand(
  command: Command,
  code: ErrorCode,
  signal: AbortSignal,
  tell: (line: string) => void,
): Promise<string> {
  signal.throwIfAborted();
  const timeoutMs = command.timeoutMs ?? COMMAND_TIMEOUT_MS;
  tell(`$ ${formatCommand(command)}`);
  if (typeof command.input === 'string') tell(`  reads: ${command.input.trimEnd()}`);
  const output = new Output(tell);
  const timeout = AbortSignal.timeout(timeoutMs);
  const ended = await run(command, AbortSignal.any([signal, timeout]), output);
  signal.throwIfAborted();
  if (ended === 'ended with status 0' && !timeout.aborted) return output.text();
  const how = timeout.aborted ? `did not end within ${formatDuration(timeoutMs)}` : ended;
  tell(`  ${how}`);
  const last = output.text().trimEnd().split('\n').slice(-ERROR_LINES).join('\n');
  throw new SwarmbootError(
    code,
    `cannot ${command.why}: \`${formatCommand(command)}\` ${how}${last === '' ? ' and said nothing' : `:\n${last}\n`}; the log of this node has every command before it`,
  );
}

/** How it ended, in words. */
async function run(command: Command, signal: AbortSignal, output: Output): Promise<string> {
  const [program, ...words] = command.argv;
  const { promise, resolve } = Promise.withResolvers<string>();
  const child = spawn(program!, words, {
    cwd: '/',
    env: { ...ENVIRONMENT, ...command.env },
    stdio: [command.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    // A group of its own, so that what it has started ends with it.
    detached: true,
  });
  const stop = () => end(child);
  signal.addEventListener('abort', stop, { once: true });
  const streams = [child.stdout!, child.stderr!];
  for (const stream of streams) output.read(stream);
  // A program may end without reading all; its status tells what that means.
  child.stdin?.on('error', () => {});
  child.stdin?.end(command.input);
  let rest: NodeJS.Timeout | undefined;
  child.once('exit', () => {
    rest = setTimeout(() => {
      for (const stream of streams) stream.destroy();
    }, REST_MS);
  });
  child.once('error', (error) => resolve(`could not be started (${error.message})`));
  child.once('close', (status, name) =>
    resolve(name === null ? `ended with status ${status}` : `was ended by ${name}`),
  );
  try {
    return await promise;
  } finally {
    clearTimeout(rest);
    signal.removeEventListener('abort', stop);
  }
}

/** Asks the program and all that it started to end; those that do not are killed. */
function end(child: ChildProcess): void {
  const send = (name: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // The group is gone.
    }
  };
  send('SIGTERM');
  const kill = setTimeout(() => send('SIGKILL'), KILL_MS);
  child.once('close', () => clearTimeout(kill));
}

/** The end of what a program says, and each line of it as it comes; its two streams never share a line. */
class Output {
  readonly #tell: (line: string) => void;
  #text = '';

  constructor(tell: (line: string) => void) {
    this.#tell = tell;
  }

  /** Reads a stream to its end. */
  read(stream: Readable): void {
    const decoder = new TextDecoder();
    let line = '';
    stream.on('data', (bytes: Buffer) => {
      const lines = (line + decoder.decode(bytes, { stream: true })).split(/\r?\n|\r/);
      line = (lines.pop() ?? '').slice(-OUTPUT_MAX);
      for (const whole of lines) this.#add(whole);
    });
    stream.once('close', () => {
      if (line !== '') this.#add(line);
    });
  }

  #add(line: string): void {
    this.#text = `${this.#text}${line}\n`.slice(-OUTPUT_MAX);
    this.#tell(`  ${plainText(line)}`);
  }

  text(): string {
    return this.#text;
  }
}
