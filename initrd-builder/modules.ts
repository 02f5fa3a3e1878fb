// Which kernel goes into an initrd, which of its modules with all that they need, and which firmware they ask for. The
// tables that modprobe reads are made by kmod's depmod, for exactly these modules.

import { type ExecFileException, execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { BuildError } from './errors.ts';

/** A kernel of this machine, or of an unpacked package. */
export interface Kernel {
  readonly version: string;
  /** The file that a boot loader starts. */
  readonly image: string;
  /** The folder of its modules: `.../lib/modules/VERSION`. */
  readonly modules: string;
}

/** What goes below /usr/lib of an initrd: a file there, and where it is now. */
export interface ModuleFiles {
  /** By path below `/usr/lib/modules/VERSION`: modules, and modprobe's tables. */
  readonly modules: ReadonlyMap<string, string>;
  /** By path below `/usr/lib/firmware`. */
  readonly firmware: ReadonlyMap<string, string>;
}

const DEPMOD = '/usr/sbin/depmod';
const MODINFO = '/usr/sbin/modinfo';
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * The default list, by path below `kernel/`: every wired network card that this kernel knows, the disk controllers of
 * machines of the last fifteen years, disk arrays and volumes, the file systems of a layout, what virtual machines have,
 * and keyboards, for the console of a failed install. What these need comes by itself. Adapters for storage networks and
 * older disks would be a tenth of the initrd: `default,lpfc` adds what a site has.
 */
const DEFAULT_MODULES: readonly RegExp[] = [
  // Not the PC cards, *_cs: no machine boots over one.
  /^drivers\/net\/(ethernet|hyperv|mdio|pcs|phy|vmxnet3|bonding)\/(?!.*_cs\.ko$)/,
  /^drivers\/net\/(virtio_net|xen-netfront)\.ko$/,
  /^drivers\/net\/usb\/(asix|ax88179_178a|cdc_ether|r8152)\.ko$/,
  /^net\/(8021q\/8021q|packet\/af_packet|ipv6\/ipv6)\.ko$/,
  /^drivers\/ata\/(?!pata_)/,
  /^drivers\/scsi\/(aacraid|arcmsr|isci|megaraid|mpi3mr|mpt3sas|mvsas|pm8001|smartpqi)\//,
  /^drivers\/scsi\/(hpsa|hv_storvsc|ipr|sd_mod|virtio_scsi|vmw_pvscsi|xen-scsifront)\.ko$/,
  /^drivers\/(message\/fusion\/mpt(sas|spi)|nvme\/host\/nvme)\.ko$/,
  /^drivers\/md\/(dm-mod|linear|md-mod|raid\d+)\.ko$/,
  /^drivers\/block\/(loop|virtio_blk|xen-blkfront)\.ko$/,
  /^drivers\/usb\/(host\/(ehci-pci|ohci-pci|uhci-hcd|xhci-pci)|storage\/(uas|usb-storage))\.ko$/,
  /^drivers\/(virtio\/(?!virtio_(balloon|input|mem))|hv\/(?!hv_balloon))/,
  /^drivers\/char\/hw_random\/virtio-rng\.ko$/,
  /^drivers\/firmware\/qemu_fw_cfg\.ko$/,
  /^drivers\/(hid\/(hid-generic|usbhid\/usbhid)|input\/keyboard\/atkbd|input\/serio\/(i8042|hyperv-keyboard))\.ko$/,
  /^fs\/(ext4|xfs|fat|efivarfs)\//,
  /^fs\/nls\/nls_(ascii|cp437|iso8859-1|utf8)\.ko$/,
];

/** The tables of depmod that busybox's modprobe reads. */
const TABLES = ['modules.dep', 'modules.alias', 'modules.symbols', 'modules.builtin'];

/** What depmod reads beside the modules themselves. */
const DEPMOD_READS = ['modules.order', 'modules.builtin', 'modules.builtin.modinfo'];

const run = promisify(execFile);

/**
 * The kernel that `wanted` names: a version installed on this machine, a folder into which a kernel package was
 * unpacked, or, when null, the newest of this machine. Throws BuildError when there is none or when it is of no use.
 */
export function findKernel(wanted: string | null, host = '/'): Kernel {
  if (wanted?.includes('/') || wanted === '.' || wanted === '..') return kernelOf(resolve(wanted), null);
  return kernelOf(host, wanted);
}

function kernelOf(root: string, wanted: string | null): Kernel {
  const boot = join(root, 'boot');
  const images = existsSync(boot) ? readdirSync(boot).filter((name) => name.startsWith('vmlinuz-')) : [];
  const versions = images.map((name) => name.slice('vmlinuz-'.length)).sort(byVersion);
  const usable = versions.filter((version) => !isCloud(version));
  const version = wanted ?? usable.at(-1) ?? versions.at(-1);
  if (version === undefined || !versions.includes(version)) {
    const found = versions.length === 0 ? 'no kernel' : `only ${versions.join(', ')}`;
    throw new BuildError(
      `${boot} has ${found}${wanted === null ? '' : `, not ${wanted}`}; install linux-image-amd64, or unpack that package ` +
        '(apt-get download, dpkg -x) and name the folder: --kernel ./FOLDER',
    );
  }
  if (isCloud(version)) {
    throw new BuildError(
      `${join(boot, `vmlinuz-${version}`)} is the cloud kernel, which has no drivers for real network cards (no e1000); take linux-image-amd64`,
    );
  }
  const folders = ['lib/modules', 'usr/lib/modules'].map((folder) => join(root, folder, version));
  const modules = folders.find((folder) => existsSync(folder));
  if (modules === undefined) {
    throw new BuildError(
      `the modules of kernel ${version} are not in ${folders[0]}; install or unpack its package again`,
    );
  }
  return { version, image: join(boot, `vmlinuz-${version}`), modules };
}

const isCloud = (version: string) => version.includes('-cloud-');

/** Numbers by value: 6.1.0-9 comes before 6.1.0-56. */
function byVersion(left: string, right: string): number {
  return left.localeCompare(right, 'en', { numeric: true });
}

/**
 * Chooses the modules that `words` name (module names, `default`, `all`) with what they need, and makes their tables in
 * `work`, an empty folder that must last as long as the result. `firmware`: the folder to look for it.
 * Throws BuildError for a name that the kernel does not have.
 */
export async function chooseModules(
  kernel: Kernel,
  words: readonly string[],
  work: string,
  firmware = '/lib/firmware',
): Promise<ModuleFiles> {
  const catalog = await readCatalog(kernel, work);
  const chosen = [...withNeeds(catalog, named(kernel, catalog, words))].sort();
  const files = new Map(chosen.map((path) => [path, join(kernel.modules, path)]));
  const tables = await makeTables(kernel, files, join(work, 'chosen'));
  return {
    modules: new Map([...files, ...tables]),
    firmware: await firmwareOf([...files.values()], firmware),
  };
}

/** What the kernel has, by path below its folder of modules. */
interface ModuleCatalog {
  /** Every module, with the modules that must be loaded before it. */
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
  /** Paths by the module's name. */
  readonly byName: ReadonlyMap<string, string>;
  readonly builtIn: ReadonlySet<string>;
  /** Modules by another name of theirs. */
  readonly aliases: ReadonlyMap<string, readonly string[]>;
  /** Names that a module asks for without needing their symbols, by its name. */
  readonly wishes: ReadonlyMap<string, readonly string[]>;
}

async function readCatalog(kernel: Kernel, work: string): Promise<ModuleCatalog> {
  const tables = existsSync(join(kernel.modules, 'modules.dep'))
    ? kernel.modules
    : await depmod(kernel, new Map([['kernel', join(kernel.modules, 'kernel')]]), join(work, 'all'));
  const lines = (folder: string, table: string) => {
    const path = join(folder, table);
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
  };
  const dependencies = new Map<string, readonly string[]>();
  for (const line of lines(tables, 'modules.dep')) {
    const [path, needs] = line.split(':');
    if (path && needs !== undefined) dependencies.set(path, needs.split(' ').filter(Boolean));
  }
  if (![...dependencies.keys()].some((path) => path.endsWith('.ko'))) {
    throw new BuildError(
      `${kernel.modules} has no modules that end in .ko; install or unpack the package of kernel ${kernel.version} again`,
    );
  }
  const aliases = new Map<string, string[]>();
  for (const line of lines(tables, 'modules.alias')) {
    const [word, alias, module] = line.split(' ');
    if (word === 'alias' && alias && module) aliases.set(alias, [...(aliases.get(alias) ?? []), module]);
  }
  const wishes = new Map<string, readonly string[]>();
  for (const line of lines(tables, 'modules.softdep')) {
    const [word, module, ...rest] = line.split(' ');
    if (word === 'softdep' && module)
      wishes.set(
        plain(module),
        rest.filter((name) => !name.endsWith(':')),
      );
  }
  return {
    dependencies,
    aliases,
    wishes,
    byName: new Map([...dependencies.keys()].map((path) => [nameOf(path), path])),
    builtIn: new Set(lines(kernel.modules, 'modules.builtin').filter(Boolean).map(nameOf)),
  };
}

/** Modules are called by their file's name, and `-` means `_`. */
const nameOf = (path: string) => plain(basename(path).replace(/\.ko$/, ''));
const plain = (name: string) => name.replaceAll('-', '_');

function named(kernel: Kernel, catalog: ModuleCatalog, words: readonly string[]): string[] {
  const all = [...catalog.dependencies.keys()];
  return words.flatMap((word) => {
    if (word === 'all') return all;
    if (word === 'default')
      return all.filter((path) =>
        DEFAULT_MODULES.some((pattern) => pattern.test(path.replace(/^kernel\//, ''))),
      );
    const path = catalog.byName.get(plain(word));
    if (path !== undefined) return [path];
    if (catalog.builtIn.has(plain(word))) return [];
    throw new BuildError(
      `kernel ${kernel.version} has no module ${word}; write --modules all, default, or names as in ${kernel.modules}`,
    );
  });
}

/** These and all that they need or wish for, directly or through another. */
function withNeeds(catalog: ModuleCatalog, paths: readonly string[]): Set<string> {
  const found = new Set<string>();
  const open = [...paths];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (found.has(path)) continue;
    found.add(path);
    const wished = catalog.wishes.get(nameOf(path)) ?? [];
    const modules = wished.flatMap((name) => [name, ...(catalog.aliases.get(name) ?? [])]);
    const wishedPaths = modules.map((name) => catalog.byName.get(plain(name)));
    open.push(...(catalog.dependencies.get(path) ?? []), ...wishedPaths.filter((wish) => wish !== undefined));
  }
  return found;
}

/** Links the modules into a folder of their own, so that the tables speak of them alone. */
async function makeTables(
  kernel: Kernel,
  files: ReadonlyMap<string, string>,
  work: string,
): Promise<[string, string][]> {
  const tables = await depmod(kernel, files, work);
  return TABLES.map((name): [string, string] => [name, join(tables, name)]).filter(([, file]) =>
    existsSync(file),
  );
}

/**
 * Runs depmod on links in `work` to these files and folders, by their paths below the folder of modules, which is left
 * as it is. Returns the folder with the tables.
 */
async function depmod(kernel: Kernel, paths: ReadonlyMap<string, string>, work: string): Promise<string> {
  const folder = join(work, 'lib/modules', kernel.version);
  const beside = DEPMOD_READS.map((name): [string, string] => [name, join(kernel.modules, name)]);
  for (const [path, file] of [...paths, ...beside.filter(([, file]) => existsSync(file))]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    symlinkSync(file, join(folder, path));
  }
  await kmod(DEPMOD, ['--basedir', work, kernel.version]);
  return folder;
}

/** The files in `folder` that these modules may ask the kernel for; what is not there is left out. */
async function firmwareOf(modules: readonly string[], folder: string): Promise<Map<string, string>> {
  if (!existsSync(folder) || modules.length === 0) return new Map();
  const output = await kmod(MODINFO, ['--field', 'firmware', ...modules]);
  const plainPath = /^(?!.*\.\.)[\w@+,.-]+(?:\/[\w@+,.-]+)*$/;
  const names = [...new Set(output.split('\n'))].filter((name) => plainPath.test(name));
  const there = names.filter((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.isFile());
  return new Map(there.sort().map((name) => [name, join(folder, name)]));
}

async function kmod(program: string, args: readonly string[]): Promise<string> {
  try {
    const options = { env: { LC_ALL: 'C' }, maxBuffer: OUTPUT_BYTES_MAX };
    return (await run(program, [...args], options)).stdout;
  } catch (error) {
    const { message, stderr = '' } = error as ExecFileException;
    const said = stderr.toString().trim().split('\n').slice(0, 3).join(' | ') || message;
    throw new BuildError(`${program} failed: ${said}; install kmod, or install the kernel's package again`, {
      cause: error,
    });
  }
}
