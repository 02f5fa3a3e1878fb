// The datagrams of local discovery (BEP 14): hears the group and sends to it on every network that peers can come from. What
// they say is core/discovery's. IPv4 only, and never beyond the segment: the time to live is 1.

import { createSocket, type Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { DISCOVERY_GROUP } from '../core/discovery.ts';
import type { DiscoveryPort } from '../core/ports.ts';

const { host: GROUP, port: PORT } = DISCOVERY_GROUP;
const EVERYWHERE: ReadonlySet<string> = new Set(['::', '0.0.0.0']);

export class LocalDiscovery implements DiscoveryPort {
  readonly #host: string;
  #ear: Socket | null = null;
  /** One for each address of this machine, so that what is sent from it goes out there. */
  readonly #mouths = new Map<string, Socket>();
  /** The ear hears. */
  #hears = false;
  /** What came last to be said before it did. */
  #waiting: Uint8Array | null = null;
  #failed: (error: unknown) => void = () => {};

  /** @param host the address on which we listen for peers, or `::` for all */
  constructor(host: string) {
    this.#host = host;
  }

  open(heard: (datagram: Uint8Array, host: string) => void, failed: (error: unknown) => void): void {
    this.#failed = failed;
    // Others of this machine hear the same group.
    const ear = createSocket({ type: 'udp4', reuseAddr: true });
    this.#ear = ear;
    ear.on('message', (datagram, { address }) => heard(datagram, address));
    ear.on('error', failed);
    // Bound to the group, it hears nothing that was sent to this machine alone.
    ear.bind(PORT, GROUP, () => {
      this.#hears = true;
      this.#meetNetworks();
      if (this.#waiting !== null) this.say(this.#waiting);
    });
  }

  say(datagram: Uint8Array): void {
    // A socket that joins the group before it is bound would be bound elsewhere.
    if (!this.#hears) {
      this.#waiting = datagram;
      return;
    }
    // Addresses come and go.
    this.#meetNetworks();
    for (const mouth of this.#mouths.values()) mouth.send(datagram, PORT, GROUP);
  }

  close(): void {
    this.#hears = false;
    this.#ear?.close();
    for (const mouth of this.#mouths.values()) mouth.close();
    this.#ear = null;
    this.#mouths.clear();
  }

  #meetNetworks(): void {
    const addresses = this.#addresses();
    for (const [address, mouth] of this.#mouths) {
      if (addresses.includes(address)) continue;
      mouth.close();
      this.#mouths.delete(address);
    }
    for (const address of addresses) if (!this.#mouths.has(address)) this.#meet(address);
  }

  #meet(address: string): void {
    try {
      this.#ear?.addMembership(GROUP, address);
    } catch (error) {
      // An address that went and came again is a member still; any other fault is told, and the rest goes on.
      this.#failed(error);
    }
    const mouth = createSocket('udp4');
    this.#mouths.set(address, mouth);
    mouth.on('error', (error) => {
      this.#failed(error);
      if (this.#mouths.delete(address)) mouth.close();
    });
    mouth.bind({ address, port: 0 }, () => mouth.setMulticastInterface(address));
  }

  #addresses(): string[] {
    if (!EVERYWHERE.has(this.#host)) return this.#host.includes(':') ? [] : [this.#host];
    try {
      const all = Object.values(networkInterfaces()).flatMap((found) => found ?? []);
      return all
        .filter(({ family, internal }) => family === 'IPv4' && !internal)
        .map(({ address }) => address);
    } catch (error) {
      // A service may be denied the sockets by which the kernel tells.
      this.#failed(error);
      return [];
    }
  }
}
