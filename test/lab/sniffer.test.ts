// Somebody hears every frame of an install, from the arming of the nodes to the first boot of their new systems. Of a closed
// site with encrypted images he gets neither content nor token nor key; of an open one he gets all, by the same search.
// Run by `make lab-test`, in a room of its own.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, hash, randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { CatalogEntry } from '../../agent/core/catalog.ts';
import { mac12 } from '../../agent/core/mac.ts';
import { parseTorrent } from '../../agent/core/metainfo.ts';
import { swarmHash } from '../../agent/core/torrent.ts';
import { MIB } from '../../agent/core/units.ts';
import { admissionBy, digests, firstBootProof } from '../../agent/io/digest.ts';
import { fileKeyOf } from '../../scripts/agekeys.ts';
import { fromBech32 } from '../../scripts/core/bech32.ts';
import { parseStanding } from '../../scripts/core/enrolment.ts';
import { keyPath, tarballPath, torrentPath } from '../../scripts/repository.ts';
import { type AgentProcess, startAgent } from '../agentprocess.ts';
import { listening } from '../bench/listening.ts';
import { noise, scratch } from '../content.ts';
import { Program } from '../foreign/process.ts';
import { type ClosedRepository, closedRepository, MAC, OTHER } from '../scripts/closedsite.ts';
import { PROGRAM, published } from '../scripts/commands.ts';
import { finishSystem } from '../systems.ts';
import { blocksIn, GREETING, type Share } from './blocks.ts';
import { describe, Eavesdropper, findNeedles, formsOf, type Needles } from './eavesdropper.ts';
import { Lab, type LabNode } from './lab.ts';
import { textsInMemory } from './memory.ts';
import type { Stream } from './pcap.ts';
import { enterRoom, ROOM_MEMORY } from './room.ts';

const AGENT = fileURLToPath(new URL('../../agent/main.ts', import.meta.url));
const LINK_BITS = 50e6;
const IMAGE_BYTES = 8 * MIB;
const PATIENCE_MS = 60_000;
const [HTTP_PORT, HTTPS_PORT, COPY_PORT] = [8080, 8443, 9000];
const CANARY = 'a canary that must not be heard';
const FILES = { canary: CANARY.repeat(1000), large: noise(IMAGE_BYTES, 1) };
const THIRD = '52:54:00:09:00:04';
const NODES = [
  { name: 'node001', mac: MAC },
  { name: 'node002', mac: OTHER },
  { name: 'node004', mac: THIRD },
];
/** Not compressed: a canary in a tarball would be heard. */
const PLAIN = ['--compress', 'none'];

before(() => enterRoom('make lab-test'));

interface Scene {
  readonly server: LabNode;
  readonly nodes: readonly LabNode[];
  /** In memory. */
  readonly folder: string;
  /** Serves a repository on the server's node until the test ends. */
  serve(repo: string, seeded: readonly string[]): Promise<Program>;
}

/** A server and three nodes. All of it ends with the test, before its folders go. */
function raiseScene(t: TestContext): Scene {
  const lab = Lab.raise({ bitsPerSec: [0, ...NODES].map(() => LINK_BITS), lossShare: 0 });
  const serving: Program[] = [];
  t.after(async () => {
    for (const program of serving) await program.stop();
    lab.close();
  });
  const [server, ...nodes] = lab.nodes as [LabNode, ...LabNode[]];
  return {
    server,
    nodes,
    folder: mkdtempSync(join(ROOM_MEMORY, 'sniffer-')),
    serve: async (repo, seeded) => {
      const program = new Program(
        process.execPath,
        [PROGRAM, 'serve', '--repo', repo, '--host', server.host],
        server,
      );
      serving.push(program);
      const isReady = () => seeded.every((what) => program.output.includes(`seeding ${what}`));
      await program.until('seeding', isReady, PATIENCE_MS);
      return program;
    },
  };
}

