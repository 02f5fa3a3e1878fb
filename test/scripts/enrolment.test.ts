import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { mac12 } from '../../agent/core/mac.ts';
import { firstBootProof } from '../../agent/io/digest.ts';
import { type Answer, armNode, Enrolments, readAlarms, revokeNode } from '../../scripts/enrolment.ts';
import { disarm, readArming } from '../../scripts/nodes.ts';
import { scratch } from '../content.ts';

const MAC = '52:54:00:09:00:01';
const OTHER = '52:54:00:09:00:02';
const asked = (mac = MAC, more: object = {}) => ({
  mac,
  from: '10.9.0.7',
  serial: 'S1',
  listedSerial: null,
  ...more,
});

async function armed(t: TestContext, ...macs: readonly string[]) {
  const repo = scratch(t);
  for (const mac of macs) await armNode(repo, mac, 24);
  return { repo, enrolments: await Enrolments.open(repo) };
}

function granted(answer: Answer): { token: string; secret: string } {
  ok(answer.granted, JSON.stringify(answer));
  return answer.enrolled;
}

test('an armed node gets a token of 256 bits and the secret of the run; the token is the node from then on', async (t) => {
  const { enrolments, repo } = await armed(t, MAC);
  equal(enrolments.runSecret, null);
  const { token, secret } = granted(await enrolments.enrol(asked()));
  match(token, /^525400090001\.[A-Za-z0-9_-]{43}$/);
  equal(await enrolments.nodeOf(token), MAC);
  equal(Buffer.from(secret, 'base64url').length, 32);
  deepEqual(enrolments.runSecret, Buffer.from(secret, 'base64url'));
  deepEqual((await Enrolments.open(repo)).runSecret, enrolments.runSecret);
});

test('of two that enrol as one node at the same time exactly one gets a token, and the other is an alarm', async (t) => {
  const { repo } = await armed(t, MAC);
  // Two servers on one repository, which is more than anybody should do.
  const asking = [await Enrolments.open(repo), await Enrolments.open(repo)].flatMap((enrolments) =>
    Array.from({ length: 10 }, () => enrolments.enrol(asked())),
  );
  const answers = await Promise.all(asking);
  equal(answers.filter((answer) => answer.granted).length, 1);
  match((await readAlarms(repo)).get(MAC)?.text ?? '', /it has enrolled already since it was armed/);
  const token = granted(answers.find((answer) => answer.granted)!).token;
  equal(await (await Enrolments.open(repo)).nodeOf(token), MAC);
});

test('a window of some minutes is over after them', async (t) => {
  const repo = scratch(t);
  await armNode(repo, MAC, 0.5);
  equal((await readArming(repo, MAC))?.windowHours, 0.5);
  const past = new Date(Date.now() - 31 * 60_000);
  utimesSync(join(repo, 'armed', mac12(MAC)), past, past);
  const answer = await (await Enrolments.open(repo)).enrol(asked());
  deepEqual(answer, { granted: false, reason: 'it was armed more than 0.5 h ago', alarm: null });
});

test('no token but the right one is a node: not another, not one that differs in one sign, not one of another node', async (t) => {
  const { enrolments } = await armed(t, MAC, OTHER);
  const { token } = granted(await enrolments.enrol(asked()));
  const { token: second } = granted(await enrolments.enrol(asked(OTHER)));
  const [mac, secret] = token.split('.') as [string, string];
  const wrong = [
    '',
    mac,
    secret,
    `${mac}.`,
    `${mac}.${secret}=`,
    `${mac}.${secret.slice(1)}`,
    `${mac}.${secret[0] === 'A' ? 'B' : 'A'}${secret.slice(1)}`,
    `${mac}.${'A'.repeat(43)}`,
    `${mac}.${second.split('.')[1]}`,
    `${mac12(OTHER)}.${secret}`,
    `525400090003.${secret}`,
    `../../../../x.${secret}`,
  ];
  for (const text of wrong) equal(await enrolments.nodeOf(text), null, text);
  equal(await enrolments.nodeOf(token), MAC);
});

test('a hundred thousand guesses are nobody', async (t) => {
  const { enrolments } = await armed(t, MAC);
  const { token } = granted(await enrolments.enrol(asked()));
  // The nearest ones first: in each place every other sign.
  const [mac, secret] = token.split('.') as [string, string];
  const signs = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'];
  const near = [...secret].flatMap((sign, at) =>
    signs
      .filter((other) => other !== sign)
      .map((other) => `${mac}.${secret.slice(0, at)}${other}${secret.slice(at + 1)}`),
  );
  const far = Array.from(
    { length: 100_000 - near.length },
    (_, i) => `${mac}.${String(i).padStart(43, 'A')}`,
  );
  const guesses = [...near, ...far];
  while (guesses.length > 0) {
    const found = await Promise.all(guesses.splice(0, 500).map((guess) => enrolments.nodeOf(guess)));
    deepEqual(new Set(found), new Set([null]));
  }
  equal(await enrolments.nodeOf(token), MAC);
});

