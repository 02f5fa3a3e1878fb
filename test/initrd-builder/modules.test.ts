import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { chooseModules, findKernel } from '../../initrd-builder/modules.ts';
import { kernelPackage, MODULES } from './kernels.ts';

const VERSION = '6.1.0-9-amd64';
const folder = mkdtempSync(join(tmpdir(), 'swarmboot-modules-'));
after(() => rmSync(folder, { recursive: true }));

const root = kernelPackage(join(folder, 'root'), VERSION);
const kernel = findKernel(root);
const firmware = join(folder, 'firmware');
mkdirSync(join(firmware, 'intel'), { recursive: true });
writeFileSync(join(firmware, 'intel/e1000.bin'), 'firmware');

const choose = (...words: string[]) =>
  chooseModules(kernel, words, mkdtempSync(join(folder, 'work-')), firmware);

async function chosen(...words: string[]): Promise<string[]> {
  const { modules } = await choose(...words);
  return [...modules.keys()]
    .filter((path) => path.endsWith('.ko'))
    .map((path) => path.replace('kernel/', ''));
}

test('a module comes with what it needs', async () => {
  deepEqual(await chosen('e1000'), ['drivers/net/ethernet/intel/e1000.ko', 'drivers/net/mii.ko']);
});

test('a module comes with what it wishes for, by whatever name', async () => {
  deepEqual(await chosen('ext4'), ['crypto/crc32c_generic.ko', 'fs/ext4/ext4.ko']);
});

test('a hyphen in a name means an underscore, and what is built in is there already', async () => {
  deepEqual(await chosen('snd_pcm', 'af_packet'), ['sound/core/snd-pcm.ko']);
});

test('the default list has wired networks, disks and file systems, and leaves out what an install does not use', async () => {
  deepEqual(await chosen('default'), [
    'crypto/crc32c_generic.ko',
    'drivers/ata/ata_piix.ko',
    'drivers/net/ethernet/intel/e1000.ko',
    'drivers/net/mii.ko',
    'fs/ext4/ext4.ko',
  ]);
});

test('all means all, and a list may add to the default', async () => {
  equal((await chosen('all')).length, MODULES.length);
  ok((await chosen('default', 'iwl')).includes('drivers/net/wireless/iwl.ko'));
});

test('the tables speak of the chosen modules alone', async () => {
  const { modules } = await choose('e1000');
  const table = (name: string) => readFileSync(modules.get(name)!, 'utf8');
  deepEqual(table('modules.dep').trim().split('\n').sort(), [
    'kernel/drivers/net/ethernet/intel/e1000.ko: kernel/drivers/net/mii.ko',
    'kernel/drivers/net/mii.ko:',
  ]);
  match(table('modules.alias'), /^alias pci:v00008086d0000100Esv\*sd\*bc\*sc\*i\* e1000$/m);
  match(table('modules.builtin'), /af_packet/);
});

test('firmware that is there is taken, what is absent is left out', async () => {
  deepEqual(
    (await choose('e1000')).firmware,
    new Map([['intel/e1000.bin', join(firmware, 'intel/e1000.bin')]]),
  );
  deepEqual((await choose('ext4')).firmware, new Map());
});

test('a package on which depmod has run gives the same modules', async () => {
  const copy = kernelPackage(join(folder, 'ready'), VERSION);
  execFileSync('/usr/sbin/depmod', ['--basedir', copy, VERSION], { stdio: 'pipe' });
  const { modules } = await chooseModules(findKernel(copy), ['default'], mkdtempSync(join(folder, 'work-')));
  deepEqual([...modules.keys()], [...(await choose('default')).modules.keys()]);
});

test('a package stays as it was', () => {
  deepEqual(readdirSync(kernel.modules).sort(), ['kernel', 'modules.builtin', 'modules.order']);
});

test('an unknown module is an error that names it', async () => {
  await rejects(choose('e1000', 'e999'), /kernel 6\.1\.0-9-amd64 has no module e999/);
});

test('a folder of modules may lie below /usr, as in later packages', () => {
  const later = kernelPackage(join(folder, 'later'), VERSION);
  mkdirSync(join(later, 'usr'));
  renameSync(join(later, 'lib'), join(later, 'usr/lib'));
  equal(findKernel(later).modules, join(later, 'usr/lib/modules', VERSION));
});

test('of the kernels of a machine the newest is taken, numbers by value, and never a cloud kernel', () => {
  const host = join(folder, 'host');
  for (const version of ['6.1.0-9-amd64', '6.1.0-56-amd64', '6.1.0-57-cloud-amd64'])
    kernelPackage(host, version, []);
  equal(findKernel(null, host).version, '6.1.0-56-amd64');
  equal(findKernel('6.1.0-9-amd64', host).version, '6.1.0-9-amd64');
  throws(
    () => findKernel('6.1.0-57-cloud-amd64', host),
    /is the cloud kernel, which has no drivers .* \(no e1000\)/,
  );
  throws(
    () => findKernel('5.10.0-1-amd64', host),
    /has only 6\.1\.0-9-amd64, .*, not 5\.10\.0-1-amd64; install/,
  );
});

test('a cloud kernel alone is refused with the reason', () => {
  const cloud = kernelPackage(join(folder, 'cloud'), '6.1.0-57-cloud-amd64', []);
  throws(() => findKernel(cloud), /is the cloud kernel/);
});

test('no kernel at all is an error that says where one comes from', () => {
  throws(
    () => findKernel(null, join(folder, 'nowhere')),
    /has no kernel; install linux-image-amd64, or unpack/,
  );
});

test('a kernel without modules is an error that names the folder', async () => {
  const bare = kernelPackage(join(folder, 'bare'), VERSION, []);
  await rejects(
    chooseModules(findKernel(bare), ['default'], mkdtempSync(join(folder, 'work-'))),
    /has no modules that end in \.ko/,
  );
  rmSync(join(bare, 'lib'), { recursive: true });
  throws(() => findKernel(bare), /the modules of kernel 6\.1\.0-9-amd64 are not in/);
});
