import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { FALLBACK_STEPS } from '../../agent/core/fallback.ts';
import type { Inventory } from '../../agent/core/inventory.ts';
import {
  encodeMessage,
  followed,
  LOG_LINES_MAX,
  MESSAGE_BYTES_MAX,
  type Message,
  parseMessage,
  parseNodeAnswer,
  statusOf,
} from '../../agent/core/monitor.ts';
import { type NodeReport, STAGES } from '../../agent/core/report.ts';
import { INVENTORY, lines, message, REPORT } from './messages.ts';

const refusal = (reason: RegExp) => (error: unknown) =>
  error instanceof SwarmbootError && error.code === 'report' && reason.test(error.message);

const full = message({
  report: REPORT,
  inventory: INVENTORY,
  install: 'i1',
  code: 'network',
  log: lines('one', 'two'),
  logFrom: 7,
  text: 'two\nlines',
});

test('a message arrives as it was sent', () => {
  deepEqual(parseMessage(encodeMessage(full)), full);
  deepEqual(parseMessage(encodeMessage(message())), message());
});

const anyText = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.constant('\\"'.repeat(3000)));
const amount = fc.double({ min: 0, max: Number.MAX_SAFE_INTEGER, noNaN: true });
const anyMac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':'));

const anyInventory: fc.Arbitrary<Inventory> = fc.record({
  vendor: anyText,
  model: anyText,
  serial: anyText,
  uuid: anyText,
  firmware: anyText,
  cpu: anyText,
  cores: fc.nat(65_536),
  memoryBytes: amount,
  disks: fc.array(
    fc.record({
      name: anyText,
      sizeBytes: amount,
      type: fc.constantFrom('nvme', 'ssd', 'hdd', 'virtual'),
      model: anyText,
      serial: anyText,
    }),
    { maxLength: 80 },
  ),
  links: fc.array(
    fc.record({
      name: anyText,
      mac: anyMac,
      up: fc.boolean(),
      megabitPerSec: fc.option(amount),
      fullDuplex: fc.option(fc.boolean()),
      mtu: fc.nat(9000),
      addresses: fc.array(anyText, { maxLength: 12 }),
    }),
    { maxLength: 40 },
  ),
});

const anyReport: fc.Arbitrary<NodeReport> = fc.record({
  stage: fc.constantFrom(...STAGES),
  percent: fc.nat(100),
  bytesTotal: amount,
  bytesVerified: amount,
  bytesExtracted: amount,
  bytesWritten: amount,
  downBytesPerSec: amount,
  upBytesPerSec: amount,
  uploadedBytes: amount,
  wastedBytes: amount,
  hashFailures: amount,
  webSeedBytes: amount,
  fallback: fc.record({ step: fc.constantFrom(...FALLBACK_STEPS), reason: anyText }),
  retries: amount,
  busyPercent: fc.nat(100),
  diskBytesPerSec: fc.option(amount),
  peers: amount,
  seeders: amount,
  leechers: amount,
  pool: fc.option(anyText),
  leftMs: fc.option(amount),
  elapsedMs: amount,
  errors: fc.array(anyText, { maxLength: 30 }),
});

const anyMessage: fc.Arbitrary<Message> = fc.record({
  format: fc.constant(1 as const),
  mac: anyMac,
  host: anyText,
  image: fc.option(anyText),
  install: fc.option(anyText),
  status: fc.integer({ min: -999, max: 109 }),
  stage: anyText,
  stages: fc.array(fc.record({ stage: fc.constantFrom(...STAGES), atMs: amount }), {
    maxLength: STAGES.length,
  }),
  text: anyText,
  code: fc.option(anyText),
  report: fc.option(anyReport),
  inventory: fc.option(anyInventory),
  log: fc.array(fc.record({ atMs: amount, text: anyText }), { maxLength: 50 }),
  logFrom: fc.nat(),
});

