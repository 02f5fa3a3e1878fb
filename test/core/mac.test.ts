import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { bootInterface, mac12, parseMac } from '../../agent/core/mac.ts';

test('a MAC is read with colons, hyphens, dots or nothing between its bytes, in any case', () => {
  for (const text of ['52:54:00:AB:cd:01', '52-54-00-ab-cd-01', '52.54.00.AB.CD.01', '525400abcd01']) {
    equal(parseMac(text), '52:54:00:ab:cd:01', text);
  }
});

test('what is no MAC is null', () => {
  for (const text of [
    '',
    '52:54:00:ab:cd',
    '52:54:00:ab:cd:01:02',
    '52:54-00:ab:cd:01',
    '52:54:00:ab:cd:0g',
    '../../etc/pas',
    '525400abcd01\n',
    ' 525400abcd01',
  ]) {
    equal(parseMac(text), null, text);
  }
});

test('a MAC as a file name, and as PXELINUX writes it', () => {
  equal(mac12('52:54:00:ab:cd:01'), '525400abcd01');
  equal(bootInterface('52:54:00:ab:cd:01'), '01-52-54-00-ab-cd-01');
});
