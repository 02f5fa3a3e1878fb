// The shell of the RAM disk, function by function, under the same busybox; test/boot has it in virtual machines.

import { deepEqual, equal, match } from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratch } from '../content.ts';

const BUSYBOX = '/usr/bin/busybox';
const SKELETON = join(import.meta.dirname, '..', '..', 'initrd-builder', 'skel');
const NETWORK = join(SKELETON, 'usr/lib/swarmboot/network.sh');

/** What /init has before it reads network.sh, but for `stop`, which ends the script here. */
const BEFORE = `
set -eu
stop() { printf '%s\\n' "$*"; exit 3; }
boot_mac='' vlan='' host_name='' name_servers='' ip_words=''
method=dhcp how=dhcp wanted_device='' fixed='' gateways='' next_server='' domain=''
`;

/** Runs `script` after network.sh has been read, with these variables in the environment. */
function run(script: string, env: Readonly<Record<string, string>> = {}): string[] {
  const text = `${BEFORE}\n. ${NETWORK}\n${script}`;
  const { stdout, stderr } = spawnSync(BUSYBOX, ['sh', '-c', text], { encoding: 'utf8', env });
  return `${stdout}${stderr}`.trimEnd().split('\n');
}

const fixed = (...words: string[]) =>
  run(
    `ip_words='${words.join(' ')}'; check_words; printf '%s\n' "$how$fixed" "$gateways" "$wanted_device" "$host_name" "$next_server"`,
  );

for (const name of ['init', 'usr/lib/swarmboot/network.sh', 'usr/lib/swarmboot/udhcpc.sh']) {
  test(`${name} is shell that busybox reads`, () => {
    execFileSync(BUSYBOX, ['sh', '-n', join(SKELETON, name)]);
  });
}

test('ip= with fixed addresses is read in all of its forms', () => {
  deepEqual(fixed('10.9.0.5:10.9.0.2:10.9.0.1:255.255.255.0:node5:eth1:none'), [
    'fixed 10.9.0.5/24',
    ' 10.9.0.1',
    'eth1',
    'node5',
    '10.9.0.2',
  ]);
  // As PXELINUX writes it.
  deepEqual(fixed('10.9.0.5:10.9.0.2:10.9.0.1:255.255.0.0').slice(0, 2), ['fixed 10.9.0.5/16', ' 10.9.0.1']);
  deepEqual(fixed('[fd09::5]::[fd09::1]:64::eth0:off').slice(0, 3), ['fixed fd09::5/64', ' fd09::1', 'eth0']);
  deepEqual(fixed('10.9.0.5:::24:::none', '[fd09::5]:::64:::none').slice(0, 1), [
    'fixed 10.9.0.5/24 fd09::5/64',
  ]);
});

test('ip= of another form is refused', () => {
  for (const word of [
    '',
    'bootp',
    '10.9.0.5',
    '10.9.0:::24:::none',
    '10.9.0.5.6:::24:::none',
    '10.9.0.5:::255.255.255.0:node5:eth0:dhcp',
    '10.9.0.5:::24:node 5:eth0:none:extra',
    '10.9.0.5:::24:no.de:eth0:none',
    '10.9.0.5:::24:node5:../eth0:none',
    '10.9.0.5:::x:node5:eth0:none',
    '$(reboot):::24:node5:eth0:none',
    '[fd09::5:::64:::none',
    'fd09::5',
  ]) {
    const [line] = run(`read_fixed '${word}'`);
    match(line ?? '', /Not understood on the kernel command line: ip=.*the form is ip=CLIENT/, word);
  }
});

test('BOOTIF is read with and without the type of the hardware before it', () => {
  for (const word of ['01:aa:bb:cc:dd:ee:ff', 'aa:bb:cc:dd:ee:ff']) {
    deepEqual(run(`boot_mac=${word}; check_words; echo "$boot_mac"`), ['aa:bb:cc:dd:ee:ff']);
  }
  match(run('boot_mac=aa:bb; check_words')[0] ?? '', /Not understood.*BOOTIF=aa:bb/);
});

test('ip=dhcp6 and name servers that are no addresses are refused', () => {
  match(run('ip_words=dhcp6; check_words')[0] ?? '', /ip=dhcp6 .*ip=auto6/);
  match(run('name_servers=example.org; check_words')[0] ?? '', /nameserver=example\.org/);
});

const names = (words: string, env: Readonly<Record<string, string>>) =>
  run(`${words}; take_names; printf '%s|' "$host_name" "$domain" "$name_servers"`, env);

test('names of a DHCP server are taken only in their proper form, and the kernel command line wins', () => {
  const offer = { hostname: 'node5.lab.test', dns: '10.9.0.1 fd09::1' };
  deepEqual(names("domain=''", offer), ['node5|lab.test| 10.9.0.1 fd09::1|']);
  deepEqual(names('domain=other.test', offer), ['node5|other.test| 10.9.0.1 fd09::1|']);
  deepEqual(names("domain='' host_name=node9 name_servers=9.9.9.9", offer), ['node9|lab.test|9.9.9.9|']);
  const hostile = { hostname: 'a;reboot', dns: '10.9.0.1;x $(reboot) 9.9.9.9' };
  deepEqual(names("domain='a..b'", hostile), ['|| 9.9.9.9|']);
});

/** What set_clock does when the clock says `now`, in a RAM disk with this trust.json. */
function setClock(t: TestContext, now: number, trust: string | null): string[] {
  const file = join(scratch(t), 'trust.json');
  if (trust !== null) writeFileSync(file, trust);
  const init = readFileSync(join(SKELETON, 'init'), 'utf8');
  const body = /^set_clock\(\) \{\n.*?^\}\n/ms.exec(init)![0];
  const clock = `date() { case $1 in +%s) echo ${now} ;; *) echo set "$@" >&2 ;; esac; }`;
  return run(`set -o pipefail\nTRUST=${file}\n${clock}\n${body}\nset_clock\necho done`);
}

test('a clock that is behind the age of the RAM disk is set to it; any other stays', (t) => {
  const trust = JSON.stringify(
    { keys: ['RW'], serialMin: 1, since: 1_790_000_000, authority: 'x\n' },
    null,
    2,
  );
  const set = ['done', 'set -s @1790000000'];
  // 1970, and a moment before.
  deepEqual(setClock(t, 0, trust), set);
  deepEqual(setClock(t, 1_789_999_999, trust), set);
  deepEqual(setClock(t, 1_790_000_000, trust), ['done']);
  // 2036.
  deepEqual(setClock(t, 2_100_000_000, trust), ['done']);
  deepEqual(setClock(t, 0, null), ['done']);
  deepEqual(setClock(t, 0, 'broken'), ['done']);
});

test('busybox reads the time as /init gives it', () => {
  equal(execFileSync(BUSYBOX, ['date', '-u', '-d', '@1790000000', '+%s']).toString(), '1790000000\n');
});
