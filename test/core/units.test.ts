import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { parseBitRate, parseBytes } from '../../agent/core/units.ts';

test('sizes are read in decimal and binary units, whole or not', () => {
  for (const [text, bytes] of [
    ['606MiB', 606 * 2 ** 20],
    ['10GB', 1e10],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['512B', 512],
    ['64KiB', 65_536],
    ['3kB', 3000],
    ['2TiB', 2 ** 41],
  ] as const)
    equal(parseBytes(text), bytes, text);
});

test('rates are bits in thousands, written large or small', () => {
  for (const [text, bits] of [
    ['1Gbit', 1e9],
    ['20mbit', 2e7],
    ['2.5 Gbit/s', 2.5e9],
    ['100kbit', 1e5],
  ] as const)
    equal(parseBitRate(text), bits, text);
});

test('other text is no size and no rate', () => {
  for (const text of ['', '5', 'MiB', '-1MiB', '1 parsec', '1iB', '1e9B', '1KB', '1Mbit'])
    equal(parseBytes(text), undefined, text);
  for (const text of ['', '5', 'Gbit', '1GB', '1 Gbyte', 'fast', '-1Gbit'])
    equal(parseBitRate(text), undefined, text);
});
