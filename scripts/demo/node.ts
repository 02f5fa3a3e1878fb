// One node of the demo: an agent as a child process with folders and a port of its own, and what it says of itself.

import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import type { NodeReport, StageName } from '../../agent/core/report.ts';
import { KIB, type Ms } from '../../agent/core/units.ts';
import type { NodeResult } from './result.ts';

/** What all nodes share. */
export interface Cluster {
  /** The agent's executable. */
  readonly agent: string;
  /** `host:port` of the catalog. */
  readonly imageServer: string;
  readonly imageName: string;
  readonly overrides: readonly string[];
  /** 0: no cap. */
  readonly uploadMaxBytesPerSec: number;
}

/** A node as the screen shows it; the fields change while the agent runs. */
export interface NodeState {
  readonly node: number;
  readonly folder: string;
  stage: StageName | 'starting' | 'done' | 'failed';
  report: NodeReport | null;
  uploadedBytes: number;
  readonly stageBeganMs: Map<StageName, Ms>;
  readonly stageEndedMs: Map<StageName, Ms>;
  endedMs: Ms | null;
  exitStatus: number | null;
}

/** Where a node keeps what; `target` and `boel` are compared with the originals. */
export function nodeFolders(folder: string) {
  return { target: join(folder, 'target'), boel: join(folder, 'boel'), staging: join(folder, 'staging') };
}

/** A node that has not begun. `node` counts from 1. */
export function newNode(node: number, top: string): NodeState {
  const folder = join(top, String(node).padStart(2, '0'));
  return {
    node,
    folder,
    stage: 'starting',
    report: null,
    uploadedBytes: 0,
    stageBeganMs: new Map(),
    stageEndedMs: new Map(),
    endedMs: null,
    exitStatus: null,
  };
}

/** Runs the agent to its end and keeps `state` up to date. `now` counts from the start of the first agent. */
export async function runNode(
  state: NodeState,
  cluster: Cluster,
  now: () => Ms,
  signal: AbortSignal,
): Promise<void> {
  const { target, boel, staging } = nodeFolders(state.folder);
  for (const path of [target, boel, staging]) await mkdir(path, { recursive: true });
  const child = spawn(
    cluster.agent,
    [
      `--IMAGESERVER=${cluster.imageServer}`,
      `--IMAGENAME=${cluster.imageName}`,
      `--OVERRIDES=${cluster.overrides.join(',')}`,
      `--BOOTIF=${macOf(state.node)}`,
      `--HOSTNAME=node${String(state.node).padStart(2, '0')}`,
      `--TARGET=${target}`,
      `--BOEL_DIR=${boel}`,
      `--BITTORRENT_STAGING=${staging}`,
      '--BITTORRENT_PORT=0',
      '--BITTORRENT_POLLING_TIME=1',
      `--BITTORRENT_UPLOAD_MAX=${Math.ceil(cluster.uploadMaxBytesPerSec / KIB)}`,
      '--BIND=127.0.0.1',
      '--CONSOLE=json',
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], signal },
  );
  const log = createWriteStream(join(state.folder, 'agent.log'));
  child.stderr.pipe(log, { end: false });
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    log.write(`${line}\n`);
    hear(state, line, now());
  });
  state.exitStatus = await statusOf(child);
  state.endedMs = now();
  state.stage = state.exitStatus === 0 ? 'done' : 'failed';
  log.end();
  await finished(log);
}

/** A MAC of its own for each node, of those that no maker gives away. */
function macOf(node: number): string {
  return `02:00:00:00:${[node >> 8, node & 255].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
}

function statusOf(child: ChildProcess): Promise<number | null> {
  return new Promise((done, failed) => child.once('error', failed).once('close', done));
}

/** Takes one line of the agent's console (CONSOLE=json); anything else, such as a stack trace, is for its log alone. */
export function hear(state: NodeState, line: string, now: Ms): void {
  if (!line.startsWith('{')) return;
  const said: { readonly fact: string; readonly stage: StageName } & NodeReport = JSON.parse(line);
  if (said.fact === 'report') {
    state.report = said;
    state.uploadedBytes = said.uploadedBytes;
  }
  if (said.fact === 'stageBegan') {
    state.stage = said.stage;
    state.stageBeganMs.set(said.stage, now);
  }
  if (said.fact === 'stageEnded') state.stageEndedMs.set(said.stage, now);
  if (said.fact === 'leaving') state.uploadedBytes = said.uploadedBytes;
}

/** What became of a node whose agent has ended. */
export function resultOf(state: NodeState, differences: readonly string[]): NodeResult {
  return {
    node: state.node,
    imageBeganMs: state.stageBeganMs.get('image') ?? null,
    imageMs: state.stageEndedMs.get('image') ?? null,
    readyMs: state.stageEndedMs.get('overrides') ?? null,
    endedMs: state.endedMs ?? 0,
    exitStatus: state.exitStatus,
    downloadedBytes: (state.report?.bytesVerified ?? 0) + (state.report?.wastedBytes ?? 0),
    uploadedBytes: state.uploadedBytes,
    differences,
  };
}
