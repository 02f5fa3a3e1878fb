// The new system, from empty disks to one that starts by itself: the site's scripts, the disks, the files that make an
// image into this node's own, the boot loader, and what follows. Decides the order of things; what is written and run is
// said in the core, and done in the rooms.

import {
  checkBootable,
  chrootMounts,
  chrootUnmounts,
  configureCommands,
  flushTarget,
  GRUB_CONFIG,
  GRUB_DEFAULTS,
  grubDefaultsText,
  hideEfi,
  installCommands,
  inTarget,
  kexecLoad,
  parseGrubConfig,
  revealEfi,
  serialConsoles,
  unmountHiddenEfi,
} from './core/bootloader.ts';
import type { Command } from './core/command.ts';
import { withProof } from './core/enrolment.ts';
import { messageOf, SwarmbootError } from './core/errors.ts';
import {
  FIRST_BOOT_BUSYBOX,
  FIRST_BOOT_LINK,
  FIRST_BOOT_MESSAGE,
  FIRST_BOOT_SCRIPT,
  FIRST_BOOT_UNIT,
  firstBootScript,
  firstBootUnit,
} from './core/firstboot.ts';
import { encodeMessage, STATUS } from './core/monitor.ts';
import { chooseScripts, type ScriptPhase, scriptVariables, shellVariables } from './core/sitescripts.ts';
import type { SystemJob, SystemRooms, TreeRoom } from './core/systemrooms.ts';
import { fstabText, hostsText, recordText, resolvText } from './core/targetfiles.ts';
import { bringsNetworkd, networkFiles, networkKindOf } from './core/targetnetwork.ts';
import type { Ms } from './core/units.ts';
import type { PostAction } from './core/values.ts';

const BUSYBOX = '/usr/bin/busybox';
/** A script that takes longer hangs: an install of hundreds of nodes must not wait for it. */
export const SCRIPT_MAX_MS: Ms = 30 * 60_000;
/** Where scripts lie while they run, below the installer's folder for them, and below the target's root. */
const SCRIPTS_IN_INSTALLER = 'scripts';
const SCRIPTS_IN_TARGET = 'run/swarmboot';
const RECORD = 'etc/swarmboot/installed';
export const INSTALL_LOG = 'var/log/swarmboot-install.log';
const SYSTEMD = 'lib/systemd/systemd';

/** One new system. Its steps are called in the order of the install's stages; `release` at the end, whatever happened. */
export class TargetSystem {
  readonly #job: SystemJob;
  readonly #rooms: SystemRooms;
  readonly #proof: string | null;
  /** Disks may be mounted, and arrays or volumes in use. */
  #disksHeld = false;
  /** Of the EFI system partition, a folder alone is to be seen. */
  #efiHidden = false;
  /** The kernel's places are mounted in the target. */
  #chrootHeld = false;

  /** `proof`: by which the new system shows that it is this node; null: it need not. */
  constructor(job: SystemJob, rooms: SystemRooms, proof: string | null = null) {
    this.#job = job;
    this.#rooms = rooms;
    this.#proof = proof;
  }