test('whatever a node says becomes a message within its limit that the server reads', () => {
  fc.assert(
    fc.property(anyMessage, (said) => {
      const text = encodeMessage(said);
      ok(Buffer.byteLength(text) <= MESSAGE_BYTES_MAX);
      const { mac, status } = parseMessage(text);
      deepEqual({ mac, status }, { mac: said.mac, status: said.status });
    }),
    { numRuns: 50 },
  );
});

test('the largest message fits, and of a long log its end is there', () => {
  const word = '\u{1f600}'.repeat(2000);
  const disk = { name: word, sizeBytes: 1, type: 'ssd', model: word, serial: word } as const;
  const link = { ...INVENTORY.links[0]!, name: word, addresses: Array<string>(99).fill(word) };
  const inventory: Inventory = {
    ...INVENTORY,
    vendor: word,
    model: word,
    serial: word,
    uuid: word,
    firmware: word,
    cpu: word,
    disks: Array(999).fill(disk),
    links: Array(999).fill(link),
  };
  const report = { ...REPORT, pool: word, errors: Array<string>(99).fill(word) };
  const log = lines(...Array.from({ length: 5000 }, (_, index) => `${index} ${word}`));
  const text = encodeMessage(message({ text: word, report, inventory, log }));
  ok(Buffer.byteLength(text) <= MESSAGE_BYTES_MAX);
  const read = parseMessage(text);
  ok(read.log.length > 5);
  ok(read.log.at(-1)!.text.startsWith('4999 '));
  equal(read.logFrom + read.log.length, 5000);
});

test('a report that was kept before there were web seeds is read as one of a node in its swarm', () => {
  const { webSeedBytes: _, fallback: __, ...before } = REPORT;
  const read = parseMessage(JSON.stringify({ ...full, report: before })).report;
  deepEqual([read?.webSeedBytes, read?.fallback], [0, { step: 'swarm', reason: '' }]);
});

test('control characters are sent as escapes, line ends of the text stay', () => {
  const said = message({ host: 'a\x1b[2J', text: 'one\r\ntwo\u202e', log: lines('x\ny') });
  const { host, text, log } = parseMessage(encodeMessage(said));
  deepEqual(
    { host, text, log },
    { host: 'a\\u001b[2J', text: 'one\\u000d\ntwo\\u202e', log: lines('x\\u000ay') },
  );
});

describe('a message is refused', () => {
  const wrong: [string, object, RegExp][] = [
    ['of another format', { format: 2 }, /"format" is 2/],
    ['whose MAC is a path', { mac: '../../etc/passwd' }, /"mac" is "\.\.\/\.\.\/etc/],
    ['whose MAC is not in its one form', { mac: '52-54-00-09-00-01' }, /"mac" is/],
    ['with a status too high', { status: 110 }, /"status" is 110/],
    ['with a status between two', { status: 1.5 }, /"status" is 1.5/],
    ['with a status as text', { status: '1' }, /"status" is "1"/],
    ['with a control character', { host: 'a\x07' }, /"host" is "a\\u0007"/],
    ['with a name of two lines', { host: 'a\nb' }, /"host" is/],
    ['with a long name', { host: 'x'.repeat(129) }, /"host" is/],
    ['with a long text', { text: 'x'.repeat(4001) }, /"text" is/],
    [
      'with more lines than can be counted',
      { logFrom: Number.MAX_SAFE_INTEGER },
      /"logFrom" is 9007199254740991/,
    ],
    ['with a log that is text', { log: 'x' }, /"log" is "x"/],
    ['with a long log', { log: Array(1001).fill({ atMs: 0, text: 'x' }) }, /"log" is/],
    ['with numbers in its log', { log: [1] }, /a line of the log is not a JSON object/],
    ['with a line of its log that is two', { log: lines('a\nb') }, /a line of the log, "text" is/],
    ['with an inventory that is a list', { inventory: [] }, /the inventory is not a JSON object/],
    ['with a report of no stage', { report: { ...REPORT, stage: 'sleep' } }, /"stage" is "sleep"/],
    ['with more than all', { report: { ...REPORT, percent: 101 } }, /"percent" is 101/],
    ['with a disk of no type', { inventory: { ...INVENTORY, disks: [{}] } }, /a disk, "name" is missing/],
  ];
  for (const [name, change, reason] of wrong) {
    test(name, () => throws(() => parseMessage(JSON.stringify({ ...full, ...change })), refusal(reason)));
  }

  test('that lacks any of its fields', () => {
    for (const key of Object.keys(full)) {
      const { [key as keyof Message]: _, ...rest } = full;
      throws(
        () => parseMessage(JSON.stringify(rest)),
        refusal(new RegExp(`"${key}" is missing|${key} is not a`)),
      );
    }
  });

  test('that is not JSON, or no object', () => {
    throws(() => parseMessage('<html>'), refusal(/not JSON/));
    throws(() => parseMessage('[]'), refusal(/not a JSON object/));
    throws(() => parseMessage('{"__proto__":{"format":1}}'), refusal(/"format" is missing/));
  });
});

test('any JSON gives a message or a refusal, nothing else', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
      try {
        parseMessage(text);
      } catch (error) {
        return error instanceof SwarmbootError;
      }
    }),
  );
});

