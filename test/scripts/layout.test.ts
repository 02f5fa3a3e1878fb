import { deepEqual, equal, match } from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { layoutCheck } from '../../scripts/layout.ts';
import { runCommand } from '../../scripts/program.ts';
import { scratch } from '../content.ts';
import { BIOS, KEEP, MIRROR, ONE_DISK, ROOT, rule, text } from '../disks.ts';

/** Runs `swarmboot layout check` on files with these texts, named 0.json, 1.json ... */
async function check(context: TestContext, layouts: readonly string[], ...flags: readonly string[]) {
  const folder = scratch(context);
  const files = layouts.map((layout, i) => {
    const file = join(folder, `${i}.json`);
    writeFileSync(file, layout);
    return file;
  });
  const [out, err] = [new PassThrough(), new PassThrough()];
  const terminal = { out, err, signal: new AbortController().signal };
  const status = await runCommand([layoutCheck], '0', ['layout', 'check', ...files, ...flags], terminal);
  const clean = (stream: PassThrough) => String(stream.read() ?? '').replaceAll(`${folder}/`, '');
  return { status, out: clean(out), err: clean(err) };
}

test('the layouts of the guide are told in words', async (context) => {
  const { status, out, err } = await check(context, [ONE_DISK, MIRROR, KEEP]);
  deepEqual([status, err], [0, '']);
  equal(
    out,
    `0.json
  the one disk that fits (any disk that is not removable) gets a new gpt table:
    makes "bios": 1.0 MiB, type bios-boot
    makes "esp": 512.0 MiB, type esp, vfat for /boot/efi
    makes "swap": 2.0 GiB, type swap, swap
    makes "root": what is left, type linux, ext4 for /
  starts by BIOS
  starts by UEFI
1.json
  each of the 2 disks that fit (type ssd, at least 186.3 GiB) gets a new gpt table:
    makes "bios": 1.0 MiB, type bios-boot
    makes "esp": 512.0 MiB, type esp
    makes "data": what is left, type raid
  /dev/md0: RAID 1 of esp, vfat for /boot/efi
  /dev/md1: RAID 1 of data
  volume group system: md1
    system/root: what is left, ext4 for /
    system/var: 40.0 GiB, xfs for /var
    system/swap: 4.0 GiB, swap
  starts by BIOS
  starts by UEFI
2.json
  the one disk that fits (id nvme-*, at least 372.5 GiB) keeps its gpt table and deletes what is not kept:
    makes "bios": 1.0 MiB, type bios-boot
    makes "esp": 512.0 MiB, type esp, vfat for /boot/efi
    makes "root": 40.0 GiB, type linux, ext4 for /
    keeps "home" of at least 100.0 GiB, ext4 for /home
  starts by BIOS
  starts by UEFI
`,
  );
});

test('what a machine does not start from is told', async (context) => {
  const { status, out } = await check(context, [text([rule([BIOS, ROOT])])]);
  equal(status, 0);
  match(out, /\n {2}starts by BIOS\n {2}does not start by UEFI: .* add a partition of type "esp"/);
});

test('every fault of every file is told, and the status is that of bad layouts', async (context) => {
  const { status, out, err } = await check(context, [ONE_DISK, '{"format":1}', text([rule([BIOS])])]);
  equal(status, 15);
  match(
    out,
    /^0\.json\n(?: {2}.*\n)+1\.json\n {2}disks is missing.*\n2\.json\n {2}the file mounts nothing at "\/"/,
  );
  equal(
    err,
    'swarmboot layout check: 2 faults in 1.json, 2.json; docs/layouts.md tells how a layout is written\n',
  );
});

test('with --json the faults are data', async (context) => {
  const { status, out } = await check(
    context,
    [ONE_DISK, text([rule([ROOT, { ...BIOS, size: '0' }])])],
    '--json',
  );
  equal(status, 15);
  const [good, bad] = JSON.parse(out);
  deepEqual([good.file, good.faults, good.lines.at(-1)], ['0.json', [], 'starts by UEFI']);
  deepEqual(
    [bad.lines, bad.faults.map(({ path }: { path: string }) => path)],
    [[], ['disks[0].partitions[1].size']],
  );
});

test('a file that is absent or too large, or none at all', async (context) => {
  equal((await check(context, [])).status, 2);
  equal((await check(context, [], '/nowhere/x.json')).status, 13);
  const { status, err } = await check(context, [`${ONE_DISK}${' '.repeat(1024 * 1024)}`]);
  equal(status, 15);
  match(err, /0\.json has 1\.0 MiB, more than the 1\.0 MiB that a node reads/);
});
