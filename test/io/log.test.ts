import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LINE_MAX, openLog, TEXT_MAX } from '../../agent/io/log.ts';

function logged(fact: string, values?: Record<string, unknown>): string {
  const lines: string[] = [];
  openLog(
    (line) => lines.push(line),
    () => 1234.5678,
  )(fact, values);
  assert.equal(lines.length, 1);
  return lines[0]!;
}

test('a fact is one JSON object with its time in seconds', () => {
  assert.equal(logged('listening', { port: 6881 }), '{"t":1.235,"fact":"listening","port":6881}');
});

test('bytes are hexadecimal, an error is its message, a bigint its digits', () => {
  const line = logged('x', { bytes: new Uint8Array([1, 255]), error: new Error('no'), big: 2n ** 64n });
  assert.deepEqual(JSON.parse(line), {
    t: 1.235,
    fact: 'x',
    bytes: '01ff',
    error: 'no',
    big: '18446744073709551616',
  });
});

test('text of a peer cannot end the line, colour the console or fill the log', () => {
  const line = logged('dropped', { reason: `\n{"fact":"x"}\u001b]0;\u202e\u007f${'y'.repeat(5000)}` });
  assert.match(line, /^[\x20-\x7e]*$/);
  assert.ok(line.length < TEXT_MAX + 200);
  assert.ok(JSON.parse(line).reason.startsWith('\n{"fact":"x"}\u001b]0;\u202e\u007fyyy'));
});

test('a fact that is too long keeps its name', () => {
  const line = logged('list', { all: Array(10_000).fill('item') });
  assert.deepEqual(JSON.parse(line), { t: 1.235, fact: 'list', tooLong: 70_033 });
});

test('whatever is logged is one line of JSON within the limit', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.dictionary(fc.string(), fc.anything()), (fact, values) => {
      fc.pre(!('toJSON' in values));
      const line = logged(fact, values);
      assert.ok(line.length <= LINE_MAX && !/[\n\r\u2028\u2029]/.test(line));
      JSON.parse(line);
    }),
  );
});
