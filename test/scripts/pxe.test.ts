import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../content.ts';
import { PROGRAM, swarmboot } from './commands.ts';
import { type Asker, dhcpAnswers, INTERFACE } from './dhcp.ts';

const NODES = 'node001 mac=52:54:00:09:00:01\n';
const LO = ['pxe', 'config', '--interface', 'lo'];
const BOOT = 'http://10.9.0.1:8080/boot';

const asker = (name: string, arch: number | null, more: Partial<Asker> = {}): Asker => ({
  name,
  mac: '52:54:00:09:00:01',
  vendorClass: `${arch === 16 ? 'HTTP' : 'PXE'}Client:Arch:${String(arch ?? 0).padStart(5, '0')}:UNDI:003016`,
  arch,
  ipxe: false,
  port: 67,
  ...more,
});

test('dnsmasq takes both configurations, and the boot files are there', async (t) => {
  const repo = scratch(t);
  writeFileSync(join(repo, 'nodes.conf'), NODES);
  for (const mode of [['proxy'], ['dhcp', '--range', '127.0.0.100,127.0.0.200']]) {
    const { status, out, err } = await swarmboot([...LO, '--repo', repo, '--mode', ...mode]);
    assert.equal(status, 0, err);
    assert.match(out, /start it as root: dnsmasq --conf-file=.*\/dnsmasq\.conf\n/);
    execFileSync('/usr/sbin/dnsmasq', ['--test', '-C', join(repo, 'dnsmasq.conf')], { stdio: 'pipe' });
  }
  for (const name of [
    'undionly.kpxe',
    'snponly.efi',
    'ipxe.lkrn',
    'boot.ipxe',
    'pxelinux.cfg/default',
    'grub/grub.cfg',
  ]) {
    assert.ok(statSync(join(repo, 'boot', name)).size > 0, name);
  }
  assert.deepEqual(readdirSync(repo).sort(), ['boot', 'dnsmasq.conf', 'nodes.conf']);
});

test('with --mode off no configuration is written, and what a DHCP server must answer is printed', async (t) => {
  const repo = scratch(t);
  const { status, out } = await swarmboot([...LO, '--repo', repo, '--mode', 'off', '--http-port', '8081']);
  assert.equal(status, 0);
  assert.match(
    out,
    /next-server \(siaddr\) 127\.0\.0\.1:\n {2}to iPXE .* boot file http:\/\/127\.0\.0\.1:8081\/boot\/boot\.ipxe\n/,
  );
  assert.deepEqual(readdirSync(repo), ['boot']);
  assert.match(readFileSync(join(repo, 'boot/boot.ipxe'), 'utf8'), /127\.0\.0\.1:8081/);
});

test('--out puts the configuration elsewhere', async (t) => {
  const [repo, out] = [scratch(t), scratch(t)];
  assert.equal((await swarmboot([...LO, '--repo', repo, '--out', out])).status, 0);
  assert.deepEqual([readdirSync(repo), readdirSync(out)], [['boot'], ['dnsmasq.conf']]);
});

test('what is not clear or not safe is refused before anything is written', async (t) => {
  const repo = scratch(t);
  const cases: [string[], RegExp][] = [
    [['--mode', 'both'], /--mode is proxy, dhcp or off, not "both"/],
    [['--mode', 'dhcp'], /wants the addresses that it may give: --range FIRST,LAST/],
    [['--mode', 'dhcp', '--range', '10.0.0.1'], /--range FIRST,LAST/],
    [['--mode', 'dhcp', '--range', '10.0.0.1,10.0.0.9'], /no range of addresses in 127\.0\.0\.0/],
    [['--range', '10.0.0.1,10.0.0.9'], /--range is for --mode dhcp/],
    [['--http-port', '0'], /--http-port wants a port/],
  ];
  for (const [words, reason] of cases) {
    const { status, err } = await swarmboot([...LO, '--repo', repo, ...words]);
    assert.equal(status, 2);
    assert.match(err, reason);
  }
  const none = await swarmboot(['pxe', 'config', '--repo', repo, '--interface', 'none0']);
  assert.match(none.err, /none0 is not up with an IPv4 address; give --interface IF; there are: /);
  const odd = await swarmboot([...LO, '--repo', join(repo, 'a b#c')]);
  assert.match(odd.err, /dnsmasq cannot be told of ".*a b#c\/boot"/);
  assert.deepEqual(readdirSync(repo), []);
});

