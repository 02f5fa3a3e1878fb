// Messages of nodes and answers about them: what is accepted can be kept, sent on, folded into a run and shown.

import {
  encodeMessage,
  MESSAGE_BYTES_MAX,
  type Message,
  parseMessage,
  parseNodeAnswer,
} from '../../../agent/core/monitor.ts';
import { STAGES } from '../../../agent/core/report.ts';
import { KIB } from '../../../agent/core/units.ts';
import { describeState, parseRecord, recorded } from '../../../scripts/core/board.ts';
import { clusterNode } from '../../../scripts/core/cluster.ts';
import { Run } from '../../../scripts/core/run.ts';
import { reportOfRun } from '../../../scripts/core/runreport.ts';
import { formatReportHtml } from '../../../scripts/reporthtml.ts';
import { INVENTORY, lines, message, REPORT } from '../../core/messages.ts';
import { oddJson } from '../generate.ts';
import { bytesOf, must, refusedWith, type Target, textOf, type Verdict } from '../target.ts';

const FULL = message({
  report: REPORT,
  inventory: INVENTORY,
  install: 'i1',
  code: 'network',
  log: lines('one', 'two'),
  logFrom: 7,
  text: 'two\nlines',
  stages: STAGES.map((stage, index) => ({ stage, atMs: 1000 * index })),
});
const DONE = message({ ...FULL, status: 100, stage: 'seed-wait', log: [], inventory: null });
const ANSWER = { known: true, armed: true, name: 'node001', armedSince: '2026-01-31T12:00:00.000Z' };
const IMAGE = { name: 'web', sizeBytes: 1000, pieceCount: 4 };
const AT = Date.UTC(2026, 0, 31);
const AT_TEXT = new Date(AT).toISOString();
const KNOWN = { listed: false, armedAt: null, alarm: null, lostBefore: AT_TEXT };

/** All that the server does with a message. */
function use(read: Message): void {
  must(Buffer.byteLength(encodeMessage(read)) <= MESSAGE_BYTES_MAX, 'a message has its limit');
  const { record } = recorded(null, read, AT_TEXT);
  must(parseRecord(JSON.stringify(record)).logLines === record.logLines, 'what is kept is read again');
  clusterNode(read.mac, null, record, KNOWN);
  must(!/\p{Cc}/u.test(describeState(record, KNOWN)), 'what is shown is plain');
  const run = Run.begin(IMAGE, AT_TEXT, AT);
  run.take(read, read.host, AT + 1000);
  run.take({ ...read, status: 100 }, read.host, AT + 2000);
  run.sample(AT + 3000, 500);
  const data = run.data();
  must(!formatReportHtml(reportOfRun(data), data).includes('<script>x'), 'no text becomes HTML');
  Run.from(JSON.parse(JSON.stringify(data)));
}

function judge(bytes: Uint8Array): Verdict {
  const text = textOf(bytes);
  let verdict: Verdict = 'refused';
  try {
    parseNodeAnswer(text);
    verdict = 'accepted';
  } catch (error) {
    refusedWith(error, 'report');
  }
  try {
    use(parseMessage(text));
    return 'accepted';
  } catch (error) {
    refusedWith(error, 'report');
    return verdict;
  }
}

export const reports = (): Target => ({
  seeds: [FULL, DONE, message(), ANSWER, message({ text: '<script>x', host: '<script>x' })].map((one) =>
    bytesOf(JSON.stringify(one)),
  ),
  words: [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\n',
    '\\u001b',
    '\\ud800',
    '"log":[',
    '"install":',
    '1e308',
    '-1',
    'null',
  ],
  build: (rng) => oddJson(rng.next() < 0.1 ? ANSWER : rng.next() < 0.3 ? DONE : FULL, rng),
  bytesMax: 256 * KIB,
  growthMiB: 8,
  judge,
});