test('armed again, revoked, or up with its new system: the token of before is nobody', async (t) => {
  const { enrolments, repo } = await armed(t, MAC);
  const first = granted(await enrolments.enrol(asked())).token;
  await armNode(repo, MAC, 24);
  equal(await enrolments.nodeOf(first), null);
  equal(await enrolments.firstBoot(MAC, firstBootProof(first)), 'refused');
  const second = granted(await enrolments.enrol(asked())).token;
  // The report of a finished install disarms: the token goes on.
  await disarm(repo, MAC);
  equal(await enrolments.nodeOf(second), MAC);
  equal(await revokeNode(repo, MAC), true);
  equal(await enrolments.nodeOf(second), null);
  equal(await revokeNode(repo, MAC), false);
  const refused = await enrolments.enrol(asked());
  equal(refused.granted ? '' : refused.reason, 'it is not armed');
  await armNode(repo, MAC, 24);
  // It was forgotten which machine it is.
  const third = granted(await enrolments.enrol(asked(MAC, { serial: 'S2' }))).token;
  equal(await enrolments.firstBoot(MAC, firstBootProof(third)), 'first');
  equal(await enrolments.nodeOf(third), null);
});

test('the proof of the first boot counts once, for its own node, and a wrong one never', async (t) => {
  const { enrolments } = await armed(t, MAC, OTHER);
  const { token } = granted(await enrolments.enrol(asked()));
  granted(await enrolments.enrol(asked(OTHER)));
  const proof = firstBootProof(token);
  equal(await enrolments.firstBoot(OTHER, proof), 'refused');
  equal(await enrolments.firstBoot(MAC, firstBootProof(`${token}x`)), 'refused');
  equal(await enrolments.firstBoot('52:54:00:09:00:03', proof), 'refused');
  equal(await enrolments.firstBoot(MAC, proof), 'first');
  equal(await enrolments.firstBoot(MAC, proof), 'again');
});

test('nodes that install at the same time have one secret; when all are done, the next has another', async (t) => {
  const macs = Array.from({ length: 20 }, (_, i) => `52:54:00:09:01:${10 + i}`);
  const { enrolments, repo } = await armed(t, ...macs);
  const run = await Promise.all(macs.map(async (mac) => granted(await enrolments.enrol(asked(mac)))));
  equal(new Set(run.map(({ secret }) => secret)).size, 1);
  equal(new Set(run.map(({ token }) => token)).size, 20);
  for (const [i, { token }] of run.slice(0, 19).entries()) {
    await enrolments.firstBoot(macs[i]!, firstBootProof(token));
  }
  // One is still at work; this server has been started anew and has to look for it.
  await armNode(repo, MAC, 24);
  const late = granted(await (await Enrolments.open(repo)).enrol(asked()));
  equal(late.secret, run[0]!.secret);
  await enrolments.firstBoot(macs[19]!, firstBootProof(run[19]!.token));
  await enrolments.firstBoot(MAC, firstBootProof(late.token));
  await armNode(repo, MAC, 24);
  const next = granted(await enrolments.enrol(asked()));
  equal(next.secret === late.secret, false);
  // Armed again alone, it is a run of its own as well.
  await armNode(repo, MAC, 24);
  equal(granted(await enrolments.enrol(asked())).secret === next.secret, false);
});

test('a server that is started anew knows whom it has enrolled', async (t) => {
  const { enrolments, repo } = await armed(t, MAC);
  const { token } = granted(await enrolments.enrol(asked()));
  const anew = await Enrolments.open(repo);
  equal(await anew.nodeOf(token), MAC);
  equal((await anew.enrol(asked())).granted, false);
});

test('neither token nor proof is on disk, and what is there only its owner reads', async (t) => {
  const { enrolments, repo } = await armed(t, MAC);
  const { token } = granted(await enrolments.enrol(asked()));
  const folder = join(repo, 'enrolled');
  equal(statSync(folder).mode & 0o777, 0o700);
  deepEqual(readdirSync(folder).sort(), ['525400090001.json', 'secret']);
  for (const name of readdirSync(folder)) equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
  const text = readFileSync(join(folder, '525400090001.json'), 'utf8');
  for (const secret of [token.split('.')[1]!, firstBootProof(token)]) equal(text.includes(secret), false);
});

test('a file that is no enrolment is a fault that says what to do, and no token counts', async (t) => {
  const { enrolments, repo } = await armed(t, MAC);
  const { token } = granted(await enrolments.enrol(asked()));
  writeFileSync(join(repo, 'enrolled', '525400090001.json'), '{}');
  await rejects(
    enrolments.nodeOf(token),
    (error) =>
      error instanceof SwarmbootError && /is no enrolment .*run swarmboot node revoke/.test(error.message),
  );
  await revokeNode(repo, MAC);
  equal(await enrolments.nodeOf(token), null);
});

test('a lock that somebody who died has left is taken over', async (t) => {
  const repo = scratch(t);
  const lock = join(repo, 'enrolled', 'lock');
  mkdirSync(join(repo, 'enrolled'));
  writeFileSync(lock, '');
  const old = new Date(Date.now() - 60_000);
  utimesSync(lock, old, old);
  await armNode(repo, MAC, 24);
  ok((await (await Enrolments.open(repo)).enrol(asked())).granted);
  deepEqual(
    readdirSync(join(repo, 'enrolled')).filter((name) => name === 'lock'),
    [],
  );
});
