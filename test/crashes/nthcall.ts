// Loaded before the agent (node --import): makes one call of node:fs or of a socket fail, the one that NTH_CALL names as
// `NUMBER CODE`, and writes how many there were, and which one failed, to the file NTH_REPORT when the process ends.

import dgram from 'node:dgram';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

const [number, code] = (process.env.NTH_CALL ?? '0 EIO').split(' ');
const nth = Number(number);
const report = process.env.NTH_REPORT;
const { writeFileSync } = fs;
let count = 0;
let failed = '';

type Call = (...args: unknown[]) => unknown;

/** The error, when this call is the one. */
function fault(what: string): Error | null {
  if (++count !== nth) return null;
  failed = what;
  return Object.assign(new Error(`${code}: injected, ${what}`), { code, syscall: what, errno: -5 });
}

/** Node reads its modules with the same functions: they are not the agent's. */
function isLoading(): boolean {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 200;
  const { stack = '' } = new Error('where from');
  Error.stackTraceLimit = stackTraceLimit;
  return /node:internal\/modules/.test(stack);
}

/** Puts `wrap` of a function in its place, with what else hangs on it: `promisify` looks there. */
function replace(table: object, name: string, wrap: (call: Call) => Call): void {
  const call: Call | undefined = Reflect.get(table, name);
  if (call === undefined) throw new Error(`node has no ${name}`);
  const wrapped = wrap(call);
  for (const key of Reflect.ownKeys(call)) {
    const property = Object.getOwnPropertyDescriptor(call, key)!;
    if (key !== 'prototype') Object.defineProperty(wrapped, key, { ...property, configurable: true });
  }
  Reflect.set(table, name, wrapped);
}

const SYNC =
  'openSync readSync readvSync writeSync fsyncSync ftruncateSync fchmodSync futimesSync fstatSync lstatSync statSync statfsSync readFileSync readdirSync readlinkSync realpathSync mkdirSync renameSync rmSync symlinkSync chmodSync utimesSync accessSync';
const CALLBACK = 'read write fsync';
const PROMISE = 'mkdtemp rm readFile writeFile rename mkdir open';

function patchFiles(): void {
  for (const name of SYNC.split(' ')) {
    replace(
      fs,
      name,
      (call) =>
        function sync(this: unknown, ...args: unknown[]) {
          const error = isLoading() ? null : fault(name);
          if (error !== null) throw error;
          return call.apply(this, args);
        },
    );
  }
  for (const name of CALLBACK.split(' ')) {
    replace(
      fs,
      name,
      (call) =>
        function later(this: unknown, ...args: unknown[]) {
          const error = isLoading() ? null : fault(name);
          if (error === null) return call.apply(this, args);
          process.nextTick(args.at(-1) as Call, error);
        },
    );
  }
  for (const name of PROMISE.split(' ')) {
    replace(
      fs.promises,
      name,
      (call) =>
        async function promised(this: unknown, ...args: unknown[]) {
          const error = isLoading() ? null : fault(`promises.${name}`);
          if (error !== null) throw error;
          return call.apply(this, args);
        },
    );
  }
}

function patchSockets(): void {
  const socket = net.Socket.prototype;
  replace(
    socket,
    'connect',
    (call) =>
      function connect(this: net.Socket, ...args: unknown[]) {
        const error = fault('connect');
        if (error === null) return call.apply(this, args);
        process.nextTick(() => this.destroy(error));
        return this;
      },
  );
  for (const name of ['_write', '_writev']) {
    replace(
      socket,
      name,
      (call) =>
        function write(this: net.Socket, ...args: unknown[]) {
          // The console is a socket too, when it is a pipe; it has no address.
          const error = this.remoteAddress === undefined ? null : fault('send');
          if (error === null) return call.apply(this, args);
          process.nextTick(args.at(-1) as Call, error);
        },
    );
  }
  replace(
    net.Server.prototype,
    'listen',
    (call) =>
      function listen(this: net.Server, ...args: unknown[]) {
        const error = fault('listen');
        if (error === null) return call.apply(this, args);
        process.nextTick(() => this.emit('error', error));
        return this;
      },
  );
  replace(
    dgram.Socket.prototype,
    'send',
    (call) =>
      function send(this: dgram.Socket, ...args: unknown[]) {
        const error = fault('send of a datagram');
        if (error === null) return call.apply(this, args);
        const done = args.at(-1);
        process.nextTick(
          typeof done === 'function' ? (done as Call) : () => this.emit('error', error),
          error,
        );
      },
  );
}

patchFiles();
patchSockets();
syncBuiltinESMExports();
process.on('exit', () => {
  if (report !== undefined) writeFileSync(report, JSON.stringify({ count, failed }));
});
