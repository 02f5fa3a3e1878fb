// Enrolments as a repository keeps them: REPO/enrolled has a file for each node that has ever enrolled, with digests of its
// token and its proof and never these themselves, and the secret of the present run. `serve` and `swarmboot node` meet
// here, each a process of its own: whoever changes something holds the lock.

import { randomBytes, timingSafeEqual } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Enrolled, macOfToken } from '../agent/core/enrolment.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { mac12, parseMac } from '../agent/core/mac.ts';
import type { Ms } from '../agent/core/units.ts';
import { digests, firstBootProof } from '../agent/io/digest.ts';
import {
  type Alarm,
  type Attempt,
  alarmed,
  booted,
  enrolled,
  judgeEnrolment,
  NEVER_ENROLLED,
  parseStanding,
  rearmed,
  type Standing,
  tokenDigest,
} from './core/enrolment.ts';
import { arm, disarm, readArming } from './nodes.ts';
import { absent, attempt, settle } from './repository.ts';

const SECRET_BYTES = 32;
const FILE = /^([0-9a-f]{12})\.json$/;
/** Whoever holds the lock writes a file or two: one that is so old was left by somebody who died. */
const LOCK_MAX_MS: Ms = 10_000;
const LOCK_WAIT_MS: Ms = 5;
/** Stands for the digest that is not there, so that as much is done as with one. */
const NO_DIGEST = Buffer.alloc(32).toString('hex');

/** Who asks to enrol, beside what the repository knows. */
export type Applicant = Omit<Attempt, 'nowMs' | 'arming'> & { readonly mac: string };

export type Answer =
  | { readonly granted: true; readonly enrolled: Enrolled }
  /** `alarm` only when it is the first. */
  | { readonly granted: false; readonly reason: string; readonly alarm: Alarm | null };

/** The enrolments while `serve` runs. What is on disk is what counts: nothing is remembered here but where to look first. */
export class Enrolments {
  readonly #repo: string;
  /** The last change that was begun: one process waits for itself in turn, not for the lock. */
  #last: Promise<unknown> = Promise.resolve();
  /** A node that was enrolled when it was last looked for one. */
  #aliveHint: string | null = null;
  #secret: Uint8Array | null;

  private constructor(repo: string, secret: Uint8Array | null) {
    this.#repo = repo;
    this.#secret = secret;
  }

  /** Throws SwarmbootError('repository'). */
  static async open(repo: string): Promise<Enrolments> {
    return new Enrolments(repo, await readRunSecret(repo));
  }

  /** The 32 bytes by which the nodes of the present run know one another; null: none has enrolled yet. */
  get runSecret(): Uint8Array | null {
    return this.#secret;
  }