test('whoever hears all of an encrypted install in a closed site hears no content, no token and no key', async (t) => {
  const scene = raiseScene(t);
  const { server, nodes } = scene;
  const site = await closedRepository(t, {
    files: FILES,
    publish: ['--encrypt', ...PLAIN],
    host: server.host,
    moreNodes: [`node004 mac=${THIRD}`],
  });
  const { repo, folder, tree } = site;
  const [override, expected] = [join(folder, 'override'), join(folder, 'expected')];
  mkdirSync(override);
  writeFileSync(join(override, 'over'), CANARY.repeat(5000));
  for (const place of [tree, override]) cpSync(place, expected, { recursive: true });
  const words = ['--kind', 'override', '--from', override, '--repo', repo, '--encrypt', ...PLAIN];
  const entries = [site.image, await published('site', ...words)];
  await site.sign();
  const serving = await scene.serve(repo, ['image web', 'override site']);

  const eavesdropper = await Eavesdropper.start(scene.folder);
  await site.run('node', 'arm', ...NODES.map(({ name }) => name));
  const agents = NODES.map(({ mac }, index) =>
    startAgent(
      t,
      { ...site, number: index + 1, launcher: nodes[index]!.launcher },
      {
        IMAGESERVER: `https://${server.host}:${HTTPS_PORT}`,
        IMAGENAME: 'web',
        OVERRIDES: 'site',
        BOOTIF: mac,
        BIND: nodes[index]!.host,
        CONSOLE: 'json',
      },
    ),
  );
  const tokens = await Promise.all(agents.map((agent, index) => tokenOf(repo, NODES[index]!.mac, agent)));
  const needles = await needlesOf(site, entries, tokens);
  const statuses = await Promise.all(agents.map(({ ended }) => ended));
  deepEqual(statuses, [0, 0, 0], agents.map(({ out, err }) => out() + err()).join('\n'));
  for (const { target } of agents) execFileSync('/usr/bin/diff', ['-r', expected, target]);
  const proofs = tokens.map(firstBootProof);
  for (const [index, { target }] of agents.entries()) {
    await finishSystem(target, NODES[index]!.mac, `http://${server.host}:${HTTP_PORT}`, proofs[index]!);
    const words = ['chroot', target, '/usr/lib/swarmboot/first-boot'];
    await new Program('/usr/bin/busybox', words, nodes[index]!).success(PATIENCE_MS);
  }
  for (const { name, mac } of NODES)
    await serving.until(
      'the word of the new system',
      () => serving.output.includes(`${name} (${mac}) is installed\n`),
      PATIENCE_MS,
    );
  const heard = await eavesdropper.stop();

  deepEqual(findNeedles(heard, needles), []);
  // He has heard all: the ciphertext of every tarball, whole, into each node.
  deepEqual(
    heard.streams.filter(({ unheard }) => unheard > 0).map(describe),
    [],
    'bytes went by that were not heard',
  );
  const shares = entries.map((entry) => shareOf(repo, entry));
  const moved = blocksIn(heard.streams, shares);
  for (const { host } of nodes)
    for (const { torrent } of shares) equal(moved.have(host, torrent), torrent.length, host);
  const given = nodes.reduce((sum, { host }) => sum + moved.givenBy(host), 0);
  ok(given > IMAGE_BYTES, `nodes gave ${given} bytes to one another`);
  // What goes by as plain text is the proof of each new system, which counts once.
  const plain = heard.streams.filter(isPlain).map(({ content }) => content.toString('latin1'));
  equal(
    plain.filter((text) => /^POST \/reports HTTP\/1\.[01]\r\n/.test(text)).length,
    NODES.length,
    plain.join('\n'),
  );
  equal(plain.filter((text) => /^HTTP\/1\.[01] 204 /.test(text)).length, NODES.length);
  equal(plain.length, 2 * NODES.length);
  for (const proof of proofs) ok(plain.some((text) => text.includes(proof)));
  const repeated = heard.streams.reduce((sum, stream) => sum + stream.repeated, 0);
  t.diagnostic(
    `${heard.frames} frames, ${heard.bytes.length} bytes, ${heard.streams.length} streams, ${repeated} bytes heard again; content: ${moved.givenBy(server.host)} bytes of the server, ${given} of nodes; ${Object.keys(needles).length} secrets looked for`,
  );
});

test('whoever hears an open install hears its content, and what is sent in any writing is found', async (t) => {
  const scene = raiseScene(t);
  const { server, nodes } = scene;
  const folder = scratch(t);
  const [repo, tree] = [join(folder, 'repo'), join(folder, 'tree')];
  mkdirSync(tree);
  for (const [name, content] of Object.entries(FILES)) writeFileSync(join(tree, name), content);
  const entry = await published('web', '--kind', 'image', '--from', tree, '--repo', repo, ...PLAIN);
  await scene.serve(repo, ['image web']);

  const eavesdropper = await Eavesdropper.start(scene.folder);
  const agents = nodes.map((node, index) => {
    const [target, staging] = ['a', 'pool'].map((name) => join(folder, `${name}${index}`)) as [
      string,
      string,
    ];
    for (const place of [target, staging]) mkdirSync(place);
    const flags = {
      IMAGESERVER: `${server.host}:${HTTP_PORT}`,
      IMAGENAME: 'web',
      TARGET: target,
      BITTORRENT_STAGING: staging,
      BIND: node.host,
    };
    const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    return new Program(process.execPath, [AGENT, ...words], node);
  });
  await Promise.all(agents.map((agent) => agent.success(PATIENCE_MS)));
  const secret = randomBytes(32);
  const written = formsOf(secret);
  const file = join(folder, 'written');
  writeFileSync(file, Buffer.concat(written.map(([, form]) => Buffer.concat([noise(1000, 7), form]))));
  await copy(file, nodes[0]!, nodes[1]!);
  const heard = await eavesdropper.stop();

  const shares = [shareOf(repo, entry)];
  const moved = blocksIn(heard.streams, shares);
  for (const { host } of nodes) equal(moved.have(host, shares[0]!.torrent), entry.size, host);
  const found = findNeedles(heard, { canary: Buffer.from(CANARY), secret, other: randomBytes(32) });
  const peers = found.filter((place) =>
    /^canary, as it is, in .*:6881 to |^canary.* to .*:6881$/.test(place),
  );
  ok(peers.length > 0 && found.includes('canary, as it is, in a frame'), found.join('\n'));
  for (const [form] of written)
    for (const where of ['a frame', `${nodes[0]!.host}:`])
      ok(
        found.some((place) => place.startsWith(`secret, ${form}, in ${where}`)),
        `${form} in ${where}`,
      );
  equal(found.filter((place) => place.startsWith('other')).length, 0);
});

