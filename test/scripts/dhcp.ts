// What a real dnsmasq answers to machines that boot over the network: a server and a client, each in a network namespace of
// its own with a cable between them. Started by `dhcpAnswers`, this file is the program on either side.

import { execFileSync, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SELF = fileURLToPath(import.meta.url);
const [SERVER, CLIENT] = ['10.9.0.1', '10.9.0.99'];
const IP = '/usr/sbin/ip';
/** The server's interface while `dhcpAnswers` runs. */
export const INTERFACE = 'br0';

/** Who asks. */
export interface Asker {
  readonly name: string;
  readonly mac: string;
  readonly vendorClass: string;
  /** DHCP option 93; null: it does not say. */
  readonly arch: number | null;
  /** It says that it is iPXE. */
  readonly ipxe: boolean;
  /** 67: a broadcast DISCOVER; 4011: a REQUEST to the boot server, as UEFI sends it after a proxy's offer. */
  readonly port: 67 | 4011;
}

export interface Answer {
  readonly name: string;
  /** `yiaddr`: empty when no address is given. */
  readonly address: string;
  readonly nextServer: string;
  readonly file: string;
  readonly vendorClass: string;
  readonly hostName: string;
}

/** Runs `configure` (a command that writes `conf`) on the server's side, then dnsmasq, and asks it. */
export async function dhcpAnswers(
  configure: readonly string[],
  conf: string,
  askers: readonly Asker[],
): Promise<readonly Answer[]> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const asRoot = process.getuid!() === 0 ? [] : ['--map-current-user', '--keep-caps'];
  const words = ['--net', process.execPath, SELF, 'server', JSON.stringify({ configure, conf, askers })];
  const child = spawn('/usr/bin/unshare', [...asRoot, ...words], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  const [status] = await once(child, 'close');
  if (status !== 0) throw new Error(`the server's side ended with ${status}: ${text}`);
  return JSON.parse(text);
}

interface Job {
  readonly configure: readonly string[];
  readonly conf: string;
  readonly askers: readonly Asker[];
}

async function serverSide({ configure, conf, askers }: Job): Promise<void> {
  const ip = (...words: string[]) => execFileSync(IP, words);
  ip('link', 'set', 'lo', 'up');
  ip('link', 'add', INTERFACE, 'type', 'veth', 'peer', 'name', 'c0');
  ip('address', 'add', `${SERVER}/24`, 'dev', INTERFACE);
  ip('address', 'add', 'fd09::1/64', 'dev', INTERFACE, 'nodad');
  for (const end of [INTERFACE, 'c0']) ip('link', 'set', end, 'up');
  execFileSync(configure[0]!, configure.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] });
  const client = spawn(
    '/usr/bin/unshare',
    ['--net', process.execPath, SELF, 'client', JSON.stringify(askers)],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  await once(client.stdout, 'data');
  ip('link', 'set', 'c0', 'netns', String(client.pid));
  const options = [
    '--keep-in-foreground',
    '--log-facility=-',
    '--user=root',
    '--group=root',
    '--leasefile-ro',
    '--no-ping',
  ];
  const dnsmasq = spawn('/usr/sbin/dnsmasq', [...options, '--pid-file', '-C', conf], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  dnsmasq.stderr.on('data', (chunk) => {
    said += chunk;
    if (/TFTP root/.test(said)) client.stdin.end('go');
  });
  dnsmasq.once('exit', (status) => {
    if (status === null) return;
    process.stderr.write(said);
    client.kill();
  });
  client.stdout.pipe(process.stdout);
  const [status] = await once(client, 'close');
  dnsmasq.kill('SIGKILL');
  process.exitCode = status ?? 1;
}

async function clientSide(askers: readonly Asker[]): Promise<void> {
  process.stdout.write('\n');
  for await (const _ of process.stdin);
  for (const words of [
    `address add ${CLIENT}/24 dev c0`,
    'link set c0 up',
    'link set lo up',
    'route add 255.255.255.255 dev c0',
  ]) {
    execFileSync(IP, words.split(' '));
  }
  const socket = createSocket('udp4');
  socket.bind(68, '0.0.0.0');
  await once(socket, 'listening');
  socket.setBroadcast(true);
  const answers: Answer[] = [];
  for (const [index, asker] of askers.entries()) answers.push(await ask(socket, asker, index + 1));
  process.stdout.write(JSON.stringify(answers));
  socket.close();
}

/** Asks until there is an answer: the cable may not be up yet. */
async function ask(socket: Socket, asker: Asker, id: number): Promise<Answer> {
  const packet = packetOf(asker, id);
  const send = () => socket.send(packet, asker.port, asker.port === 67 ? '255.255.255.255' : SERVER);
  send();
  const again = setInterval(send, 300);
  try {
    for (;;) {
      const [bytes] = (await once(socket, 'message', { signal: AbortSignal.timeout(5000) })) as [Buffer];
      if (bytes.readUInt32BE(4) === id) return readAnswer(asker.name, bytes);
    }
  } catch {
    return {
      name: asker.name,
      address: '',
      nextServer: '',
      file: 'no answer',
      vendorClass: '',
      hostName: '',
    };
  } finally {
    clearInterval(again);
  }
}

function packetOf({ mac, vendorClass, arch, ipxe, port }: Asker, id: number): Buffer {
  const head = Buffer.alloc(236);
  head.set([1, 1, 6, 0]);
  head.writeUInt32BE(id, 4);
  if (port === 67) head.writeUInt16BE(0x8000, 10);
  else head.set(CLIENT!.split('.').map(Number), 12);
  head.set(Buffer.from(mac.replaceAll(':', ''), 'hex'), 28);
  const option = (code: number, value: Uint8Array) => Buffer.from([code, value.length, ...value]);
  return Buffer.concat([
    head,
    Buffer.from([99, 130, 83, 99]),
    option(53, Buffer.from([port === 67 ? 1 : 3])),
    option(60, Buffer.from(vendorClass)),
    option(55, Buffer.from([1, 3, 12, 43, 60, 66, 67])),
    option(97, Buffer.alloc(17, 7)),
    // BIOS firmware chooses from the proxy's menu, which has one item.
    ...(port === 67 || arch !== 0 ? [] : [option(43, Buffer.from([71, 4, 0x80, 0, 0, 0, 255]))]),
    ...(arch === null ? [] : [option(93, Buffer.from([0, arch]))]),
    ...(ipxe ? [option(77, Buffer.from('iPXE')), option(175, Buffer.from([0x12, 1, 1]))] : []),
    Buffer.from([255]),
  ]);
}

function readAnswer(name: string, bytes: Buffer): Answer {
  const options = new Map<number, string>();
  for (let at = 240; at < bytes.length && bytes[at] !== 255; ) {
    const length = bytes[at] === 0 ? -1 : bytes[at + 1]!;
    options.set(bytes[at]!, bytes.toString('latin1', at + 2, at + 2 + length));
    at += 2 + length;
  }
  const address = (at: number) =>
    bytes
      .subarray(at, at + 4)
      .join('.')
      .replace('0.0.0.0', '');
  const field = bytes.toString('latin1', 108, 236).replace(/\0.*$/s, '');
  const text = (code: number) => (options.get(code) ?? '').replace(/\0$/, '');
  return {
    name,
    address: address(16),
    nextServer: address(20),
    file: text(67) || field,
    vendorClass: text(60),
    hostName: text(12),
  };
}

const [, , side, job] = process.argv;
if (process.argv[1] === SELF)
  await (side === 'server' ? serverSide(JSON.parse(job!)) : clientSide(JSON.parse(job!)));