  /** Enrols a node, if it may. Throws SwarmbootError('repository'). */
  enrol({ mac, ...applicant }: Applicant): Promise<Answer> {
    return this.#inTurn(async () => {
      const standing = await readStanding(this.#repo, mac);
      const asked: Attempt = {
        ...applicant,
        nowMs: Date.now(),
        arming: await readArming(this.#repo, mac),
      };
      const verdict = judgeEnrolment(standing, asked);
      if (!verdict.granted) {
        const { reason, alarm } = verdict;
        const after = alarm === null ? standing : alarmed(standing, alarm);
        const isNews = after !== standing;
        if (isNews) await writeStanding(this.#repo, mac, after);
        return { granted: false, reason, alarm: isNews ? alarm : null };
      }
      this.#secret = await this.#secretOfRun(mac, asked.nowMs);
      const token = `${mac12(mac)}.${randomBytes(SECRET_BYTES).toString('base64url')}`;
      const marks = { token: digestOf(token), proof: digestOf(firstBootProof(token)) };
      await writeStanding(this.#repo, mac, enrolled(standing, asked, verdict, marks));
      this.#aliveHint = mac;
      return { granted: true, enrolled: { token, secret: Buffer.from(this.#secret).toString('base64url') } };
    });
  }

  /** The MAC of the node whose token this is; null: nobody's, or one that counts no more. Throws SwarmbootError('repository'). */
  async nodeOf(token: string): Promise<string | null> {
    const mac = parseMac(macOfToken(token) ?? '');
    if (mac === null) return null;
    const kept = tokenDigest(await readStanding(this.#repo, mac), Date.now());
    return isDigest(token, kept) ? mac : null;
  }

  /**
   * The new system of a node says that it is up. `first`: its token is at an end now; `again`: it has said so before, and
   * what it says is to change nothing; `refused`: the proof is not this node's. Throws SwarmbootError('repository').
   */
  firstBoot(mac: string, proof: string): Promise<'first' | 'again' | 'refused'> {
    return this.#inTurn(async () => {
      const standing = await readStanding(this.#repo, mac);
      if (!isDigest(proof, standing.enrolment?.proof ?? null)) return 'refused';
      if (standing.enrolment?.booted) return 'again';
      await writeStanding(this.#repo, mac, booted(standing));
      return 'first';
    });
  }

  /** The secret of the run that `mac` is going to be in: a new one when no other node is in any. */
  async #secretOfRun(mac: string, nowMs: number): Promise<Uint8Array> {
    const present = await readRunSecret(this.#repo);
    if (present !== null && (await this.#isRunning(mac, nowMs))) return present;
    const secret = randomBytes(SECRET_BYTES);
    await writeOwn(secretPath(this.#repo), secret);
    return secret;
  }

  /** Whether another node than `mac` is enrolled. */
  async #isRunning(mac: string, nowMs: number): Promise<boolean> {
    const isAlive = async (other: string) =>
      other !== mac && tokenDigest(await readStanding(this.#repo, other), nowMs) !== null;
    if (this.#aliveHint !== null && (await isAlive(this.#aliveHint))) return true;
    for (const other of await enrolledMacs(this.#repo)) {
      if (!(await isAlive(other))) continue;
      this.#aliveHint = other;
      return true;
    }
    return false;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => withLock(this.#repo, work));
    this.#last = turn.catch(() => {});
    return turn;
  }
}

/** Arms a node, which may enrol once from now on, within so many hours; its old token is at an end. Throws SwarmbootError('repository'). */
export async function armNode(repo: string, mac: string, windowHours: number): Promise<void> {
  await withLock(repo, async () => {
    const standing = await readStanding(repo, mac);
    if (standing !== NEVER_ENROLLED) await writeStanding(repo, mac, rearmed(standing));
    await arm(repo, mac, windowHours);
  });
}

/**
 * Ends a node's token, disarms it, and forgets which machine it is. False when there was nothing to forget. Throws
 * SwarmbootError('repository').
 */
export async function revokeNode(repo: string, mac: string): Promise<boolean> {
  const place = standingPath(repo, mac);
  return withLock(repo, async () => {
    await disarm(repo, mac);
    return attempt(`remove ${place}`, () =>
      fs.unlink(place).then(
        () => true,
        (error: NodeJS.ErrnoException) => absent(error) ?? false,
      ),
    );
  });
}

/** The alarms of all nodes, by MAC. Throws SwarmbootError('repository'). */
export async function readAlarms(repo: string): Promise<ReadonlyMap<string, Alarm>> {
  const alarms = new Map<string, Alarm>();
  for (const mac of await enrolledMacs(repo)) {
    const { alarm } = await readStanding(repo, mac);
    if (alarm !== null) alarms.set(mac, alarm);
  }
  return alarms;
}

async function readRunSecret(repo: string): Promise<Uint8Array | null> {
  const place = secretPath(repo);
  const bytes = await attempt(`read ${place}`, () => fs.readFile(place).catch(absent));
  return bytes?.length === SECRET_BYTES ? bytes : null;
}

/** Its files are the enrolments; its time of change, that of the last. */
export function enrolledFolder(repo: string): string {
  return path.join(repo, 'enrolled');
}

function standingPath(repo: string, mac: string): string {
  return path.join(enrolledFolder(repo), `${mac12(mac)}.json`);
}

function secretPath(repo: string): string {
  return path.join(enrolledFolder(repo), 'secret');
}

async function enrolledMacs(repo: string): Promise<readonly string[]> {
  const folder = enrolledFolder(repo);
  const names = (await attempt(`read ${folder}`, () => fs.readdir(folder).catch(absent))) ?? [];
  return names.flatMap((name) => parseMac(FILE.exec(name)?.[1] ?? '') ?? []);
}

async function readStanding(repo: string, mac: string): Promise<Standing> {
  const place = standingPath(repo, mac);
  const text = await attempt(`read ${place}`, () => fs.readFile(place, 'utf8').catch(absent));
  if (text === undefined) return NEVER_ENROLLED;
  try {
    return parseStanding(text);
  } catch (error) {
    const next = 'run swarmboot node revoke for it, then arm it again';
    throw new SwarmbootError('repository', `${place} is no enrolment (${messageOf(error)}); ${next}`, {
      cause: error,
    });
  }
}

async function writeStanding(repo: string, mac: string, standing: Standing): Promise<void> {
  await writeOwn(standingPath(repo, mac), `${JSON.stringify(standing, null, 2)}\n`);
}

/** Writes a file that its owner alone reads: the folder's, for root arms nodes beside a service that is not root. */
async function writeOwn(place: string, content: string | Uint8Array): Promise<void> {
  await attempt(`write ${place}`, async () => {
    const draft = `${place}.new`;
    await fs.rm(draft, { force: true });
    await fs.writeFile(draft, content, { mode: 0o600, flag: 'wx' });
    await giveTo(draft, path.dirname(place));
    await settle(draft, place);
  });
}

/** What root makes belongs to whom the folder belongs. */
async function giveTo(place: string, folder: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await fs.stat(folder);
  await fs.chown(place, uid, gid);
}

async function withLock<T>(repo: string, work: () => Promise<T>): Promise<T> {
  const folder = enrolledFolder(repo);
  const lock = path.join(folder, 'lock');
  await attempt(`write to ${folder}`, async () => {
    if ((await fs.mkdir(folder, { recursive: true, mode: 0o700 })) !== undefined) await giveTo(folder, repo);
    await takeLock(lock);
  });
  try {
    return await work();
  } finally {
    await attempt(`remove ${lock}`, () => fs.rm(lock, { force: true }));
  }
}

async function takeLock(lock: string): Promise<void> {
  for (;;) {
    try {
      await (await fs.open(lock, 'wx')).close();
      return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const held = await fs.stat(lock).catch(absent);
    if (held !== undefined && Date.now() - held.mtimeMs > LOCK_MAX_MS) await fs.rm(lock, { force: true });
    else await sleep(LOCK_WAIT_MS);
  }
}

function digestOf(text: string): string {
  return Buffer.from(digests.sha256(Buffer.from(text))).toString('hex');
}

/** Whether `digest` is that of `text`, in the same time whatever both are. */
function isDigest(text: string, digest: string | null): boolean {
  const same = timingSafeEqual(Buffer.from(digestOf(text)), Buffer.from(digest ?? NO_DIGEST));
  return same && digest !== null;
}
