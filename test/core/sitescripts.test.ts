import { deepEqual, equal, throws } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import {
  checkScripts,
  chooseScripts,
  type ScriptClasses,
  type ScriptPhase,
  scriptVariables,
  shellVariables,
} from '../../agent/core/sitescripts.ts';
import { LEASE, makeJob, script } from '../systems.ts';

const NODE: ScriptClasses = { imageName: 'web', hostName: 'node005', groups: ['rack1', 'gpu'] };

function chosen(
  names: readonly string[],
  who: ScriptClasses = NODE,
  phase: ScriptPhase = 'post-install',
): string[] {
  const files = names.map((name) => ({ path: `scripts/post-install/${name}` }));
  return chooseScripts(files, phase, who).map(({ path }) => path.split('/').at(-1)!);
}

test('classes go from the wide to the narrow, whatever the numbers', () => {
  deepEqual(chosen(['10node005.x', '20gpu.x', '30rack1.x', '40node.x', '50web.x', '60all.x']), [
    '60all.x',
    '50web.x',
    '40node.x',
    '30rack1.x',
    '20gpu.x',
    '10node005.x',
  ]);
});

test('inside a class the number decides, then the name', () => {
  deepEqual(chosen(['20all.b', '10all.z', '20all.a', '05all.q']), [
    '05all.q',
    '10all.z',
    '20all.a',
    '20all.b',
  ]);
});

test('scripts of other classes, and of other phases, are for others', () => {
  deepEqual(chosen(['10node006.x', '10rack2.x', '10db.x', '10ALL.x', '10allx.x']), []);
  deepEqual(chosen(['10all.x'], NODE, 'pre-install'), []);
});

test('a script comes once, though its class is the host, its base name, and a group', () => {
  deepEqual(chosen(['10node.x'], { imageName: 'node', hostName: 'node', groups: ['node', 'node'] }), [
    '10node.x',
  ]);
});

test('names count up to their first dot, which no class has', () => {
  deepEqual(chosen(['10web.v2.fix'], { imageName: 'web.v2', hostName: '', groups: [] }), ['10web.v2.fix']);
});

test('a node without a name has no class of the host', () => {
  deepEqual(chosen(['10.x', '10all.x'], { imageName: 'web', hostName: '', groups: [] }), ['10all.x']);
});

test('what no kernel would start is refused, all of it by name', () => {
  checkScripts([script('a/10all.sh'), { path: 'elf', content: new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 2]) }]);
  throws(
    () => checkScripts([script('a/10all.x', 'echo hi'), script('a/10all.ok'), script('a/20all.y', '')]),
    (error) =>
      error instanceof SwarmbootError &&
      error.code === 'script' &&
      /scripts\/a\/10all\.x, scripts\/a\/20all\.y/.test(error.message),
  );
});

test('a shell reads the variables back as they were', () => {
  const values = { PLAIN: 'a b', QUOTE: "it's", ODD: '$(x) `y` "z" \\ #', LINES: 'a\nb', EMPTY: '' };
  const code = `${shellVariables(values)}for key in PLAIN QUOTE ODD LINES EMPTY; do eval "printf '%s|' \\"\\$$key\\""; done`;
  equal(
    execFileSync('/usr/bin/busybox', ['sh', '-c', code], { encoding: 'utf8' }),
    `${Object.values(values).join('|')}|`,
  );
});

test('a script learns who the node is, where the target lies, and which disks it starts from', () => {
  deepEqual(scriptVariables(makeJob(), 'main-install'), {
    HOSTNAME: 'node005',
    DOMAINNAME: 'lab.example',
    GROUPNAMES: 'rack1 gpu',
    IMAGENAME: 'web',
    IMAGESERVER: 'http://10.9.0.1:8080',
    OVERRIDES: 'site',
    DEVICE: 'eth0',
    MAC: '52:54:00:09:00:01',
    VLAN: '',
    IPADDR: '10.9.0.5',
    PREFIX: '24',
    NETMASK: '255.255.255.0',
    GATEWAY: '10.9.0.1',
    DNS: '10.9.0.1 fd09::1',
    DISKS_LAYOUT: 'default',
    DISKS: '/dev/vda',
    FIRMWARE: 'bios',
    PHASE: 'main-install',
    TARGET: '/a',
  });
});

test('in a post-install script the new system is the root', () => {
  equal(scriptVariables(makeJob(), 'post-install').TARGET, '/');
});

test('the netmask follows from the prefix; without an address both are empty', () => {
  const mask = (address: string) =>
    scriptVariables(makeJob({ lease: { ...LEASE, address } }), 'pre-install').NETMASK;
  deepEqual(['10.0.0.1/8', '10.0.0.1/20', '10.0.0.1/32', '10.0.0.1/0', ''].map(mask), [
    '255.0.0.0',
    '255.255.240.0',
    '255.255.255.255',
    '0.0.0.0',
    '',
  ]);
});