/** The token of a node, which its server keeps no more than the digest of: it is in the memory of its agent alone. */
async function tokenOf(repo: string, mac: string, { child, err }: AgentProcess): Promise<string> {
  const pattern = new RegExp(`${mac12(mac)}\\.[A-Za-z0-9_-]{43}`, 'g');
  const place = join(repo, 'enrolled', `${mac12(mac)}.json`);
  for (; child.exitCode === null; await sleep(50)) {
    if (!existsSync(place)) continue;
    const digest = parseStanding(readFileSync(place, 'utf8')).enrolment?.token;
    const token = textsInMemory(child.pid!, pattern, 100).find((text) => hash('sha256', text) === digest);
    if (token !== undefined) return token;
  }
  throw new Error(`${mac} ended without a token: ${err()}`);
}

/** All that must not be heard of a site, with its nodes enrolled. */
async function needlesOf(
  { repo }: ClosedRepository,
  entries: readonly CatalogEntry[],
  tokens: readonly string[],
): Promise<Needles> {
  const secret = readFileSync(join(repo, 'enrolled/secret'));
  const needles: Record<string, Uint8Array> = { canary: Buffer.from(CANARY), 'secret of the run': secret };
  for (const [index, token] of tokens.entries()) {
    needles[`token ${index}`] = Buffer.from(token);
    needles[`bits of token ${index}`] = Buffer.from(token.split('.')[1]!, 'base64url');
  }
  for (const name of ['authority.key', 'server.key']) {
    const { d } = createPrivateKey(readFileSync(join(repo, 'tls', name))).export({ format: 'jwk' });
    needles[name] = Buffer.from(d!, 'base64url');
  }
  for (const entry of entries) {
    const { name } = entry;
    const [identity] = /^AGE-SECRET-KEY-1.*$/m.exec(readFileSync(keyPath(repo, entry), 'utf8'))!;
    needles[`identity of ${name}`] = Buffer.from(identity);
    needles[`bits of the identity of ${name}`] = fromBech32('age-secret-key-', identity.toLowerCase())!;
    needles[`file key of ${name}`] = (await fileKeyOf(repo, entry)).reveal();
    const { torrent } = shareOf(repo, entry);
    needles[`secret of the swarm of ${name}`] = admissionBy(() => secret).secretOf(swarmHash(torrent))!;
  }
  return needles;
}

function shareOf(repo: string, entry: CatalogEntry): Share {
  const torrent = parseTorrent(readFileSync(torrentPath(repo, entry)), digests);
  return { torrent, content: readFileSync(tarballPath(repo, entry)) };
}

/** Whether a stream says something that is neither TLS with the image server nor the wire of peers. */
function isPlain({ fromPort, toPort, content }: Stream): boolean {
  if (content.length === 0 || content.subarray(0, GREETING.length).equals(GREETING)) return false;
  // A record of a handshake, RFC 8446, 5.1.
  const isTls = content[0] === 22 && content[1] === 3;
  return !(isTls && (fromPort === HTTPS_PORT || toPort === HTTPS_PORT));
}

/** Sends a file from one node to another, as it is. */
async function copy(file: string, sender: LabNode, receiver: LabNode): Promise<void> {
  const sending = new Program('/usr/bin/socat', ['-u', `OPEN:${file}`, `TCP-LISTEN:${COPY_PORT}`], sender);
  await sending.until('listening', () => listening(sending, COPY_PORT), PATIENCE_MS);
  const words = ['-u', `TCP:${sender.host}:${COPY_PORT}`, 'OPEN:/dev/null'];
  await new Program('/usr/bin/socat', words, receiver).success(PATIENCE_MS);
  await sending.success(PATIENCE_MS);
}
