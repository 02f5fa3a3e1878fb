// What a mirror follows of its image server beside the manifest: nodes.conf, who is armed, the boot files, and which
// publications there still are. Both sides read it with this file.

import { count, fieldsOf } from '../../agent/core/catalog.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { parseMac } from '../../agent/core/mac.ts';
import { SERVER_BOUNDS } from './bounds.ts';
import { NODES_MAX } from './nodes.ts';

/** A server's path for it. */
export const SITE_STATE_NAME = 'site.json';
/** Of the document: 10,000 armed nodes and their nodes.conf fit. */
export const SITE_STATE_BYTES_MAX = SERVER_BOUNDS.siteStateBytes;
/** What a file below REPO/boot is called. */
export const BOOT_FILE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

export interface ArmedNode {
  /** `aa:bb:cc:dd:ee:ff`. */
  readonly mac: string;
  /** Unix time, ms. */
  readonly sinceMs: number;
  readonly windowHours: number;
}

export interface BootFile {
  readonly name: string;
  readonly size: number;
  /** Unix time of its last change, ms. */
  readonly changedMs: number;
}

export interface SiteState {
  readonly format: 1;
  /** The text of nodes.conf; null: there is none. */
  readonly nodes: string | null;
  readonly armed: readonly ArmedNode[];
  readonly boot: readonly BootFile[];
  /** The names of all publications. */
  readonly entries: readonly string[];
}

/** Throws SwarmbootError('catalog') for what is no such document. */
export function parseSiteState(text: string): SiteState {
  const where = 'what is to be mirrored';
  const fields = fieldsOf(jsonOf(text), where);
  const { format, nodes, entries } = fields;
  const names = Array.isArray(entries) && entries.every((name) => typeof name === 'string');
  if (format !== 1 || !names || (nodes !== null && typeof nodes !== 'string')) throw noState();
  return {
    format,
    nodes,
    entries,
    armed: listOf(fields.armed, NODES_MAX).map((value) => {
      const item = fieldsOf(value, where);
      const mac = typeof item.mac === 'string' ? parseMac(item.mac) : null;
      if (mac === null || mac !== item.mac) throw noState();
      return {
        mac,
        sinceMs: count(item, 'sinceMs', where, 0),
        windowHours: count(item, 'windowHours', where, 0),
      };
    }),
    boot: listOf(fields.boot, SERVER_BOUNDS.mirroredBootFiles).map((value) => {
      const item = fieldsOf(value, where);
      if (typeof item.name !== 'string' || !BOOT_FILE.test(item.name)) throw noState();
      const size = count(item, 'size', where, 0, SERVER_BOUNDS.mirroredBootBytes);
      return { name: item.name, size, changedMs: count(item, 'changedMs', where, 0) };
    }),
  };
}

function listOf(value: unknown, max: number): readonly unknown[] {
  if (Array.isArray(value) && value.length <= max) return value;
  throw noState();
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw noState();
  }
}

function noState(): SwarmbootError {
  return new SwarmbootError(
    'catalog',
    'the server does not tell what is to be mirrored; run the same version of Swarmboot on both',
  );
}
