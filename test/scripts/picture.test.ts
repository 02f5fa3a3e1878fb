import { equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { drawScreen, readScreen } from '../../scripts/demo/picture.ts';

const textOf = (recording: string) =>
  readScreen(recording).map((cells) => cells.map((cell) => cell.text).join(''));

test('a line that is drawn again replaces the old one', () => {
  equal(textOf('half 50 %\rdone\u001b[K\r\nnext').join('|'), 'done|next');
});

test('lines above that are drawn again replace the old ones', () => {
  equal(textOf('a 1\r\nb 1\r\n\u001b[2Aa 2\u001b[K\r\nb 2\u001b[K\r\nend').join('|'), 'a 2|b 2|end');
});

test('colours hold until they end', () => {
  const [cells] = readScreen('x\u001b[32mgo\u001b[0my');
  ok(cells?.[1]?.colour === cells?.[2]?.colour && cells?.[0]?.colour === cells?.[3]?.colour);
  ok(cells?.[0]?.colour !== cells?.[1]?.colour);
});

test('the picture is text, with what XML forbids escaped', () => {
  const svg = drawScreen(readScreen('a < b & c'));
  match(svg, /a &lt; b &amp; c/);
  match(svg, /^<svg /);
});
