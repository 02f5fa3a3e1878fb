// `swarmboot keygen`, `manifest`, `sign` and `verify`: keys, and signatures of manifests and other files, which minisign reads
// and makes too.

import * as fs from 'node:fs/promises';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import {
  formatPublicKey,
  type PublicKey,
  parsePublicKey,
  parseSignature,
  SIGNATURE_BYTES_MAX,
  verifySignature,
} from '../agent/core/minisign.ts';
import { parseNetwork } from '../agent/core/networks.ts';
import { isVersion } from '../agent/core/release.ts';
import { GIB } from '../agent/core/units.ts';
import { signatureChecks } from '../agent/io/digest.ts';
import { type Arguments, type Command, expectWords, type Option, type Terminal, usage } from './command.ts';
import { DAYS_VALID, draftManifest, type Wish } from './manifest.ts';
import { readNodes } from './nodes.ts';
import { REPO_OPTION } from './repository.ts';
import {
  formatSecretKey,
  makeSecretKey,
  parseSecretKey,
  SECRET_KEY_BYTES_MAX,
  signatureOf,
  wantsPassword,
} from './secretkey.ts';

/** A file is read whole to be signed; what is signed here are manifests. */
const SIGNED_BYTES_MAX = GIB;
const PASSWORD_BYTES_MAX = 4096;

const PASSWORD_OPTION: Option = {
  name: 'password-file',
  kind: 'text',
  value: 'FILE',
  help: "its first line is the secret key's password",
};

const DAYS_MAX = 3650;
const DAYS_OPTION: Option = {
  name: 'days',
  kind: 'number',
  value: 'DAYS',
  help: 'nodes believe the manifest for so long',
  default: DAYS_VALID,
};

/** Who may use the manifest and take part in its swarms. What is not given stays as it was in the manifest before. */
const RULE_OPTIONS: readonly Option[] = [
  { name: 'closed', kind: 'flag', help: 'peers prove that they belong to the site before they get anything' },
  { name: 'open', kind: 'flag', help: 'whoever reaches a peer may take part, from now on again' },
  {
    name: 'network',
    kind: 'list',
    value: 'CIDR',
    help: 'peers elsewhere are neither heard nor called: 10.0.0.0/8, fd00::/8 (all: 0.0.0.0/0 and ::/0)',
  },
  {
    name: 'machine',
    kind: 'list',
    value: 'NAME|MAC|RANGE|@GROUP',
    help: "machines of nodes.conf that it is for ('*': for all)",
  },
  {
    name: 'agent-min',
    kind: 'text',
    value: 'VERSION',
    help: 'RAM disks with an older agent are refused (0.0.0: none)',
  },
];

export const keygen: Command = {
  name: 'keygen',
  synopsis: 'NAME --password-file FILE|--unencrypted',
  summary: 'Makes a key pair: NAME.key, to be kept secret, and NAME.pub.',
  options: [
    PASSWORD_OPTION,
    { name: 'unencrypted', kind: 'flag', help: 'whoever reads NAME.key can sign: it has no password' },
  ],
  run: async (args, terminal) => {
    const [name] = expectWords(args, 'NAME');
    const password = await passwordOf(args);
    if ((password === '') !== args.flag('unencrypted')) {
      throw usage('give --password-file FILE, or --unencrypted for a key without a password');
    }
    const key = makeSecretKey();
    await create(`${name}.key`, formatSecretKey(key, password), 0o600);
    await create(`${name}.pub`, formatPublicKey(key.public), 0o644).catch(async (error) => {
      await fs.rm(`${name}.key`);
      throw error;
    });
    terminal.out.write(`key ${key.public.id}: keep ${name}.key secret, give ${name}.pub to all\n`);
  },
};

export const sign: Command = {
  name: 'sign',
  synopsis: '[FILE] --key NAME.key [options]',
  summary: 'Signs what is published now, so that it is offered; or any file: writes FILE.minisig.',
  options: [
    { name: 'key', kind: 'text', value: 'FILE', help: 'the secret key' },
    PASSWORD_OPTION,
    { name: 'comment', kind: 'text', help: 'is signed too, and shown by who verifies (default: the time)' },
    DAYS_OPTION,
    ...RULE_OPTIONS,
    REPO_OPTION,
  ],
  run: async (args, terminal) => {
    const keyFile = args.text('key');
    if (keyFile === undefined) throw usage('--key NAME.key is missing');
    const text = (await read(keyFile, SECRET_KEY_BYTES_MAX)).toString('utf8');
    const password = wantsPassword(text, keyFile) ? await passwordOf(args) : '';
    const key = parseSecretKey(text, password, keyFile);
    const isManifest = args.words.length === 0;
    const file = isManifest ? await draft(args, terminal) : expectWords(args, 'FILE')[0];
    const comment = args.text('comment') ?? `timestamp:${Math.floor(Date.now() / 1000)}`;
    if (/[\r\n]/.test(comment)) throw usage('--comment is one line');
    const signature = signatureOf(await read(file, SIGNED_BYTES_MAX), key, comment);
    await replace(`${file}.minisig`, signature);
    const told = isManifest
      ? `${file} is signed with key ${key.public.id}, and offered`
      : `${file}.minisig: signed with key ${key.public.id}`;
    terminal.out.write(`${told}\n`);
  },
};

