// The stages of an install as a list, and one wrapper that times, reports and retries each. The work itself is done in
// the rooms; here is the order of things, and that nothing is left behind when one of them fails.

import { checkNode } from './check.ts';
import { type ErrorCode, messageOf, SwarmbootError } from './core/errors.ts';
import { FallbackSteps } from './core/fallback.ts';
import type { Params } from './core/params.ts';
import { foldReport, type NodeReport, type StageName } from './core/report.ts';
import type {
  EngineRoom,
  ExtractionResult,
  Membership,
  Rooms,
  StoreRoom,
  TransferRoom,
} from './core/rooms.ts';
import type { Pool } from './core/staging.ts';
import type { SystemJob } from './core/systemrooms.ts';
import type { Ms } from './core/units.ts';
import { enrolNode } from './enrol.ts';
import {
  describePlan,
  eraseKeys,
  type Plan,
  planInstall,
  recognised,
  type Tarball,
  tarballsOf,
} from './plan.ts';
import { rememberPeers } from './remembering.ts';
import { seedOn } from './seeding.ts';
import { describeJob, onDisks, planSystem } from './siteplan.ts';
import { flushFolder, Staging, usablePool } from './staging.ts';
import { TargetSystem } from './system.ts';
import { until } from './until.ts';
import { verified } from './verified.ts';

/** A stage is data: its name, and its work. What it made is undone by `#cleanUp`, whatever happened. */
interface Stage {
  readonly name: StageName;
  work(): Promise<void>;
}

/** A tarball with its staging file and its swarm. */
interface Staged {
  readonly tarball: Tarball;
  readonly store: StoreRoom;
  transfer: TransferRoom | null;
  extractedBytes: number;
  writtenBytes: number;
}

/** Faults that may pass: a server that still boots, a network that comes up. */
const PASSING: ReadonlySet<ErrorCode> = new Set(['tracker', 'network', 'catalog']);
/** Time between two reports. */
const REPORT_MS: Ms = 2000;
/** Waits before the next attempts, about two minutes together; then the stage fails. */
export const RETRY_WAITS_MS: readonly Ms[] = [1000, 2000, 4000, 8000, 15_000, 30_000, 60_000];

/** One install, from checked parameters to the end of seed-wait. */
export class Install {
  readonly #params: Params;
  readonly #rooms: Rooms;
  readonly #startedMs: Ms;
  /** Ends every wait, with the fault that ended the install as its reason. */
  readonly #signal: AbortSignal;
  readonly #failure = new AbortController();
  readonly #busyPercent: () => number;
  readonly #errors: string[] = [];
  #retries = 0;
  readonly #steps = new FallbackSteps();
  readonly #staged: Staged[] = [];
  /** What is kept for another attempt is, until this one leaves. */
  readonly #leaving = new AbortController();
  readonly #remembering: Promise<void>[] = [];
  readonly #staging: Staging;
  #stage: StageName = 'parameters';
  /** Null: this node has not enrolled. */
  #membership: Membership | null = null;
  #engine: EngineRoom | null = null;
  #plan: Plan | null = null;
  #imageExtraction: Promise<void> = Promise.resolve();
  /** Null when the install goes into a folder. */
  #job: SystemJob | null = null;
  #system: TargetSystem | null = null;
  #diskBytesPerSec: number | null = null;
  #left = false;

  constructor(params: Params, rooms: Rooms, signal: AbortSignal) {
    this.#params = params;
    this.#rooms = rooms;
    this.#staging = new Staging(params, rooms);
    this.#startedMs = rooms.now();
    this.#busyPercent = rooms.host.watchProcessors();
    this.#signal = AbortSignal.any([signal, this.#failure.signal]);
  }