test('fields that are not known are left out', () => {
  deepEqual(parseMessage(JSON.stringify({ ...full, colour: 'red' })), full);
});

test('the inventory stays until another comes, and the lines of one install gather', () => {
  deepEqual(followed(full, message({ install: 'i1', status: 43, logFrom: 9 })), {
    ...message({ install: 'i1', status: 43 }),
    inventory: INVENTORY,
    log: full.log,
    logFrom: 7,
  });
  const [three] = lines('three');
  const gathered = followed(full, message({ install: 'i1', log: [three!], logFrom: 9 }));
  deepEqual([gathered.log, gathered.logFrom], [[...full.log, three], 7]);
  const other = followed(full, message({ install: 'i2', log: [three!], logFrom: 0 }));
  deepEqual([other.log, other.logFrom], [[three], 0]);
});

test('of more lines than a message may have the last are kept, and counted', () => {
  const many = lines(...Array.from({ length: LOG_LINES_MAX }, (_, index) => `${index}`));
  const next = message({ log: lines('last'), logFrom: LOG_LINES_MAX });
  const { log, logFrom } = followed(message({ log: many }), next);
  deepEqual([log.length, log[0]!.text, log.at(-1)!.text, logFrom], [LOG_LINES_MAX, '1', 'last', 1]);
});

test("the stages have SystemImager's numbers", () => {
  const numbers = STAGES.map((stage) => statusOf(stage, 37.9, false));
  deepEqual(Object.fromEntries(STAGES.map((stage, index) => [stage, numbers[index]])), {
    parameters: 37,
    enrol: 37,
    catalog: 37,
    check: 37,
    'BOEL binaries': 37,
    'pre-install': 108,
    disks: 37,
    staging: 37,
    image: 37,
    extract: 107,
    overrides: 107,
    'main-install': 101,
    finish: 101,
    'boot loader': 101,
    'post-install': 109,
    'seed-wait': 100,
    leave: 100,
    'post-action': 104,
  });
  equal(statusOf('image', 0, false), 1);
  equal(statusOf('image', 100, false), 99);
  equal(statusOf('catalog', 0, false), 0);
  equal(statusOf('seed-wait', 100, true), -1);
});

test('the answer about a node is read, and nothing else is', () => {
  const answer = { known: true, armed: true, name: 'node001', armedSince: '2026-01-31T12:00:00.000Z' };
  deepEqual(parseNodeAnswer(JSON.stringify(answer)), answer);
  deepEqual(parseNodeAnswer('{"known":false,"armed":false,"name":null,"armedSince":null}').name, null);
  for (const text of ['', '[]', '{"known":1,"armed":false,"name":null}', '{"known":true,"armed":true}']) {
    throws(() => parseNodeAnswer(text), refusal(/answer about a node/));
  }
});
