// Runs post-install scripts in a real chroot, with real mounts. Started by system-chroot.test.ts in a mount namespace of its
// own, so that nothing stays mounted whatever goes wrong: node test/chroot.ts TARGET RUN-FOLDER. Prints JSON.

import { readdirSync, readFileSync } from 'node:fs';
import { runCommand } from '../agent/io/command.ts';
import { endProcesses, openTree } from '../agent/io/target.ts';
import { TargetSystem } from '../agent/system.ts';
import { makeJob, script } from './systems.ts';

const [target = '', runFolder = ''] = process.argv.slice(2);
const never = new AbortController().signal;

const LOOK = `#!/bin/sh
. /run/swarmboot/variables.txt
echo "root: $(echo /*)"
echo "names: $HOSTNAME $IMAGENAME $PHASE $TARGET"
echo x > /dev/null && echo "proc: $(busybox test -e /proc/self/stat && echo there)"
echo mark > /etc/mark
busybox sleep 600 > /dev/null 2>&1 &
`;
const FAIL = `#!/bin/sh
echo "about to fail"
exit 3
`;

const lines: string[] = [];
const notes: string[] = [];
const scripts = [script('post-install/10all.look', LOOK), script('post-install/20all.fail', FAIL)];
const system = new TargetSystem(makeJob({ target, runFolder, scripts }), {
  run: (command, code, signal) => runCommand(command, code, signal, (line) => void lines.push(line)),
  absentPrograms: () => [],
  openTree,
  endProcesses,
  addressOf: async (host) => host,
  shell: async () => {},
  note: (text) => void notes.push(text),
});

const mounted = () => readFileSync('/proc/self/mountinfo', 'utf8').split(`${target}/`).length - 1;
let fault = 'none';
try {
  await system.runScripts('post-install', never);
} catch (error) {
  fault = String(error);
}
const during = { mounted: mounted(), run: readdirSync(`${target}/run`) };
await system.release();
const after = { mounted: mounted(), run: readdirSync(`${target}/run`) };
console.log(JSON.stringify({ lines, notes, fault, during, after }));
