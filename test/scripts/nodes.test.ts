import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import type { Message } from '../../agent/core/monitor.ts';
import type { NodeRecord } from '../../scripts/core/board.ts';
import { arm, armedSince, disarm, Records, readNodes, readRecords } from '../../scripts/nodes.ts';
import { scratch } from '../content.ts';
import { INVENTORY, message } from '../core/messages.ts';

const MAC = '52:54:00:09:00:01';

function recordAt(ms: number, more: Partial<Message> = {}): NodeRecord {
  return { at: new Date(ms).toISOString(), message: message({ inventory: INVENTORY, ...more }), logLines: 0 };
}

test('a repository without nodes.conf has no nodes, a wrong one is a fault that names the file', async (t) => {
  const repo = scratch(t);
  deepEqual((await readNodes(repo)).all, []);
  writeFileSync(join(repo, 'nodes.conf'), 'node001\n');
  await rejects(
    readNodes(repo),
    (error) => error instanceof SwarmbootError && error.message.startsWith(`${repo}/nodes.conf is wrong:`),
  );
});

test('a node is armed by an empty file, from the last time that it was armed on', async (t) => {
  const repo = scratch(t);
  equal(await armedSince(repo, MAC), null);
  equal(await disarm(repo, MAC), false);
  await arm(repo, MAC);
  deepEqual(readdirSync(join(repo, 'armed')), ['525400090001']);
  utimesSync(join(repo, 'armed/525400090001'), 1000, 1000);
  equal((await armedSince(repo, MAC))?.getTime(), 1_000_000);
  await arm(repo, MAC);
  ok((await armedSince(repo, MAC))!.getTime() > 1_000_000);
  equal(await disarm(repo, MAC), true);
  equal(await armedSince(repo, MAC), null);
});

test('records are on disk when they are closed, and there again when they are opened', async (t) => {
  const repo = scratch(t);
  const complain = (text: string) => t.assert.fail(text);
  const records = await Records.open(repo, complain);
  for (let status = 1; status < 50; status++) records.add(recordAt(status, { status }), true);
  await records.close();
  deepEqual(readdirSync(join(repo, 'reports')), ['525400090001.json']);
  const expected = recordAt(49, { status: 49 });
  deepEqual(JSON.parse(readFileSync(join(repo, 'reports/525400090001.json'), 'utf8')), expected);
  deepEqual((await Records.open(repo, complain)).get(MAC), expected);
});

test('files that are no records are told and left out', async (t) => {
  const repo = scratch(t);
  mkdirSync(join(repo, 'reports'));
  const record = JSON.stringify(recordAt(0));
  writeFileSync(join(repo, 'reports/525400090001.json'), record);
  writeFileSync(join(repo, 'reports/525400090002.json'), record);
  writeFileSync(join(repo, 'reports/525400090003.json'), '{');
  writeFileSync(join(repo, 'reports/525400090001.json.new'), '{');
  writeFileSync(join(repo, 'reports/README'), '');
  const told: string[] = [];
  deepEqual([...(await readRecords(repo, (text) => told.push(text))).keys()], [MAC]);
  equal(told.length, 2);
  match(
    told[0]!,
    /525400090002\.json is no record of a node: it speaks of 52:54:00:09:00:01; remove the file/,
  );
  match(told[1]!, /525400090003\.json is no record of a node: .*not JSON/);
});

test('a repository that cannot be written is told, and the records stay in memory', async (t) => {
  const repo = scratch(t);
  const told: string[] = [];
  const records = await Records.open(repo, (text) => told.push(text));
  writeFileSync(join(repo, 'reports'), 'a file where the folder should be');
  records.add(recordAt(0), true);
  await records.close();
  match(told[0]!, /^cannot write .*525400090001\.json \(.*\); check its rights/);
  equal(records.get(MAC)?.message.status, 42);
  rmSync(join(repo, 'reports'));
  records.add(recordAt(0, { status: 43 }), true);
  await records.close();
  deepEqual(readdirSync(join(repo, 'reports')), ['525400090001.json']);
});

test('reports of ten thousand nodes are kept, of one more only when it is known', async (t) => {
  const repo = scratch(t);
  const records = await Records.open(repo, () => {});
  // Nothing can be written, which spares the disk ten thousand files.
  writeFileSync(join(repo, 'reports'), 'a file where the folder should be');
  const mac = (index: number) =>
    `02:00:00:00:${Buffer.from([index >> 8, index & 255])
      .toString('hex')
      .replace(/^../, '$&:')}`;
  for (let index = 0; index < 10_000; index++) records.add(recordAt(0, { mac: mac(index) }), false);
  const one = recordAt(0, { mac: mac(10_000) });
  throws(() => records.add(one, false), /reports of 10000 nodes are kept/);
  records.add(recordAt(0, { mac: mac(9_999), status: 99 }), false);
  records.add(one, true);
  equal(records.get(mac(10_000))?.message.mac, one.message.mac);
  await records.close();
});
