// A tree with everything that an installation must keep, as far as who runs this may make it.

import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import type { TestContext } from 'node:test';

/** A folder that is gone after the test. */
export function scratch(t: TestContext): string {
  const folder = fs.mkdtempSync(path.join(tmpdir(), 'swarmboot-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Fills `folder`, which must exist. */
export async function plantTree(folder: string): Promise<void> {
  const at = (name: string) => path.join(folder, name);
  const run = (file: string, ...args: string[]) => execFileSync(file, args, { cwd: folder });
  fs.mkdirSync(at('etc/empty'), { recursive: true });
  fs.mkdirSync(at('usr/bin'), { recursive: true });
  fs.writeFileSync(at('etc/hosts'), '127.0.0.1 localhost\n', { mode: 0o640 });
  fs.writeFileSync(at('usr/bin/passwd'), Buffer.alloc(300_000, 'passwd'));
  fs.chmodSync(at('usr/bin/passwd'), 0o4755);
  fs.linkSync(at('usr/bin/passwd'), at('usr/bin/chfn'));
  fs.linkSync(at('usr/bin/passwd'), at('a hard link that sorts first'));
  fs.symlinkSync('/usr/bin/passwd', at('absolute'));
  fs.symlinkSync('nowhere/../at all', at('dangling'));
  fs.symlinkSync('usr/bin', at('bin'));
  fs.writeFileSync(
    Buffer.concat([Buffer.from(`${folder}/`), Buffer.from('caf\xe9\n\xff\\', 'latin1')]),
    'latin',
  );
  fs.writeFileSync(at('schön'), 'utf-8');
  fs.mkdirSync(at(`${'d'.repeat(150)}/${'e'.repeat(150)}`), { recursive: true });
  fs.writeFileSync(at(`${'d'.repeat(150)}/${'e'.repeat(150)}/${'f'.repeat(200)}`), 'deep');
  fs.symlinkSync('x'.repeat(300), at('long target'));
  const sparse = fs.openSync(at('sparse'), 'w');
  fs.writeSync(sparse, 'start', 0);
  fs.writeSync(sparse, 'middle', 3_000_000);
  fs.ftruncateSync(sparse, 9_000_000);
  fs.closeSync(sparse);
  run('/usr/bin/mkfifo', 'fifo');
  run('/usr/bin/setfattr', '-n', 'user.binary', '-v', '0xff0080c30a', 'etc/hosts');
  run('/usr/bin/setfacl', '-n', '-m', 'u:54321:rw,g:54322:r', 'etc/hosts');
  run('/usr/bin/setfacl', '-d', '-m', 'u:54321:rx', 'etc');
  if (process.geteuid?.() === 0) {
    run('/usr/bin/mknod', 'null', 'c', '1', '3');
    run('/usr/bin/mknod', 'disk', 'b', '259', '70000');
    run('/usr/sbin/setcap', 'cap_net_raw,cap_setuid+ep', 'schön');
    run('/usr/bin/setfattr', '-h', '-n', 'trusted.mark', '-v', 'link', 'absolute');
    fs.chownSync(at('etc/hosts'), 54321, 3_000_000_000);
    fs.lchownSync(at('dangling'), 54321, 54322);
  }
  fs.chmodSync(at('etc/empty'), 0o1777);
  fs.utimesSync(at('etc/hosts'), 1, 1_600_000_000.123);
  fs.lutimesSync(at('absolute'), 1, 1_500_000_000.25);
  fs.utimesSync(at('etc/empty'), 1, 7);
  await plantSocket(at('socket'));
  fs.utimesSync(folder, 1, 1_400_000_000.5);
}

/** A socket file with nobody behind it. */
async function plantSocket(place: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${place}.bound`, resolve));
  fs.renameSync(`${place}.bound`, place);
  await new Promise((resolve) => server.close(resolve));
}