  /**
   * Runs the site's scripts of one phase, one after the other: those of post-install in a chroot of the target, the others
   * in the installer. Throws SwarmbootError 'script' with the first that fails; nothing of them stays behind.
   */
  async runScripts(phase: ScriptPhase, signal: AbortSignal): Promise<void> {
    const { target, runFolder, image, hostName, groups, scripts } = this.#job;
    const chosen = chooseScripts(scripts, phase, { imageName: image.name, hostName, groups });
    if (chosen.length === 0) return;
    const inside = phase === 'post-install';
    if (inside) await this.#enter(signal);
    const tree = this.#rooms.openTree(inside ? target : runFolder);
    const folder = inside ? SCRIPTS_IN_TARGET : SCRIPTS_IN_INSTALLER;
    const env = scriptVariables(this.#job, phase);
    try {
      tree.write(`${folder}/variables.txt`, shellVariables(env), 0o644);
      for (const { path, content } of chosen) {
        const name = path.split('/').at(-1)!;
        tree.write(`${folder}/${name}`, content, 0o755);
        const why = `run the ${phase} script ${name}`;
        const command = inside
          ? inTarget(target, [`/${folder}/${name}`], why)
          : { argv: [`${tree.folder(folder)}/${name}`], why };
        await this.#rooms.run({ ...command, env, timeoutMs: SCRIPT_MAX_MS }, 'script', signal);
      }
    } finally {
      tree.remove(folder);
    }
  }

  /**
   * Partitions, makes file systems, mounts them at the target, without anything that firmware could start yet. Throws SwarmbootError 'disk'; before anything is touched
   * when a program for it is absent.
   */
  async prepareDisks(signal: AbortSignal): Promise<void> {
    const { prepare, release } = this.#job.plan;
    const absent = this.#rooms.absentPrograms([...prepare, ...release]);
    if (absent.length > 0) {
      throw new SwarmbootError(
        'disk',
        `the layout "${this.#job.layoutName}" needs ${absent.join(', ')}, not among the BOEL binaries; nothing was touched; make and publish them anew on the image server: swarmboot boel build`,
      );
    }
    this.#disksHeld = true;
    for (const command of prepare) await this.#rooms.run(command, 'disk', signal);
    const hiding = hideEfi(this.#job);
    for (const command of hiding) await this.#rooms.run(command, 'disk', signal);
    this.#efiHidden = hiding.length > 0;
  }

  /** Makes what was unpacked into this node's own system. Throws SwarmbootError 'system'. */
  async finish(signal: AbortSignal): Promise<void> {
    const { plan } = this.#job;
    const tree = this.#rooms.openTree(this.#job.target);
    tree.write('etc/fstab', fstabText(plan.fstab), 0o644);
    if (plan.mdadmConf !== '') tree.write('etc/mdadm/mdadm.conf', plan.mdadmConf, 0o644);
    this.#name(tree);
    this.#forgetIdentity(tree);
    await this.#makeHostKeys(tree, signal);
    await this.#configureNetwork(tree, signal);
    await this.#planFirstBoot(tree);
    // The image may have been made of an installed machine.
    tree.remove(RECORD);
  }

  /**
   * Configures the image's own GRUB and installs it on the disks, as the very last step: until then, the disks start
   * nothing. Throws SwarmbootError 'system', also with all that the image lacks.
   */
  async installBootLoader(signal: AbortSignal): Promise<void> {
    const { target, plan, kernelCommandLine } = this.#job;
    const tree = this.#rooms.openTree(target);
    checkBootable(tree, plan);
    await this.#enter(signal);
    const consoles = serialConsoles(kernelCommandLine);
    if (consoles.length > 0) tree.write(GRUB_DEFAULTS, grubDefaultsText(consoles), 0o644);
    tree.folder('boot/grub');
    const probe = ['/usr/sbin/grub-probe', '--target=device', '/'];
    const found = await this.#system(
      inTarget(target, probe, 'find the device of the root file system'),
      signal,
    );
    const device = found.split('\n').findLast((line) => line.startsWith('/dev/'));
    if (device === undefined) {
      throw new SwarmbootError(
        'system',
        `grub-probe names no device for the root file system, but: ${found.trim()}; look for the mounts in the log`,
      );
    }
    for (const command of configureCommands(this.#job, tree, device)) await this.#system(command, signal);
    const { kernel, initrd } = parseGrubConfig(tree.read(GRUB_CONFIG) ?? '');
    this.#rooms.note(`the new system starts ${kernel} with ${initrd}`);
    await this.#showEfi(signal);
    for (const command of installCommands(this.#job)) await this.#system(command, signal);
    // Says that all else is there: after it, as the last file of all, and on the disk when the install is told to be done.
    tree.write(RECORD, recordText(this.#job), 0o644);
    await this.#system(flushTarget(this.#job), signal);
  }

  /** Leaves the lines of the install's log in the new system. Throws SwarmbootError 'system'. */
  keepLog(lines: readonly string[]): void {
    const text = lines.map((line) => `${line}\n`).join('');
    this.#rooms.openTree(this.#job.target).write(INSTALL_LOG, text, 0o640);
  }

  /** Lets go of chroot and disks. Every step is tried; what fails is noted and stops nothing. Again: nothing is left to do. */
  async release(): Promise<void> {
    const { target, plan } = this.#job;
    const never = new AbortController().signal;
    const attempt = async (command: Command, code: 'system' | 'disk') => {
      await this.#rooms
        .run(command, code, never)
        .catch((error: unknown) => this.#rooms.note(`while releasing: ${messageOf(error)}`));
    };
    if (this.#chrootHeld) {
      this.#chrootHeld = false;
      const ended = this.#rooms.endProcesses(target);
      if (ended.length > 0) this.#rooms.note(`still running in the new system, ended: ${ended.join(', ')}`);
      for (const command of chrootUnmounts(this.#rooms.openTree(target))) await attempt(command, 'system');
    }
    if (this.#efiHidden) {
      this.#efiHidden = false;
      await attempt(unmountHiddenEfi(this.#job), 'disk');
    }
    if (this.#disksHeld) {
      this.#disksHeld = false;
      await attempt({ argv: [BUSYBOX, 'sync'], why: 'write everything to the disks' }, 'system');
      for (const command of plan.release) await attempt(command, 'disk');
    }
  }

  /** Releases all, then does what follows an install; from all but `shell` there is no coming back. Throws SwarmbootError 'system'. */
  async postAction(action: PostAction, signal: AbortSignal): Promise<void> {
    const loaded = action === 'kexec' && (await this.#loadKernel(signal));
    await this.release();
    if (action === 'shell') {
      this.#rooms.note('installed; leave this shell by `exit`, and the machine starts anew');
      await this.#rooms.shell();
    }
    const command = loaded
      ? { argv: ['/usr/sbin/kexec', '-e'], why: 'start the new system' }
      : action === 'poweroff'
        ? { argv: [BUSYBOX, 'poweroff', '-f'], why: 'switch the machine off' }
        : { argv: [BUSYBOX, 'reboot', '-f'], why: 'start the machine anew' };
    await this.#system({ argv: [BUSYBOX, 'sync'], why: 'write everything to the disks' }, signal);
    await this.#system(command, signal);
  }

  #system(command: Command, signal: AbortSignal): Promise<string> {
    return this.#rooms.run(command, 'system', signal);
  }

  /** With all else on the disks by then: the image's own loader may start the system from here on. */
  async #showEfi(signal: AbortSignal): Promise<void> {
    if (!this.#efiHidden) return;
    await this.#system(flushTarget(this.#job), signal);
    await this.#system(unmountHiddenEfi(this.#job), signal);
    this.#efiHidden = false;
    for (const command of revealEfi(this.#job)) await this.#system(command, signal);
  }

  /** Mounts the kernel's places in the target, once. */
  async #enter(signal: AbortSignal): Promise<void> {
    if (this.#chrootHeld) return;
    this.#chrootHeld = true;
    const tree = this.#rooms.openTree(this.#job.target);
    for (const command of chrootMounts(tree)) await this.#system(command, signal);
  }

  #name(tree: TreeRoom): void {
    const { hostName, lease } = this.#job;
    if (hostName === '') {
      this.#rooms.note(
        "nobody has named this machine (HOSTNAME, or the DHCP server): the image's own host name stays",
      );
      return;
    }
    tree.write('etc/hostname', `${hostName}\n`, 0o644);
    tree.write('etc/hosts', hostsText(tree.read('etc/hosts') ?? '', hostName, lease.domain), 0o644);
  }

  /** What would make all nodes one and the same machine. */
  #forgetIdentity(tree: TreeRoom): void {
    // Empty, not absent: systemd then makes an id, and does not take the boot for that of a system without settings.
    tree.write('etc/machine-id', '', 0o444);
    if (!tree.isLink('var/lib/dbus/machine-id')) tree.remove('var/lib/dbus/machine-id');
    tree.remove('var/lib/systemd/random-seed');
  }

  async #makeHostKeys(tree: TreeRoom, signal: AbortSignal): Promise<void> {
    const keys = tree.list('etc/ssh').filter((name) => /^ssh_host_.+_key(\.pub)?$/.test(name));
    for (const name of keys) tree.remove(`etc/ssh/${name}`);
    if (!tree.has('usr/sbin/sshd')) return;
    if (!tree.has('usr/bin/ssh-keygen')) {
      this.#rooms.note('the image has sshd and no ssh-keygen: this machine has no SSH host keys');
      return;
    }
    await this.#enter(signal);
    const why = 'make SSH host keys';
    await this.#system(inTarget(this.#job.target, ['/usr/bin/ssh-keygen', '-A'], why), signal);
  }

  async #configureNetwork(tree: TreeRoom, signal: AbortSignal): Promise<void> {
    const { lease, target } = this.#job;
    const note = (text: string) => this.#rooms.note(text);
    if (lease.mac === '')
      return note("no lease of the installer's: the image's own network configuration stays");
    let kind = networkKindOf(tree);
    if (kind === null && bringsNetworkd(tree)) {
      note('the image configures no network: its systemd-networkd is enabled for it');
      await this.#enter(signal);
      const argv = ['/usr/bin/systemctl', 'enable', 'systemd-networkd.service'];
      await this.#system(inTarget(target, argv, 'enable systemd-networkd'), signal);
      kind = 'systemd-networkd';
    }
    if (kind === null) {
      note(
        'the image has none of systemd-networkd, ifupdown, NetworkManager and netplan: its network is left as it is',
      );
    } else {
      for (const { path, text, mode } of networkFiles(kind, lease)) tree.write(path, text, mode);
    }
    const resolv = resolvText(lease);
    // A link means that something in the image looks after it.
    if (resolv !== null && !tree.isLink('etc/resolv.conf')) tree.write('etc/resolv.conf', resolv, 0o644);
  }

  /** The new system is to say once that it has come up. */
  async #planFirstBoot(tree: TreeRoom): Promise<void> {
    const { lease, hostName, image } = this.#job;
    const urls = this.#job.reportsUrls.filter((url) => url.startsWith('http:'));
    const missing = [
      ...(lease.mac === '' ? ["this machine's MAC is not known"] : []),
      ...(tree.has(SYSTEMD) ? [] : ['the image has no systemd']),
      ...(urls.length > 0 ? [] : ['it knows no TLS, and FIRST_BOOT_SERVER is missing']),
    ];
    if (missing.length > 0) {
      const reason = missing.join('; ');
      return this.#rooms.note(`the new system will not tell the image server that it has come up: ${reason}`);
    }
    const message = encodeMessage({
      format: 1,
      mac: lease.mac,
      host: hostName,
      image: image.name,
      install: null,
      status: STATUS.rebooted,
      stage: 'rebooted',
      stages: [],
      text: '',
      code: null,
      report: null,
      inventory: null,
      log: [],
      logFrom: 0,
    });
    tree.copy(BUSYBOX, FIRST_BOOT_BUSYBOX, 0o755);
    // The proof is for the image server alone, and its root's.
    tree.write(FIRST_BOOT_MESSAGE, withProof(message, this.#proof), 0o600);
    tree.write(FIRST_BOOT_SCRIPT, firstBootScript(await this.#numericUrls(urls)), 0o755);
    tree.write(FIRST_BOOT_UNIT, firstBootUnit(), 0o644);
    tree.link(FIRST_BOOT_LINK, `/${FIRST_BOOT_UNIT}`);
  }

  /** A static busybox cannot look up names in every image. */
  #numericUrls(texts: readonly string[]): Promise<readonly string[]> {
    return Promise.all(
      texts.map(async (text) => {
        const url = new URL(text);
        if (url.hostname.startsWith('[')) return text;
        const address = await this.#rooms.addressOf(url.hostname);
        url.hostname = address.includes(':') ? `[${address}]` : address;
        return url.href;
      }),
    );
  }

  /** Whether kexec has the new system in memory now. */
  async #loadKernel(signal: AbortSignal): Promise<boolean> {
    try {
      const tree = this.#rooms.openTree(this.#job.target);
      await this.#system(kexecLoad(tree, parseGrubConfig(tree.read(GRUB_CONFIG) ?? '')), signal);
      return true;
    } catch (error) {
      this.#rooms.note(`no kexec, the machine starts anew instead: ${messageOf(error)}`);
      return false;
    }
  }
}
