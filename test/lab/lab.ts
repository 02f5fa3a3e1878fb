// A cluster in one machine: each node is a network namespace, its link goes to a bridge through one port, and both
// directions of the link have a rate. Works in a room of its own (room.ts), where all of it ends with its process.
//
// Nothing of the machine is changed. Neighbours are permanent entries, for those do not count in the machine's one
// table of neighbours, which a mesh of 50 nodes would overflow. Congestion control is a property of the nodes' route,
// for a namespace may choose among the machine's allowed ones only.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { assert } from '../../agent/core/errors.ts';

const IP = '/usr/sbin/ip';
const TC = '/usr/sbin/tc';
const NFT = '/usr/sbin/nft';
const BRIDGE = '/usr/sbin/bridge';
const NSENTER = '/usr/bin/nsenter';

/** Of every connection in the lab. */
export const CONGESTION_CONTROL = 'cubic';
/** What a link may send at once, and what may wait in front of it: a port of a switch has bytes, at whatever rate. */
const BURST = '32kb';
const QUEUE = '256kb';
/**
 * Packets of one connection that a network card takes together, and the other end's too: most of what a packet costs a
 * processor it costs once for them all. Their bytes on the wire are counted and shaped in full.
 */
const PACKETS_TOGETHER = 8;
/** Nodes of one third byte of an address, so that no address ends in 0 or 255. */
const HOSTS_PER_BYTE = 200;
const NODES_MAX = HOSTS_PER_BYTE * 250;

export interface LabOptions {
  /** Rate of each node's link, in each direction, on the wire. One entry per node. */
  readonly bitsPerSec: readonly number[];
  /** Share of the packets towards each node that its link loses; 0 for none. */
  readonly lossShare: number;
}

export interface LabNode {
  readonly name: string;
  /** Its IPv4 address. */
  readonly host: string;
  readonly bitsPerSec: number;
  /** Put before a command that is to run on the node. */
  readonly launcher: readonly string[];
}

export class Lab {
  readonly nodes: readonly LabNode[];

  private constructor(nodes: readonly LabNode[]) {
    this.nodes = nodes;
  }

  /** Makes the nodes and their links. One lab at a time in a room. */
  static raise({ bitsPerSec, lossShare }: LabOptions): Lab {
    assert(bitsPerSec.length <= NODES_MAX, 'the lab has addresses for its nodes');
    const nodes = bitsPerSec.map((rate, index) => ({
      name: `node${index}`,
      host: hostOf(index),
      bitsPerSec: rate,
      launcher: [NSENTER, `--net=/run/netns/node${index}`, '--'],
    }));
    mkdirSync('/run/netns', { recursive: true });
    passBridgedPackets();
    run(IP, ['link', 'add', 'hub', 'type', 'bridge', 'stp_state', '0', 'mcast_snooping', '0']);
    run(IP, ['link', 'set', 'hub', 'addrgenmode', 'none', 'up']);
    // Where packets are lost, each is lost alone.
    const together = lossShare > 0 ? 1 : PACKETS_TOGETHER;
    for (const index of nodes.keys()) plug(nodes, index, together);
    if (lossShare > 0) for (const node of nodes) loseSome(node, lossShare);
    const links = nodes.map((node, index) => `qdisc add dev port${index} ${shape(node)}`);
    run(TC, ['-batch', '-'], links);
    // No packet is flooded to all because the bridge has not met its node yet.
    const places = nodes.map((_, index) => `fdb add ${macOf(index)} dev port${index} master static`);
    run(BRIDGE, ['-batch', '-'], places);
    return new Lab(nodes);
  }

  /** What each node's link has carried towards it: bytes on the wire, Ethernet headers in. */
  receivedBytes(): number[] {
    const carried = new Map(shapes([]).map(({ dev, bytes }) => [dev, bytes]));
    return this.nodes.map((_, index) => carried.get(`port${index}`)!);
  }

