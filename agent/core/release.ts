// What a signed manifest says of itself: how new it is, and the rules by which nodes install what it names. Every field is
// there, and no other: what an agent does not know, it cannot keep to.

import { formatAddress, parseAddress } from './address.ts';
import { bad, count, type Fields, fault, fieldsOf } from './catalog.ts';
import { parseMac } from './mac.ts';
import { isTrackerUrl } from './metainfo.ts';
import { parseNetwork } from './networks.ts';

/** Who may take part, and by whom it may be installed. */
export interface Rules {
  /** Peers prove to each other that they belong to the site before anything is given. */
  readonly closed: boolean;
  /** Networks like `10.0.0.0/8`: peers outside are neither heard nor called. Null: peers may be anywhere. */
  readonly networks: readonly string[] | null;
  /** MACs of the machines that it is for, `aa:bb:cc:dd:ee:ff`; null: for all. */
  readonly machines: readonly string[] | null;
  /** The lowest version of the agent that may use it, `x.y.z`. */
  readonly agentMin: string;
  /** Announce URLs that torrents may name besides those at the image server; null: no others. */
  readonly trackers: readonly string[] | null;
}

/** What makes one signed manifest newer than another, and its rules. */
export interface Release extends Rules {
  /** Each signed manifest of a repository has a larger one; from 1 on. */
  readonly serial: number;
  /** Unix times, s. From the second on the manifest is not believed. */
  readonly created: number;
  readonly expires: number;
}

/** The rules of a manifest that nobody has restricted. */
export const OPEN_RULES: Rules = {
  closed: false,
  networks: null,
  machines: null,
  agentMin: '0.0.0',
  trackers: null,
};

const NETWORKS_MAX = 64;
const MACHINES_MAX = 10_000;
const TRACKERS_MAX = 64;
const VERSION = /^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$/;
const KNOWN = new Set([...Object.keys(OPEN_RULES), 'serial', 'created', 'expires']);

/** Reads "release" of a manifest; null: it is not signed. Throws SwarmbootError('catalog') that names the field. */
export function parseRelease(value: unknown): Release | null {
  if (value === null) return null;
  const where = '"release" of the manifest';
  const fields = fieldsOf(value, where);
  for (const key of Object.keys(fields)) {
    if (!KNOWN.has(key)) throw fault(`${where} has "${key}", which this agent does not know`);
  }
  return {
    serial: count(fields, 'serial', where, 1),
    created: count(fields, 'created', where, 0),
    expires: count(fields, 'expires', where, 0),
    ...parseRules(fields, where),
  };
}

function parseRules(fields: Fields, where: string): Rules {
  const list = (key: string, max: number, wanted: string, fits: (text: string) => boolean) => {
    const value = fields[key];
    if (value === null) return null;
    const right =
      Array.isArray(value) &&
      value.length > 0 &&
      value.length <= max &&
      value.every((item): item is string => typeof item === 'string' && fits(item));
    if (!right) throw bad(where, key, value, `null or a list of 1 to ${max} ${wanted}`);
    return value;
  };
  const { closed, agentMin } = fields;
  if (typeof closed !== 'boolean') throw bad(where, 'closed', closed, 'true or false');
  if (typeof agentMin !== 'string' || !isVersion(agentMin)) {
    throw bad(where, 'agentMin', agentMin, 'a version like 1.2.3');
  }
  return {
    closed,
    networks: list(
      'networks',
      NETWORKS_MAX,
      'networks like 10.0.0.0/8',
      (text) => parseNetwork(text) === text,
    ),
    machines: list(
      'machines',
      MACHINES_MAX,
      'MACs like 52:54:00:09:00:01',
      (text) => parseMac(text) === text,
    ),
    agentMin,
    trackers: list('trackers', TRACKERS_MAX, 'URLs of trackers', isTrackerUrl),
  };
}

/** Why a node may not install by a release; null: it may. `mac`: the interface that booted; empty when it is not known. */
export function refusalOf(
  { agentMin, machines }: Rules,
  { version, mac }: { readonly version: string; readonly mac: string },
): string | null {
  if (isBelow(version, agentMin)) {
    return `the manifest wants an agent of version ${agentMin}, and this is ${version}; build the RAM disk anew`;
  }
  if (machines === null || machines.includes(mac)) return null;
  return `the manifest is not for this machine (${mac || 'its MAC is not known'}); name it too: swarmboot sign --machine`;
}

/**
 * True for announce URLs that a torrent may name: those of the release, and `/announce` on the image server, whose names and
 * addresses `serverHosts` are. Torrents are believed in nothing else, and what they name is called.
 */
export function mayAnnounce(url: string, { trackers }: Rules, serverHosts: readonly string[]): boolean {
  return trackers?.includes(url) === true || isAtHost(url, serverHosts);
}

/** True for `/announce` at one of these hosts, names or addresses. */
export function isAtHost(url: string, hosts: readonly string[]): boolean {
  // No user, nothing escaped: there is one way to read it.
  const host = /^(?:https?|udp):\/\/(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::\d{1,5})?\/announce$/i.exec(url)?.[1];
  return host !== undefined && hosts.some((own) => plainHost(own) === plainHost(host));
}

/** One text for a host, with brackets or without. */
function plainHost(host: string): string {
  const text = host.replace(/^\[(.*)\]$/, '$1');
  const address = parseAddress(text);
  return address === null ? text.toLowerCase() : formatAddress(address);
}

function isBelow(version: string, least: string): boolean {
  const [have, want] = [version, least].map((text) => text.split('.').map(Number));
  const at = want!.findIndex((part, index) => part !== have![index]);
  return at !== -1 && (have![at] ?? 0) < want![at]!;
}

/** True for `x.y.z` in numbers. */
export function isVersion(text: string): boolean {
  return VERSION.test(text);
}
