// What we use of bittorrent-protocol and ut_metadata, which come without types.

declare module 'bittorrent-protocol' {
  import type { EventEmitter } from 'node:events';

  export interface Extension {
    onMessage(bytes: Uint8Array): void;
  }

  /** A codec: bytes of the peer go in by `write`, our bytes come out by `read`. Its timers stay off. */
  // biome-ignore lint/style/noDefaultExport: that is how the package exports it
  export default class Wire extends EventEmitter {
    amChoking: boolean;
    extendedHandshake: Record<string, unknown>;
    /** Ours: names of extensions by the numbers under which we take them. */
    readonly extendedMapping: Readonly<Record<string, string>>;
    readonly peerExtensions: { readonly extended: boolean };
    hasFast: boolean;
    readonly ut_metadata: Extension &
      EventEmitter & { fetch(): void; setMetadata(metadata: Uint8Array): Promise<boolean> };
    write(bytes: Uint8Array): boolean;
    read(): Uint8Array | null;
    destroy(): void;
    use(extension: new (wire: Wire) => Extension): void;
    handshake(infoHash: Uint8Array, peerId: Uint8Array, extensions: { dht: boolean; fast: boolean }): void;
    choke(): void;
    unchoke(): void;
    interested(): void;
    uninterested(): void;
    haveAll(): void;
    haveNone(): void;
    bitfield(bytes: Uint8Array): void;
    cancel(piece: number, begin: number, length: number): void;
    reject(piece: number, begin: number, length: number): void;
    keepAlive(): void;
    /** 0: the handshake of BEP 10; a name: an extension that the peer offers, and throws when it does not. */
    extended(extension: number | string, message: Record<string, unknown> | Uint8Array): void;
  }
}

declare module 'ut_metadata' {
  import type Wire from 'bittorrent-protocol';
  import type { Extension } from 'bittorrent-protocol';

  // biome-ignore lint/style/noDefaultExport: that is how the package exports it
  export default function utMetadata(metadata?: Uint8Array): new (wire: Wire) => Extension;
}