test('a real dnsmasq as the DHCP server gives every firmware its loader, and iPXE its script', async (t) => {
  const repo = scratch(t);
  writeFileSync(join(repo, 'nodes.conf'), NODES);
  const configure = [process.execPath, PROGRAM, 'pxe', 'config', '--repo', repo, '--interface', INTERFACE];
  const answers = await dhcpAnswers(
    [...configure, '--mode', 'dhcp', '--range', '10.9.0.100,10.9.0.200'],
    join(repo, 'dnsmasq.conf'),
    [
      asker('BIOS', 0),
      asker('UEFI', 7),
      asker('UEFI 9', 9, { mac: '52:54:00:09:00:09' }),
      asker('UEFI HTTP', 16),
      asker('iPXE on BIOS', 0, { ipxe: true }),
      asker('iPXE on UEFI', 7, { ipxe: true }),
      asker('a system', null, { vendorClass: 'udhcp 1.35.0' }),
    ],
  );
  for (const { address, nextServer } of answers) {
    assert.match(address, /^10\.9\.0\.1\d\d$/);
    assert.equal(nextServer, '10.9.0.1');
  }
  assert.deepEqual(
    answers.map(({ name, file, vendorClass, hostName }) => [name, file, vendorClass, hostName]),
    [
      ['BIOS', 'undionly.kpxe', '', 'node001'],
      ['UEFI', 'snponly.efi', '', 'node001'],
      ['UEFI 9', 'snponly.efi', '', ''],
      ['UEFI HTTP', `${BOOT}/snponly.efi`, 'HTTPClient', 'node001'],
      ['iPXE on BIOS', `${BOOT}/boot.ipxe`, '', 'node001'],
      ['iPXE on UEFI', `${BOOT}/boot.ipxe`, '', 'node001'],
      ['a system', '', '', 'node001'],
    ],
  );
});

test('a real dnsmasq beside a DHCP server gives the same and no addresses', async (t) => {
  const repo = scratch(t);
  const configure = [process.execPath, PROGRAM, 'pxe', 'config', '--repo', repo, '--interface', INTERFACE];
  const answers = await dhcpAnswers([...configure, '--mode', 'proxy'], join(repo, 'dnsmasq.conf'), [
    asker('BIOS', 0),
    asker('BIOS asks the boot server', 0, { port: 4011 }),
    asker('UEFI asks the boot server', 7, { port: 4011 }),
    asker('UEFI 9 asks the boot server', 9, { port: 4011 }),
    asker('UEFI HTTP', 16),
    asker('iPXE on BIOS', 0, { ipxe: true }),
    asker('iPXE on UEFI', 7, { ipxe: true }),
  ]);
  for (const { name, address } of answers) if (!name.includes('boot server')) assert.equal(address, '');
  assert.deepEqual(
    answers.map(({ name, file, vendorClass }) => [name, file, vendorClass]),
    [
      ['BIOS', '', 'PXEClient'],
      ['BIOS asks the boot server', 'undionly.kpxe', 'PXEClient'],
      ['UEFI asks the boot server', 'snponly.efi', 'PXEClient'],
      ['UEFI 9 asks the boot server', 'snponly.efi', 'PXEClient'],
      ['UEFI HTTP', `${BOOT}/snponly.efi`, 'HTTPClient'],
      ['iPXE on BIOS', `${BOOT}/boot.ipxe`, 'PXEClient'],
      ['iPXE on UEFI', `${BOOT}/boot.ipxe`, 'PXEClient'],
    ],
  );
});
