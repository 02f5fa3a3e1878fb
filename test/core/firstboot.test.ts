import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { FIRST_BOOT_SCRIPT, firstBootScript, firstBootUnit } from '../../agent/core/firstboot.ts';

test('the unit waits for the network, and nothing waits for the unit', () => {
  const unit = firstBootUnit();
  match(unit, /^After=network-online\.target$/m);
  match(unit, /^Wants=network-online\.target$/m);
  match(unit, /^Type=exec$/m);
  equal(unit.includes(`ExecStart=/${FIRST_BOOT_SCRIPT}\n`), true);
});

test('the address of the server is a word of the script, whatever is in it', () => {
  const script = firstBootScript(["http://server/re'p;orts", 'http://other/reports']);
  match(script, /^ {2}for url in 'http:\/\/server\/re'\\''p;orts' 'http:\/\/other\/reports'; do$/m);
});
