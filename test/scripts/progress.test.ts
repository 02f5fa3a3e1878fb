import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import test from 'node:test';
import { Progress } from '../../scripts/progress.ts';

function pen(isTTY: boolean): { readonly out: Writable; text(): string } {
  let text = '';
  const out = new Writable({
    write: (chunk, _, done) => {
      text += chunk;
      done();
    },
  });
  return { out: Object.assign(out, { isTTY }), text: () => text };
}

test('a terminal gets a bar with percent, bytes, rate and time left', () => {
  const { out, text } = pen(true);
  const progress = new Progress(out, 'copying x', 4096);
  while (text() === '') progress.update(1024);
  const shown = text().replace('\r', '<').replace('\x1b[K', '>');
  assert.match(shown, /^<copying x \[#{6}\.{18}\] 25% {2}1\.0 KiB {2}[\d.]+ \w+\/s {2}\d+:\d\d left>$/);
});

test('elsewhere there is one plain line, and none for every step', () => {
  const { out, text } = pen(false);
  const progress = new Progress(out, 'copying x', 100);
  for (let done = 0; done <= 100; done++) progress.update(done);
  progress.end();
  assert.match(text(), /^copying x 100% {2}100 B {2}[^\n]+\n$/);
});

test('less than the estimate is 100 % when it is all there was', () => {
  const { out, text } = pen(true);
  const progress = new Progress(out, 'archiving x', 4096);
  progress.update(1024);
  progress.end();
  assert.match(text(), /\[#{24}\]100% {2}1\.0 KiB[^\n]+\n$/);
});

test('more than the estimate is 100 %', () => {
  const { out, text } = pen(false);
  const progress = new Progress(out, 'archiving x', 10);
  progress.update(30);
  progress.end();
  assert.match(text(), /100% {2}30 B/);
});
