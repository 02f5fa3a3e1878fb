// Streams are put together as they were sent, whatever became of their segments on the way.

import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { Rng } from '../../agent/core/rng.ts';
import { noise } from '../content.ts';
import { Flows, type Segment } from './pcap.ts';

const ENDS = { from: '10.0.0.1', fromPort: 1, to: '10.0.0.2', toPort: 2 };
const BACK = { from: '10.0.0.2', fromPort: 2, to: '10.0.0.1', toPort: 1 };
const [SYN, ACK] = [2, 16];
const NOTHING = Buffer.alloc(0);

function segment(more: Partial<Segment>): Segment {
  return { ...ENDS, sequence: 0, acknowledged: 0, flags: 0, content: NOTHING, ...more };
}

/** A connection that has begun at `initial`, of whose bytes these parts came. */
function heard(initial: number, parts: readonly { at: number; content: Buffer }[], acknowledged = 0) {
  const flows = new Flows();
  flows.take(segment({ sequence: initial, flags: SYN }));
  for (const { at, content } of parts) flows.take(segment({ sequence: (initial + 1 + at) >>> 0, content }));
  flows.take(segment({ ...BACK, flags: ACK, acknowledged: (initial + 1 + acknowledged) >>> 0 }));
  return flows.all.map((flow) => flow.stream());
}

test('segments in any order, overlapping, sent again, over the end of the numbers: the stream is whole', () => {
  const rng = new Rng(6);
  const content = noise(5000, 1);
  for (let round = 0; round < 300; round++) {
    const parts: { at: number; content: Buffer }[] = [];
    const add = (at: number, end: number) => parts.push({ at, content: content.subarray(at, end) });
    for (let at = 0; at < content.length; ) {
      const end = Math.min(content.length, at + 1 + rng.below(700));
      add(at, end);
      if (rng.below(3) === 0) add(Math.max(0, at - rng.below(900)), end);
      at = end;
    }
    parts.sort(() => rng.below(3) - 1);
    const [stream] = heard((2 ** 32 - rng.below(6000)) >>> 0, parts, content.length);
    equal(stream!.content.equals(content), true);
    equal(stream!.unheard, 0);
    equal(stream!.repeated, parts.reduce((sum, part) => sum + part.content.length, 0) - content.length);
  }
});

test('what was acknowledged and not heard is counted; what nobody acknowledged is not', () => {
  const parts = [
    { at: 0, content: Buffer.from('ab') },
    { at: 5, content: Buffer.from('fg') },
  ];
  const unheard = (acknowledged: number) => heard(7, parts, acknowledged)[0]!.unheard;
  deepEqual([0, 2, 4, 7, 8, 10].map(unheard), [0, 0, 2, 3, 3, 5]);
});

test('a byte that comes again as another one is an error', () => {
  const parts = [
    { at: 0, content: Buffer.from('abcd') },
    { at: 2, content: Buffer.from('cX') },
  ];
  throws(() => heard(7, parts), /came again with other bytes/);
});

test('ports that are used again are another stream; one whose beginning was not heard is an error', () => {
  const flows = new Flows();
  for (const [sequence, text] of [
    [10, 'first'],
    [9000, 'second'],
  ] as const) {
    flows.take(segment({ sequence, flags: SYN }));
    flows.take(segment({ sequence, flags: SYN }));
    flows.take(segment({ sequence: sequence + 1, content: Buffer.from(text) }));
  }
  deepEqual(
    flows.all.map((flow) => flow.stream().content.toString()),
    ['first', 'second'],
  );
  throws(() => flows.take(segment({ ...BACK, content: Buffer.from('x') })), /beginning of .* not heard/);
});
