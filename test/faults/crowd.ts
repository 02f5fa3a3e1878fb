// What rogues do that have no content: crowds of connections, storms of announces, ids of others.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PeerAddress } from '../../agent/core/tracker.ts';
import type { Ms } from '../../agent/core/units.ts';
import { ID, RawPeer } from '../rawpeer.ts';
import { PEER_PORT, TRACKER_PORT } from './ports.ts';

const CONNECTIONS = 1000;
const AGAIN_MS: Ms = 1000;
const DRIP_MS: Ms = 1000;
const ANNOUNCES = 3;
const ANSWER_MS: Ms = 10_000;
const NOBODY = { after: () => {} };
/** What half of a request or of a handshake looks like. */
const HALVES = ['', 'GET / HTTP/1.1\r\nHost: ', '\x13BitTorrent pro'];

/** Keeps a thousand connections to each place: some say nothing, some half a header, some a byte a second. */
export function crowd(places: readonly PeerAddress[]): void {
  for (const place of places) for (let at = 0; at < CONNECTIONS; at++) void sit(place, at);
}

async function sit({ host, port }: PeerAddress, at: number): Promise<never> {
  for (;;) {
    const socket = connect({ host, port });
    socket.on('error', () => {});
    socket.on('connect', () => socket.write(HALVES[at % HALVES.length]!, 'latin1'));
    socket.resume();
    const drip = setInterval(() => {
      if (at % 10 === 1 && socket.writable) socket.write('x');
    }, DRIP_MS);
    await once(socket, 'close').catch(() => {});
    clearInterval(drip);
    await sleep(AGAIN_MS);
  }
}

/** Announces from each own address, all at once, and says how long the answers took. */
export async function storm(server: string, infoHash: Uint8Array): Promise<void> {
  const own = Object.values(networkInterfaces()).flat();
  const addresses = own.flatMap((entry) =>
    entry?.family === 'IPv4' && !entry.internal ? [entry.address] : [],
  );
  const escaped = (bytes: Uint8Array) =>
    [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  const announce = async (localAddress: string): Promise<Ms | null> => {
    const id = escaped(randomBytes(20));
    const path = `/announce?info_hash=${escaped(infoHash)}&peer_id=${id}&port=${PEER_PORT}&uploaded=0&downloaded=0&left=1&compact=1&event=started`;
    const since = performance.now();
    const asked = request({ host: server, port: TRACKER_PORT, path, localAddress, timeout: ANSWER_MS });
    asked.end();
    try {
      const [response] = await once(asked, 'response');
      response.resume();
      await once(response, 'end');
      return response.statusCode === 200 ? performance.now() - since : null;
    } catch {
      return null;
    }
  };
  const times = await Promise.all(
    addresses.flatMap((address) => Array.from({ length: ANNOUNCES }, () => announce(address))),
  );
  const answered = times.flatMap((time) => time ?? []).sort((left, right) => left - right);
  const p99Ms = answered[Math.floor(0.99 * (answered.length - 1))] ?? 0;
  const facts = { answered: answered.length, lost: times.length - answered.length, p99Ms };
  process.stdout.write(`${JSON.stringify(facts)}\n`);
  setInterval(() => {}, ANSWER_MS);
}

/** Asks the first for its id, and calls all others by it; stays, and calls again whoever hangs up. */
export async function copyIds(victims: readonly string[], port: number, infoHash: Uint8Array): Promise<void> {
  const [copied, ...others] = victims;
  const peerId = await idOf(copied!, port, infoHash);
  for (const host of others)
    void (async () => {
      for (;;) {
        const peer = await RawPeer.call(NOBODY, port, host).catch(() => null);
        peer?.greet(infoHash, { peerId });
        peer?.say(ID.haveNone);
        await peer?.closed;
        await sleep(AGAIN_MS);
      }
    })();
}

/** The id is in the last 20 bytes of the handshake. */
async function idOf(host: string, port: number, infoHash: Uint8Array): Promise<Buffer> {
  for (;;) {
    const peer = await RawPeer.call(NOBODY, port, host).catch(() => null);
    if (peer !== null) {
      const heard: Buffer[] = [];
      peer.socket.on('data', (chunk: Buffer) => heard.push(chunk));
      peer.greet(infoHash);
      while (Buffer.concat(heard).length < 68 && !peer.socket.destroyed) await sleep(10);
      const handshake = Buffer.concat(heard);
      peer.socket.destroy();
      if (handshake.length >= 68) return handshake.subarray(48, 68);
    }
    await sleep(100);
  }
}
