import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Message } from '../../agent/core/monitor.ts';
import { recorded } from '../../scripts/core/board.ts';
import { Enrolments } from '../../scripts/enrolment.ts';
import { Logs } from '../../scripts/logs.ts';
import { Records } from '../../scripts/nodes.ts';
import { scratch } from '../content.ts';
import { INVENTORY, lines, message } from '../core/messages.ts';
import { published, swarmboot } from './commands.ts';

const AT = '2026-01-31T12:00:05.250Z';
const mac = (number: number) => `52:54:00:09:00:0${number}`;
const NODES = `node[001-004] image=web groups=web
node001 mac=${mac(1)}
node002 mac=${mac(2)}
node003 mac=${mac(3)} layout=small param=console=ttyS0
head    mac=${mac(5)}
other   mac=${mac(6)} image=none
`;

async function cluster(t: TestContext) {
  const repo = scratch(t);
  mkdirSync(join(repo, 'tree'));
  writeFileSync(join(repo, 'tree/file'), 'x');
  await published('web', '--kind', 'image', '--from', join(repo, 'tree'), '--repo', repo);
  writeFileSync(join(repo, 'nodes.conf'), NODES);
  const logs = (...words: string[]) => swarmboot(['logs', ...words, '--repo', repo]);
  const run = (...words: string[]) => swarmboot(['node', ...words, '--repo', repo]);
  const say = async (more: Partial<Message>) => {
    const records = await Records.open(repo, (text) => t.assert.fail(text));
    const { record, lines, missed } = recorded(null, message(more), AT);
    records.add(record, true);
    await records.close();
    const { mac, install } = record.message;
    await new Logs(repo).append(mac, { at: AT, install, lines, missed });
  };
  return { repo, run, logs, say };
}

test('nodes are armed and disarmed by name, MAC, range and group, each once', async (t) => {
  const { repo, run } = await cluster(t);
  const armed = () => readdirSync(join(repo, 'armed')).map((name) => name.slice(-1));
  assert.equal(
    (await run('arm', 'node001', mac(1).toUpperCase().replaceAll(':', '-'))).out,
    `armed node001 (${mac(1)})\n`,
  );
  assert.deepEqual(armed(), ['1']);
  assert.equal((await run('arm', 'node[002-004]')).status, 0);
  assert.deepEqual(armed(), ['1', '2', '3']);
  const { out } = await run('disarm', 'node001-node002', 'head');
  assert.equal(
    out,
    `disarmed node001 (${mac(1)})\ndisarmed node002 (${mac(2)})\nhead (${mac(5)}) was not armed\n`,
  );
  await run('arm', '@web');
  assert.deepEqual(armed(), ['1', '2', '3']);
});

test('what cannot be installed is not armed, nor anything that was named beside it', async (t) => {
  const { repo, run } = await cluster(t);
  const cases: [string[], number, RegExp][] = [
    [['node001', 'head'], 20, /head has no image=; add one in .*\/nodes\.conf/],
    [['node001', 'other'], 20, /no image "none" is published in .*; see swarmboot publish/],
    [['node001', 'node009'], 20, /no node "node009" in nodes\.conf; add a line/],
    [['../../etc/passwd'], 20, /no node "\.\.\/\.\.\/etc\/passwd"/],
    [[], 2, /no node is named; see --help/],
  ];
  for (const [words, expected, reason] of cases) {
    const { status, err } = await run('arm', ...words);
    assert.equal(status, expected);
    assert.match(err, reason);
  }
  assert.equal(readdirSync(repo).includes('armed'), false);
});

test('an alarm is what the list says of a node, until it is armed again; a revoked node is not armed', async (t) => {
  const { repo, run } = await cluster(t);
  const state = async () => JSON.parse((await run('list', '--json')).out)[0].state as string;
  assert.match((await run('arm', 'node001', '--window', '0')).err, /--window wants hours, more than 0/);
  await run('arm', 'node001', '--window', '2');
  const enrolments = await Enrolments.open(repo);
  const asked = { mac: mac(1), from: '10.9.0.7', serial: '', listedSerial: null };
  assert.equal((await enrolments.enrol(asked)).granted, true);
  assert.equal(await state(), 'armed');
  assert.equal((await enrolments.enrol(asked)).granted, false);
  assert.match(await state(), /^alarm: a machine without serial number at 10\.9\.0\.7 was refused: it has/);
  await run('arm', 'node001');
  assert.equal(await state(), 'armed');
  assert.equal((await run('revoke', 'node001')).out, `revoked node001 (${mac(1)})\n`);
  assert.equal(await state(), 'idle');
  const again = (await run('revoke', 'node001')).out;
  assert.equal(again, `node001 (${mac(1)}) has not enrolled, and is not armed\n`);
});

test('the list shows every node and every machine that has spoken', async (t) => {
  const { run, say } = await cluster(t);
  await say({ mac: mac(1), status: 42 });
  await say({ mac: mac(2), status: -1, text: 'two disks fit\nvda, vdb' });
  await say({ mac: mac(9), host: '', status: 0, stage: 'waiting', inventory: INVENTORY });
  await run('arm', 'node003');
  assert.equal(
    (await run('list')).out,
    `NAME     MAC                IMAGE  STATE                   LAST SEEN (UTC)
node001  52:54:00:09:00:01  web    lost at 42 %, in image  2026-01-31 12:00:05
node002  52:54:00:09:00:02  web    failed: two disks fit   2026-01-31 12:00:05
node003  52:54:00:09:00:03  web    armed                   -
head     52:54:00:09:00:05  -      idle                    -
other    52:54:00:09:00:06  none   idle                    -
-        52:54:00:09:00:09  -      unknown                 2026-01-31 12:00:05
`,
  );
  const list = JSON.parse((await run('list', '--json')).out);
  assert.deepEqual(
    list.map(({ mac: found, state }: { mac: string; state: string }) => [found, state]).slice(-1),
    [[mac(9), 'unknown']],
  );
  assert.deepEqual(list[5].record.message.inventory, INVENTORY);
});

test('the log of a machine is printed install by install, as text or as JSON lines', async (t) => {
  const { logs, say } = await cluster(t);
  await say({ mac: mac(1), install: 'i1', log: lines('disks ...', 'disks done in 0:01') });
  await say({ mac: mac(1), install: 'i2', log: lines('image ...'), logFrom: 3 });
  assert.equal(
    (await logs('node001')).out,
    `install i1
2026-01-31 12:00:05   0:00  disks ...
2026-01-31 12:00:05   0:01  disks done in 0:01
install i2
2026-01-31 12:00:05   0:00  (lines missing here: 3)
2026-01-31 12:00:05   0:00  image ...
`,
  );
  const json = (await logs('node001', '--json')).out.trimEnd().split('\n');
  assert.deepEqual(JSON.parse(json[0]!), { at: AT, install: 'i1', atMs: 0, text: 'disks ...' });
  assert.equal((await logs('node002')).out, '');
  await say({ mac: mac(9), host: 'stranger', install: 'i9', log: lines('here I am') });
  assert.match((await logs('stranger')).out, /here I am/);
  assert.match((await logs('node009')).err, /nothing is known of "node009"; see swarmboot node list/);
});
