// Every parser that reads what comes from a network, from a disk or from people, by the name that `make fuzz` knows.

import type { Target } from './target.ts';
import { admission } from './targets/admission.ts';
import { age } from './targets/age.ts';
import { archives } from './targets/archives.ts';
import { bencode } from './targets/bencode.ts';
import { datagrams } from './targets/datagrams.ts';
import { disks } from './targets/disks.ts';
import { engine } from './targets/engine.ts';
import { enrolments } from './targets/enrolments.ts';
import { http } from './targets/http.ts';
import { layouts } from './targets/layouts.ts';
import { magnets } from './targets/magnets.ts';
import { manifest } from './targets/manifest.ts';
import { params } from './targets/params.ts';
import { replies } from './targets/replies.ts';
import { reports } from './targets/reports.ts';
import { searches } from './targets/searches.ts';
import { torrents } from './targets/torrents.ts';
import { tracker } from './targets/tracker.ts';
import { wire } from './targets/wire.ts';

/** Each is made anew for a run; `folder` is for its files. */
export const TARGETS = {
  bencode,
  torrent: torrents,
  wire,
  admission,
  engine,
  tar: archives,
  manifest,
  params,
  report: reports,
  enrolment: enrolments,
  http,
  datagram: datagrams,
  reply: replies,
  tracker,
  layout: layouts,
  disk: disks,
  magnet: magnets,
  search: searches,
  age,
} satisfies Record<string, (folder: string) => Target | Promise<Target>>;

export type TargetName = keyof typeof TARGETS;

export function isTargetName(name: string): name is TargetName {
  return Object.hasOwn(TARGETS, name);
}

export const TARGET_NAMES: readonly TargetName[] = Object.keys(TARGETS).filter(isTargetName);