  /** What one node's link has carried from it. */
  sentBytes(index: number): number {
    return shapes(['-netns', this.nodes[index]!.name])[0]!.bytes;
  }

  /** Removes it all, once the programs on its nodes have ended. */
  close(): void {
    run(IP, ['link', 'delete', 'hub']);
    run(
      IP,
      ['-batch', '-'],
      this.nodes.map((_, index) => `link delete port${index}`),
    );
    run(
      IP,
      ['-batch', '-'],
      this.nodes.map(({ name }) => `netns delete ${name}`),
    );
  }
}

/** Makes node `index` and plugs it into the hub. */
function plug(nodes: readonly LabNode[], index: number, together: number): void {
  const node = nodes[index]!;
  const port = `port${index}`;
  run(IP, ['netns', 'add', node.name]);
  run(
    IP,
    ['-batch', '-'],
    [
      `link add ${port} type veth peer name eth0 address ${macOf(index)} netns ${node.name}`,
      `link set ${port} master hub addrgenmode none gso_max_segs ${together} up`,
    ],
  );
  const neighbours = nodes.flatMap(({ host }, other) =>
    other === index ? [] : [`neigh add ${host} lladdr ${macOf(other)} dev eth0 nud permanent`],
  );
  run(
    IP,
    ['-netns', node.name, '-batch', '-'],
    [
      'link set lo up',
      `link set eth0 addrgenmode none gso_max_segs ${together} up`,
      `address add ${node.host}/16 broadcast + dev eth0 noprefixroute`,
      `route add 10.78.0.0/16 dev eth0 src ${node.host} congctl ${CONGESTION_CONTROL}`,
      'route add 224.0.0.0/4 dev eth0',
      ...neighbours,
    ],
  );
  run(TC, ['-netns', node.name, '-batch', '-'], [`qdisc add dev eth0 ${shape(node)}`]);
}

function shape({ bitsPerSec }: LabNode): string {
  return `root tbf rate ${bitsPerSec}bit burst ${BURST} limit ${QUEUE}`;
}

/** The shapers of a namespace with their own counters: a device counts packets that go together as one, with one header. */
function shapes(where: readonly string[]): { kind: string; dev: string; bytes: number }[] {
  const all = JSON.parse(run(TC, [...where, '-statistics', '-json', 'qdisc', 'show'])) as ReturnType<
    typeof shapes
  >;
  return all.filter(({ kind }) => kind === 'tbf');
}

/** Drops packets where they leave the link, after they have taken their share of its rate. */
function loseSome({ launcher }: LabNode, lossShare: number): void {
  const [command, ...args] = [...launcher, NFT, '-f', '-'];
  run(command!, args, [
    'table netdev lab {',
    '  chain loss {',
    '    type filter hook ingress device eth0 priority 0',
    `    numgen random mod 1000000 < ${Math.round(lossShare * 1e6)} drop`,
    '  }',
    '}',
  ]);
}

/** A machine with br_netfilter shows each bridged packet to its firewall, in new namespaces too; a switch does not. */
function passBridgedPackets(): void {
  for (const family of ['ip', 'ip6', 'arp']) {
    const setting = `/proc/sys/net/bridge/bridge-nf-call-${family}tables`;
    if (existsSync(setting)) writeFileSync(setting, '0');
  }
}

function hostOf(index: number): string {
  return `10.78.${1 + Math.floor(index / HOSTS_PER_BYTE)}.${1 + (index % HOSTS_PER_BYTE)}`;
}

/** A locally administered address that tells the node. */
function macOf(index: number): string {
  return `02:00:00:00:${[index >> 8, index & 255].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
}

function run(command: string, args: readonly string[], lines: readonly string[] | null = null): string {
  // Who reads nothing may end before it is written to.
  const input = lines === null ? {} : { input: `${lines.join('\n')}\n` };
  return execFileSync(command, args, { ...input, encoding: 'utf8' });
}
