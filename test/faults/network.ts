// What goes wrong with the network of a lab: packets that are dropped or refused, links that are down or slow, connections
// that are cut. Each returns how to end it; all of it ends with the lab too.

import { execFileSync } from 'node:child_process';
import type { LabNode } from '../lab/lab.ts';

const IP = '/usr/sbin/ip';
const TC = '/usr/sbin/tc';
const NFT = '/usr/sbin/nft';
const SS = '/usr/bin/ss';

let tables = 0;

/** Runs a command on a node. */
export function on({ launcher }: LabNode, command: string, args: readonly string[], input = ''): string {
  const [first, ...rest] = [...launcher, command, ...args];
  return execFileSync(first!, rest, { encoding: 'utf8', ...(input === '' ? {} : { input }) });
}

/** Rules of nftables for what comes to a node and what leaves it, in a table of their own. */
export function filter(
  node: LabNode,
  { input = [], output = [] }: { input?: readonly string[]; output?: readonly string[] },
): () => void {
  const table = `fault${tables++}`;
  const chain = (hook: string, rules: readonly string[]) => [
    `  chain ${hook} {`,
    `    type filter hook ${hook} priority 0`,
    ...rules.map((rule) => `    ${rule}`),
    '  }',
  ];
  const text = [`table inet ${table} {`, ...chain('input', input), ...chain('output', output), '}', ''];
  on(node, NFT, ['-f', '-'], text.join('\n'));
  return () => void on(node, NFT, ['delete', 'table', 'inet', table]);
}

/** Nothing reaches the node and nothing leaves it; its link stays up. */
export function isolate(node: LabNode): () => void {
  const rules = ['iifname "lo" accept', 'drop'];
  return filter(node, { input: rules, output: ['oifname "lo" accept', 'drop'] });
}

/** Ports of a node that refuse whoever calls, at once, and open connections too: as if their program had been killed. */
export function refusePorts(node: LabNode, ports: readonly number[]): () => void {
  const set = `{ ${ports.join(', ')} }`;
  const undo = filter(node, {
    input: [`tcp dport ${set} reject with tcp reset`, `udp dport ${set} reject`],
  });
  for (const port of ports) cutConnections(node, `( sport = :${port} )`);
  return undo;
}

/** Ports of a node that swallow what comes: as if its machine were gone. */
export function swallowPorts(node: LabNode, ports: readonly number[]): () => void {
  const set = `{ ${ports.join(', ')} }`;
  return filter(node, { input: [`tcp dport ${set} drop`, `udp dport ${set} drop`] });
}

/** So many of a hundred packets towards the node are lost. */
export function loseSome(node: LabNode, percent: number): () => void {
  return filter(node, {
    input: ['iifname "lo" accept', `numgen random mod 1000 < ${Math.round(percent * 10)} drop`],
  });
}

/** Cuts open connections of a node, those that `which` (a filter of ss) fits; all when it says nothing. */
export function cutConnections(node: LabNode, which = ''): void {
  on(node, SS, ['--kill', '--tcp', '--no-header', ...(which === '' ? [] : [which])]);
}

/** The carrier goes. Routes and neighbours go with it and are set again when it comes back. */
export function linkDown(node: LabNode): () => void {
  const routes = saved(node, ['route', 'show', 'dev', 'eth0']);
  const neighbours = on(node, IP, ['neigh', 'show', 'dev', 'eth0', 'nud', 'permanent'])
    .split('\n')
    .filter((line) => line.includes('lladdr'));
  on(node, IP, ['link', 'set', 'eth0', 'down']);
  return () => {
    on(node, IP, ['link', 'set', 'eth0', 'up']);
    const lines = [
      ...routes.map((route) => `route replace ${route} dev eth0`),
      ...neighbours.map((line) => {
        const [host, , mac] = line.trim().split(/\s+/);
        return `neigh replace ${host} lladdr ${mac} dev eth0 nud permanent`;
      }),
    ];
    on(node, IP, ['-batch', '-'], `${lines.join('\n')}\n`);
  };
}

function saved(node: LabNode, words: readonly string[]): string[] {
  return on(node, IP, words)
    .split('\n')
    .map((line) => line.replace(/ linkdown/g, '').trim())
    .filter((line) => line !== '');
}

/** Another rate for what leaves a node. Towards it: `squeezeTowards`. */
export function squeeze(node: LabNode, bitsPerSec: number): () => void {
  const shape = (rate: number) =>
    on(node, TC, [
      'qdisc',
      'change',
      'dev',
      'eth0',
      'root',
      'tbf',
      'rate',
      `${Math.round(rate)}bit`,
      'burst',
      '32kb',
      'limit',
      '256kb',
    ]);
  shape(bitsPerSec);
  return () => void shape(node.bitsPerSec);
}
