// The kinds of value that a parameter may have: how each is called in the manual and in a fault, and how its text is
// read. Which parameter has which kind is decided in params.ts.

import { parseAddress } from './address.ts';
import { ENTRY_NAME } from './catalog.ts';
import { HOST_NAME } from './lease.ts';
import { parseMac } from './mac.ts';
import { STAGES, type StageName } from './report.ts';

/** A kind of value: what it is called in the manual and in a fault, and how its text is read. */
export interface Kind<T> {
  readonly expects: string;
  /** Undefined when the text is not of this kind. */
  read(text: string): T | undefined;
}

export const DEFAULT_HTTP_PORT = 8080;

export const flag: Kind<boolean> = {
  expects: 'y or n',
  read: (text) => {
    if (/^(y|yes|true|1|on)$/i.test(text)) return true;
    if (/^(n|no|false|0|off)$/i.test(text)) return false;
    return undefined;
  },
};

export const name: Kind<string> = {
  expects: 'a name of letters, digits, `.`, `_`, `-`',
  read: (text) => (ENTRY_NAME.test(text) ? text : undefined),
};

export const names: Kind<readonly string[]> = {
  expects: 'names with commas between',
  read: (text) => {
    const list = splitList(text);
    return list.every((item) => ENTRY_NAME.test(item)) ? Object.freeze(list) : undefined;
  },
};

export const hostName: Kind<string> = {
  expects: 'a host name without dots',
  read: (text) => (HOST_NAME.test(text) ? text : undefined),
};

/** Stages as the kernel command line spells them: `boot-loader`. */
export const stages: Kind<readonly StageName[]> = {
  expects: `stages with commas between, of ${STAGES.map(spelled).join(', ')}`,
  read: (text) => {
    const list = splitList(text).map((word) => STAGES.find((stage) => spelled(stage) === word));
    return list.every((stage) => stage !== undefined) ? Object.freeze(list) : undefined;
  },
};

/** Reads every spelling of a MAC, and PXELINUX's with 01 for Ethernet in front. */
export const mac: Kind<string> = {
  expects: 'a MAC, or one like `01-52-54-00-09-00-01`',
  read: (text) => parseMac(text.replace(/^01-(?=.{17}$)/, '')) ?? undefined,
};

export const postAction: Kind<PostAction> = {
  expects: 'reboot, kexec, poweroff or shell',
  read: (text) => POST_ACTIONS.find((action) => action === text),
};

export const POST_ACTIONS = ['reboot', 'kexec', 'poweroff', 'shell'] as const;
export type PostAction = (typeof POST_ACTIONS)[number];

/** What becomes of a node that is not fit to be installed. */
export const unfit: Kind<'park' | 'warn'> = {
  expects: 'park or warn',
  read: (text) => (text === 'park' || text === 'warn' ? text : undefined),
};

export const address: Kind<string> = {
  expects: 'an IPv4 or IPv6 address',
  read: (text) => (isAddress(text) ? text : undefined),
};

export const folder: Kind<string> = {
  expects: 'an absolute path',
  read: (text) => (text.startsWith('/') && !text.includes('\0') ? text : undefined),
};

/** Several in the order in which they are asked. */
export const servers: Kind<readonly string[]> = {
  expects: 'a host, host:port, or http(s) URL; several with commas between',
  read: (text) => {
    const list = splitList(text).map(readServer);
    const fits = list.length > 0 && list.every((item) => item !== undefined);
    return fits ? Object.freeze([...new Set(list)]) : undefined;
  },
};

export const torrent: Kind<string> = {
  expects: 'magnet:?..., an http(s) URL, or the path of a .torrent file',
  read: (text) => {
    if (/^magnet:/i.test(text)) return text.startsWith('?', 7) ? text : undefined;
    if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return readUrl(text) === undefined ? undefined : text;
    return text === '' || text.includes('\0') ? undefined : text;
  },
};

export const consoleStyle: Kind<'text' | 'json'> = {
  expects: 'text or json',
  read: (text) => (text === 'text' || text === 'json' ? text : undefined),
};

export function whole(unit: string, min: number, max: number, scale = 1): Kind<number> {
  return {
    expects: `a whole number${unit === '' ? '' : ` of ${unit}`}, ${min} to ${max}`,
    read: (text) => {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      return value >= min && value <= max ? value * scale : undefined;
    },
  };
}

function spelled(stage: StageName): string {
  return stage.toLowerCase().replaceAll(' ', '-');
}

function splitList(text: string): string[] {
  return text.split(',').filter((item) => item !== '');
}

function readServer(text: string): string | undefined {
  if (/^https?:/i.test(text)) return readUrl(text)?.href.replace(/\/+$/, '');
  const bare = isAddress(text) && text.includes(':') ? `[${text}]` : text;
  if (!/^(\[[0-9a-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?$/i.test(bare)) return undefined;
  const port = /:\d+$/.test(bare) ? '' : `:${DEFAULT_HTTP_PORT}`;
  return readUrl(`http://${bare}${port}`)?.origin;
}

/** An http(s) URL without a user name or password: a kernel command line is no place for a secret. */
function readUrl(text: string): URL | undefined {
  const url = URL.parse(text);
  const clean = url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  return clean ? url : undefined;
}

function isAddress(text: string): boolean {
  return parseAddress(text) !== null;
}
