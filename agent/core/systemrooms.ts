// What finishing a system needs: the facts of the install, and the other rooms of the agent as interfaces. main.ts brings
// the real ones, tests bring small fakes. Types only: nothing here runs.

import type { Command } from './command.ts';
import type { DiskPlan } from './diskplan.ts';
import type { ErrorCode } from './errors.ts';
import type { Lease } from './lease.ts';

/** A script of the site, fetched and checked against the catalog. */
export interface SiteScript {
  /** As in the catalog: `scripts/post-install/10all.motd`. */
  readonly path: string;
  readonly content: Uint8Array;
}

/** What was published under a name. */
export interface Published {
  readonly name: string;
  /** Of the tarball, lower-case hex. */
  readonly sha256: string;
}

/** One install onto disks, as far as the new system is concerned. Names are checked before they come here. */
export interface SystemJob {
  /** Where the file systems of the new system are mounted. */
  readonly target: string;
  /** A folder of the installer for scripts and their variables: /run/swarmboot. */
  readonly runFolder: string;
  readonly plan: DiskPlan;
  readonly layoutName: string;
  readonly lease: Lease;
  /** Without dots; empty when nobody has named this node. */
  readonly hostName: string;
  readonly groups: readonly string[];
  readonly image: Published;
  /** In the order in which they were laid over the image. */
  readonly overrides: readonly Published[];
  /** The image server that has answered, as IMAGESERVER names it. */
  readonly server: string;
  /** Where the new system says that it has come up: to one of these. */
  readonly reportsUrls: readonly string[];
  readonly scripts: readonly SiteScript[];
  /** The installer's own. */
  readonly kernelCommandLine: string;
  /** ISO 8601. */
  readonly installedAt: string;
}

/**
 * Files below one folder. Paths are relative to it. Links on the way are followed as the system that lives there would
 * follow them: an absolute one begins at that folder, and none leads out of it. All but `has`, `isLink`, `list` and `read`
 * throw SwarmbootError 'system'.
 */
export interface TreeRoom {
  /** Whether something is there, links followed. */
  has(path: string): boolean;
  isLink(path: string): boolean;
  /** Names in a folder, sorted; empty when there is none. */
  list(path: string): readonly string[];
  /** The text of a file; null when there is none. */
  read(path: string): string | null;
  /** Makes or replaces a file, whole or not at all, owned by who runs this, with the folders above it. */
  write(path: string, content: string | Uint8Array, mode: number): void;
  /** Makes or replaces a file by a copy of one of the installer's. */
  copy(from: string, path: string, mode: number): void;
  /** Makes or replaces a symbolic link. */
  link(path: string, to: string): void;
  /** Removes a file, a link itself, or a folder with all in it; what is not there is no fault. */
  remove(path: string): void;
  /** Makes the folder if it is not there. Returns where it lies for the installer, without links in it. */
  folder(path: string): string;
}

/** Everything that a TargetSystem is joined to. */
export interface SystemRooms {
  /** Runs a program to its end and returns what it wrote. Throws SwarmbootError(code). */
  run(command: Command, code: ErrorCode, signal: AbortSignal): Promise<string>;
  /** The programs of these commands that are not here. */
  absentPrograms(commands: readonly Command[]): readonly string[];
  openTree(root: string): TreeRoom;
  /** Ends every process whose root folder is `root` or below it; returns their names. */
  endProcesses(root: string): readonly string[];
  /** The first address of a host name; the name itself when it has none. */
  addressOf(host: string): Promise<string>;
  /** A shell on the console, until it ends. */
  shell(): Promise<void>;
  note(text: string): void;
}