  /** Runs every stage. Throws the SwarmbootError that ended it; staging files are freed and swarms left by then. */
  async run(): Promise<void> {
    const reports = new AbortController();
    const reporting = this.#reportOften(reports.signal);
    try {
      for (const stage of this.#stages()) {
        if (stage.name === 'leave') await stopReports();
        await this.#runStage(stage);
        if (stage.name === 'catalog' && this.#params.dryRun) break;
      }
      await this.#cleanUp();
    } catch (error) {
      this.#failure.abort(error);
      await this.#cleanUp();
      await this.#system?.release();
      throw error;
    } finally {
      await stopReports();
    }

    async function stopReports(): Promise<void> {
      reports.abort();
      await reporting;
    }
  }

  #stages(): readonly Stage[] {
    const disks = onDisks(this.#params);
    const signal = this.#signal;
    const stage = (name: StageName, work: () => Promise<void>): Stage => ({ name, work });
    const onlyDisks = (name: StageName, work: (system: TargetSystem) => Promise<void>) =>
      disks ? [stage(name, () => work(this.#system!))] : [];
    return [
      stage('parameters', () => this.#checkParameters()),
      // Who cannot be sure of the server has nothing to show to it.
      ...(this.#rooms.trust?.authority == null ? [] : [stage('enrol', () => this.#enrol())]),
      stage('catalog', () => this.#readCatalog()),
      // Before the BOEL binaries: they come from the swarm, and whoever cannot reach it would wait for them for ever.
      ...onlyDisks('check', () => this.#check()),
      stage('BOEL binaries', () => this.#extractBoel()),
      ...onlyDisks('pre-install', (system) => system.runScripts('pre-install', signal)),
      ...onlyDisks('disks', (system) => system.prepareDisks(signal)),
      stage('staging', () => this.#stageImage()),
      stage('image', () => this.#fetchImage()),
      stage('extract', () => this.#imageExtraction),
      stage('overrides', () => this.#extractOverrides()),
      ...onlyDisks('main-install', (system) => system.runScripts('main-install', signal)),
      ...onlyDisks('finish', (system) => system.finish(signal)),
      ...onlyDisks('post-install', (system) => system.runScripts('post-install', signal)),
      // The last step of all that makes the disks start something: half a system is never started.
      ...onlyDisks('boot loader', (system) => system.installBootLoader(signal)),
      stage('seed-wait', () => this.#seedWait()),
      stage('leave', () => this.#cleanUp()),
      ...onlyDisks('post-action', (system) => this.#startAnew(system)),
    ];
  }

  /** The state of this node now. */
  report(): NodeReport {
    const transfers = tarballsOf(this.#plan).map((tarball) => {
      const staged = this.#staged.find((candidate) => candidate.tarball === tarball);
      const view = staged?.transfer?.view() ?? null;
      const { extractedBytes = 0, writtenBytes = 0 } = staged ?? {};
      return { bytes: tarball.torrent.length, extractedBytes, writtenBytes, view };
    });
    return foldReport(this.#stage, transfers, {
      pool: this.#staging.pool,
      elapsedMs: this.#rooms.now() - this.#startedMs,
      errors: this.#errors,
      retries: this.#retries,
      busyPercent: this.#busyPercent(),
      diskBytesPerSec: this.#diskBytesPerSec,
    });
  }

  async #runStage({ name, work }: Stage): Promise<void> {
    const { now, sleep, tell } = this.#rooms;
    const startedMs = now();
    this.#stage = name;
    tell({ fact: 'stageBegan', stage: name });
    for (let attempt = 0; ; attempt++) {
      try {
        this.#signal.throwIfAborted();
        if (attempt === 0 && this.#params.breakStages.includes(name)) await this.#break(name);
        await work();
        tell({ fact: 'stageEnded', stage: name, ms: now() - startedMs });
        if (name !== 'leave' && this.#plan !== null) this.#tellReport();
        return;
      } catch (caught) {
        // What aborted the waits is the fault; the wait that ended by it is not.
        const error: unknown = this.#signal.aborted ? this.#signal.reason : caught;
        const waitMs = RETRY_WAITS_MS[attempt];
        const passing = error instanceof SwarmbootError && PASSING.has(error.code) && !this.#signal.aborted;
        if (!passing || waitMs === undefined) {
          tell({
            fact: 'stageFailed',
            stage: name,
            ms: now() - startedMs,
            error: messageOf(error),
            code: error instanceof SwarmbootError ? error.code : null,
          });
          throw error;
        }
        this.#errors.push(error.message);
        this.#retries++;
        tell({ fact: 'stageRetried', stage: name, waitMs, error: error.message, code: error.code });
        await sleep(waitMs, this.#signal);
      }
    }
  }

  async #checkParameters(): Promise<void> {
    if (!onDisks(this.#params)) usablePool(this.#rooms.host, this.#params.target, 'TARGET');
    this.#engine ??= await this.#rooms.startEngine();
    this.#rooms.tell({ fact: 'note', text: `peers reach this node on port ${this.#engine.port}` });
  }

  async #enrol(): Promise<void> {
    this.#membership = await enrolNode(this.#rooms, this.#signal);
  }

  async #readCatalog(): Promise<void> {
    // An attempt before this one may have got so far.
    eraseKeys(this.#plan);
    this.#plan = await planInstall(this.#params, this.#rooms, this.#engine!, this.#signal);
    this.#staging.expect(tarballsOf(this.#plan));
    this.#rooms.tell({ fact: 'note', text: `to be fetched: ${describePlan(this.#plan)}` });
    if (!onDisks(this.#params)) return;
    const job = await planSystem(this.#params, this.#plan, this.#rooms, this.#signal);
    this.#job = job;
    this.#system = new TargetSystem(job, this.#rooms.system, this.#membership?.proof ?? null);
    const text = this.#params.dryRun ? describeJob(job) : job.plan.lines.join('\n');
    this.#rooms.tell({ fact: 'note', text });
  }

  async #check(): Promise<void> {
    const candidate = {
      params: this.#params,
      plan: this.#plan!,
      job: this.#job!,
      engine: this.#engine!,
      staging: this.#staging,
    };
    const { diskBytesPerSec, refusal } = await checkNode(candidate, this.#rooms, this.#signal);
    this.#diskBytesPerSec = diskBytesPerSec;
    if (refusal === null) return;
    this.#tellReport();
    throw refusal;
  }

  async #break(name: StageName): Promise<void> {
    this.#rooms.tell({
      fact: 'note',
      text: `a shell before the stage "${name}", as BREAK asks; leave it by "exit", and the install goes on`,
    });
    await this.#rooms.system.shell();
  }

  async #startAnew(system: TargetSystem): Promise<void> {
    system.keepLog(this.#rooms.logLines());
    await this.#rooms.reported();
    await system.postAction(this.#params.postAction, this.#signal);
  }

  /** They come first, because what follows may need the tools in them; they go on being seeded. */
  async #extractBoel(): Promise<void> {
    const { boel } = this.#plan!;
    if (boel === null) return;
    const target = usablePool(this.#rooms.host, this.#params.boelFolder, 'BOEL_DIR');
    const [staged] = await this.#stageAll([boel], target);
    this.#join(staged!);
    await this.#extract(staged!, target.folder);
  }

  async #stageImage(): Promise<void> {
    const { image, overrides } = this.#plan!;
    await this.#stageAll([image, ...overrides], usablePool(this.#rooms.host, this.#params.target, 'TARGET'));
  }

  /** Extraction starts with the first bytes; the overrides come at the same time as the image. */
  async #fetchImage(): Promise<void> {
    const { image, overrides } = this.#plan!;
    for (const tarball of [image, ...overrides]) this.#join(this.#find(tarball));
    const staged = this.#find(image);
    this.#imageExtraction = this.#extract(staged, this.#params.target);
    this.#imageExtraction.catch((error: unknown) => this.#failure.abort(error));
    await until(staged.transfer!.complete, this.#signal);
  }

  async #extractOverrides(): Promise<void> {
    const { overrides } = this.#plan!;
    // In the order named, which may name one twice.
    const inOrder = this.#params.overrides.map((name) => overrides.find((tarball) => tarball.name === name)!);
    for (const tarball of inOrder) await this.#extract(this.#find(tarball), this.#params.target);
    eraseKeys(this.#plan);
  }

  async #seedWait(): Promise<void> {
    // Everything is verified by now, or its extraction would not have ended; the promises say so formally.
    for (const { transfer } of this.#staged) await until(transfer!.complete, this.#signal);
    // On disks the boot loader has come after that.
    if (!onDisks(this.#params))
      await this.#rooms.system.run(flushFolder(this.#params.target), 'extract', this.#signal);
    this.#rooms.tell({ fact: 'installed', ms: this.#rooms.now() - this.#startedMs });
    const views = () => this.#staged.map(({ transfer }) => transfer!.view());
    await seedOn(this.#params, this.#rooms, views, this.#signal);
  }

  /** Leaves every swarm, then frees the pools. Every step is tried; what fails is told and stops nothing. */
  async #cleanUp(): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    this.#leaving.abort();
    await Promise.all(this.#remembering);
    const { tell } = this.#rooms;
    const attempt = async (work: Promise<unknown> | undefined) => {
      await work?.catch((error: unknown) =>
        tell({ fact: 'note', text: `while leaving: ${messageOf(error)}` }),
      );
    };
    await this.#imageExtraction.catch(() => {});
    eraseKeys(this.#plan);
    await Promise.all(this.#staged.map(({ transfer }) => attempt(transfer?.leave())));
    await attempt(this.#engine?.stop());
    await this.#staging.free(attempt);
  }

  #find(tarball: Tarball): Staged {
    return this.#staged.find((staged) => staged.tarball === tarball)!;
  }

  /** Chooses a pool for `tarballs` together and reserves their room. */
  async #stageAll(tarballs: readonly Tarball[], target: Pool): Promise<readonly Staged[]> {
    const stores = await this.#staging.stage(tarballs, target, this.#signal);
    const staged = tarballs.map((tarball, index) => ({
      tarball,
      store: stores[index]!,
      transfer: null,
      extractedBytes: 0,
      writtenBytes: 0,
    }));
    this.#staged.push(...staged);
    return staged;
  }

  #join(staged: Staged): void {
    const { tarball, store } = staged;
    staged.transfer = this.#engine!.join(tarball.torrent, store, store.have);
    staged.transfer.addPeers(tarball.peers);
    staged.transfer.addWebSeeds(tarball.webSeeds);
    const leaving = AbortSignal.any([this.#signal, this.#leaving.signal]);
    this.#remembering.push(rememberPeers(staged.transfer, store.path, this.#rooms, leaving));
    // A store that fails ends the install at once, whichever stage is waiting for whatever.
    staged.transfer.complete.catch((error: unknown) => this.#failure.abort(error));
  }

  async #extract(staged: Staged, target: string): Promise<void> {
    const { tarball, store, transfer } = staged;
    const { now, extract, tell } = this.#rooms;
    const startedMs = now();
    const chunks = store.source((bytes, signal) => transfer!.front(bytes, signal), this.#signal);
    const { compression, source } =
      tarball.entry === null
        ? // Nobody has said what the whole tarball hashes to.
          await recognised(verified(chunks, tarball.torrent, (piece, bytes) => store.verify(piece, bytes)))
        : { compression: tarball.entry.compression, source: chunks };
    const result: ExtractionResult = await extract(
      {
        source,
        compression,
        fileKey: tarball.fileKey,
        expected: tarball.entry,
        target,
        writer: tarball.kind === 'boel' ? 'stream' : 'tar',
        onProgress: (sourceBytes, writtenBytes) => {
          staged.extractedBytes = sourceBytes;
          staged.writtenBytes = writtenBytes;
        },
      },
      this.#signal,
    );
    const { entries, unpackedBytes, notes } = result;
    tell({ fact: 'extracted', name: tarball.name, entries, bytes: unpackedBytes, ms: now() - startedMs });
    for (const text of notes) tell({ fact: 'note', text: `${tarball.name}: ${text}` });
  }

  async #reportOften(signal: AbortSignal): Promise<void> {
    const { sleep } = this.#rooms;
    while (!signal.aborted) {
      await sleep(REPORT_MS, signal).catch(() => {});
      if (!signal.aborted) this.#tellReport();
    }
  }

  #tellReport(): void {
    const report = this.report();
    for (const event of this.#steps.toTell(report.fallback)) this.#rooms.tell(event);
    this.#rooms.tell({ fact: 'report', ...report });
  }
}