export const manifest: Command = {
  name: 'manifest',
  synopsis: '[options]',
  summary: 'Writes the manifest of what is published now, to be signed, on this machine or another one.',
  options: [DAYS_OPTION, ...RULE_OPTIONS, REPO_OPTION],
  run: async (args, terminal) => {
    expectWords(args);
    const file = await draft(args, terminal);
    terminal.out.write(`${file} is to be signed; ${file}.minisig is its signature's place\n`);
  },
};

/** Writes the manifest to be signed. Returns its place. */
async function draft(args: Arguments, { err }: Terminal): Promise<string> {
  const days = args.number('days')!;
  if (days <= 0 || days > DAYS_MAX) throw usage(`--days wants a number up to ${DAYS_MAX}, not ${days}`);
  const repo = args.text('repo')!;
  const wish = { days, ...(await rulesOf(args, repo)) };
  return draftManifest(repo, wish, (line) => err.write(`${line}\n`));
}

async function rulesOf(args: Arguments, repo: string): Promise<Omit<Wish, 'days'>> {
  const [closed, open] = [args.flag('closed'), args.flag('open')];
  if (closed && open) throw usage('--closed and --open are opposites; give one');
  const networks = args.list('network').map((text) => {
    const network = parseNetwork(text);
    if (network !== null) return network;
    throw usage(`--network ${text} is no network; write its first address and its bits: 10.1.0.0/16`);
  });
  const words = args.list('machine');
  const nodes = words.length === 0 || words.includes('*') ? null : await readNodes(repo);
  const machines = nodes && [...new Set(words.flatMap((word) => nodes.select(word).map(({ mac }) => mac)))];
  const agentMin = args.text('agent-min');
  if (agentMin !== undefined && !isVersion(agentMin)) {
    throw usage(`--agent-min ${agentMin} is no version like 1.2.3`);
  }
  return {
    ...(closed || open ? { closed } : {}),
    ...(networks.length === 0 ? {} : { networks: [...new Set(networks)] }),
    ...(words.length === 0 ? {} : { machines }),
    ...(agentMin === undefined ? {} : { agentMin }),
  };
}

export const verify: Command = {
  name: 'verify',
  synopsis: 'FILE --public NAME.pub...',
  summary: 'Tells whether FILE.minisig is a signature of the file by one of the keys.',
  options: [{ name: 'public', kind: 'list', value: 'FILE', help: 'public keys that are believed' }],
  run: async (args, terminal) => {
    const [file] = expectWords(args, 'FILE');
    const keys = await Promise.all(args.list('public').map(readPublicKey));
    if (keys.length === 0) throw usage('--public NAME.pub is missing');
    const signatureFile = `${file}.minisig`;
    const text = (await read(signatureFile, SIGNATURE_BYTES_MAX)).toString('utf8');
    const signature = parseSignature(text, signatureFile);
    const data = await read(file, SIGNED_BYTES_MAX);
    const key = verifySignature(data, signature, keys, signatureChecks, file);
    terminal.out.write(`${file}: signed by key ${key.id}, trusted comment: ${signature.trustedComment}\n`);
  },
};

/** Throws SwarmbootError 'missing' or 'signature'. */
export async function readPublicKey(file: string): Promise<PublicKey> {
  return parsePublicKey((await read(file, SIGNATURE_BYTES_MAX)).toString('utf8'), file);
}

/** The first line of --password-file; empty without it. */
async function passwordOf(args: Arguments): Promise<string> {
  const file = args.text('password-file');
  if (file === undefined) return '';
  const [password = ''] = (await read(file, PASSWORD_BYTES_MAX)).toString('utf8').split(/\r?\n/, 1);
  if (password === '') throw usage(`the first line of ${file} is empty; write the password there`);
  return password;
}

async function read(file: string, bytesMax: number): Promise<Buffer> {
  const fault = (why: string, cause?: unknown) =>
    new SwarmbootError('missing', `cannot read ${file} (${why}); give a readable file`, { cause });
  const handle = await fs.open(file).catch((error) => {
    throw fault(messageOf(error), error);
  });
  try {
    const { size } = await handle.stat();
    if (size > bytesMax) throw fault(`${size} bytes, more than ${bytesMax}`);
    return await handle.readFile();
  } catch (error) {
    throw error instanceof SwarmbootError ? error : fault(messageOf(error), error);
  } finally {
    await handle.close();
  }
}

/** Never overwrites: a key that is gone cannot be made again. */
async function create(file: string, text: string, mode: number): Promise<void> {
  await fs.writeFile(file, text, { mode, flag: 'wx', flush: true }).catch((error) => {
    throw new SwarmbootError('signature', `cannot make ${file} (${messageOf(error)}); take another name`, {
      cause: error,
    });
  });
}

/** The old file or the new one, whole. */
async function replace(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}`;
  try {
    await fs.writeFile(draft, text, { flush: true });
    await fs.rename(draft, file);
  } catch (error) {
    await fs.rm(draft, { force: true });
    throw new SwarmbootError('signature', `cannot write ${file} (${messageOf(error)}); check its folder`, {
      cause: error,
    });
  }
}
