// A BitTorrent conversation: core/framing splits the stream, blocks and requests take the short way, and everything
// else is the work of bittorrent-protocol's Wire with ut_metadata (BEP 3, 6, 9, 10, 21). The Wire never sees a block:
// it has no limit on lengths and writes each block by itself, at ten times the cost.

import Wire from 'bittorrent-protocol';
import utMetadata from 'ut_metadata';
import type { Bitfield } from '../core/bitfield.ts';
import { BOUNDS } from '../core/bounds.ts';
import type { Stretch } from '../core/events.ts';
import { EXCHANGE, screenExtension } from '../core/extension.ts';
import { Framer, haveMessage, MESSAGE, pieceOfHave, requestMessages } from '../core/framing.ts';
import { readExchange, writeExchange } from '../core/pex.ts';
import type { Link, PeerMessage, Self, Subject, WireListener, WireMessage, WirePort } from '../core/ports.ts';
import { hex, KIB } from '../core/units.ts';

/** Requests that a peer without `reqq` surely queues (the common default of the field). */
const REQUESTS_MAX_DEFAULT = 250;
const CLIENT_NAME = 'Swarmboot';
/** Metadata messages of one peer: a few for each piece of the info dictionary, and some for a small one. */
const METADATA_SPARE = 16;
/** BEP 9. */
const METADATA_PIECE_BYTES = 16 * KIB;
/** BEP 11. */
const EXCHANGE_NAME = 'ut_pex';

/** Has the Wire offer peer exchange; what comes of it is read here. */
class ExchangeOffer {
  readonly #wire: Wire;
  constructor(wire: Wire) {
    this.#wire = wire;
  }
  get name(): string {
    return EXCHANGE_NAME;
  }
  onMessage(payload: Uint8Array): void {
    this.#wire.emit(EXCHANGE_NAME, payload);
  }
}

/** Begins the conversation on `link`: speaks first when `subject` is given, else waits to be asked. */
export function openWire(link: Link, self: Self, subject: Subject | null, listener: WireListener): WirePort {
  return new Conversation(link, self, subject, listener);
}

class Conversation implements WirePort {
  readonly #link: Link;
  readonly #self: Self;
  readonly #listener: WireListener;
  readonly #wire = new Wire();
  readonly #framer: Framer;
  #subject: Subject | null;
  #outbox: Uint8Array[] = [];
  #closed = false;
  #fieldTold = false;
  #handshakes = 0;
  #metadataMessages = 0;

  constructor(link: Link, self: Self, subject: Subject | null, listener: WireListener) {
    this.#link = link;
    this.#self = self;
    this.#listener = listener;
    this.#subject = subject;
    this.#framer = new Framer({
      handshake: (bytes) => this.#handshake(bytes),
      requested: ({ piece, begin, length }) => {
        if (!this.#closed) this.#listener.said({ type: 'requested', piece, begin, length });
      },
      message: (id, bytes) => this.#message(id, bytes),
      accepts: (stretch) => this.#listener.accepts(stretch),
      block: (stretch, bytes) => this.#listener.block(stretch, bytes),
      unwanted: (stretch) => this.#listener.said({ type: 'blockUnwanted', ...stretch }),
    });
    this.#listen();
    if (subject !== null) this.#greet(subject);
    link.open({
      data: (chunk) => {
        if (this.#closed) return;
        const fault = this.#framer.take(chunk);
        if (fault !== null) this.close(fault);
      },
      closed: (reason) => {
        this.#closed = true;
        this.#wire.destroy();
        listener.closed(reason);
      },
    });
    this.flush();
  }

  send(message: WireMessage): void {
    const wire = this.#wire;
    switch (message.type) {
      case 'have':
        this.#drain();
        return void this.#outbox.push(haveMessage(message.piece));
      case 'cancel':
        return wire.cancel(message.piece, message.begin, message.length);
      case 'reject':
        return wire.reject(message.piece, message.begin, message.length);
      case 'uploadOnly':
        return this.#nowUploadOnly();
      case 'exchange':
        return wire.extended(EXCHANGE_NAME, writeExchange(message.added, message.dropped));
      default:
        return wire[message.type]();
    }
  }

  /** The handshake of BEP 10 once more, whole: some peers forget what a later one does not repeat. */
  #nowUploadOnly(): void {
    const wire = this.#wire;
    if (!wire.peerExtensions.extended) return;
    wire.extendedHandshake.upload_only = 1;
    const offered = Object.entries(wire.extendedMapping).map(([id, name]) => [name, Number(id)]);
    wire.extended(0, { ...wire.extendedHandshake, m: Object.fromEntries(offered) });
  }

  sendField(field: Bitfield): void {
    if (this.#wire.hasFast && field.isFull) this.#wire.haveAll();
    else if (this.#wire.hasFast && field.count === 0) this.#wire.haveNone();
    else if (field.count > 0) this.#wire.bitfield(field.bytes.slice());
  }

  request(stretch: Stretch): void {
    this.#drain();
    this.#outbox.push(requestMessages(stretch));
  }

  serve(bytes: Uint8Array, done: () => void): void {
    this.flush();
    this.#link.write(bytes, done);
  }

  fetchInfo(): void {
    this.#wire.ut_metadata.fetch();
    this.flush();
  }

  flush(): void {
    this.#drain();
    const [first] = this.#outbox;
    if (first === undefined || this.#closed) return;
    this.#link.write(this.#outbox.length === 1 ? first : Buffer.concat(this.#outbox));
    this.#outbox = [];
  }

  close(reason: string): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#link.close(reason);
  }

  /** Moves what the Wire has to say into the outbox, so that our own messages stand behind it, on a boundary. */
  #drain(): void {
    for (let bytes = this.#wire.read(); bytes !== null; bytes = this.#wire.read()) this.#outbox.push(bytes);
  }

  #greet(subject: Subject): void {
    const wire = this.#wire;
    this.#framer.pieceCount = subject.pieceCount;
    wire.extendedHandshake = {
      v: CLIENT_NAME,
      p: this.#self.port,
      reqq: this.#self.requestsMax,
      upload_only: subject.uploadOnly ? 1 : 0,
    };
    wire.use(utMetadata(subject.infoBytes ?? undefined));
    if (subject.exchanges) wire.use(ExchangeOffer);
    const extension = wire.ut_metadata;
    // It throws when the peer asks without having said how it is to be answered.
    const onMessage = extension.onMessage.bind(extension);
    extension.onMessage = (bytes) => {
      try {
        onMessage(bytes);
      } catch {
        this.close('sent a metadata message that makes no sense');
      }
    };
    // It would decode and encode what nobody has believed yet.
    if (subject.infoBytes === null) {
      extension.setMetadata = (metadata) => {
        this.#listener.info(metadata);
        return Promise.resolve(true);
      };
    }
    wire.handshake(subject.infoHash, this.#self.peerId, { dht: false, fast: true });
  }

  #handshake(bytes: Uint8Array): void {
    const infoHash = bytes.slice(28, 48);
    if (this.#subject === null) {
      this.#subject = this.#listener.asked(infoHash);
      if (this.#subject === null) return this.close('asked for a torrent that is not served here');
      this.#greet(this.#subject);
    } else if (hex(this.#subject.infoHash) !== hex(infoHash)) {
      return this.close('answered for another torrent');
    }
    this.#wire.write(bytes.slice());
  }

  /** A single-meaning message is told at once; what needs understanding goes through the Wire. */
  #message(id: number, bytes: Uint8Array): void {
    if (this.#closed) return;
    // By far the most messages. Until the Wire has told of the field they take its way, to stay behind it.
    const had = this.#fieldTold && id === MESSAGE.have ? pieceOfHave(bytes) : null;
    if (had !== null) this.#listener.said({ type: 'had', piece: had });
    else if (id === -1 || id === MESSAGE.port) this.#listener.said({ type: 'heard' });
    else if (id === MESSAGE.extended) this.#extension(bytes);
    else if (id < MESSAGE.extended) this.#wire.write(bytes.slice());
  }

  #extension(bytes: Uint8Array): void {
    // The Wire does not look into it, but keeps it behind what was said before.
    const payload = bytes[5] === EXCHANGE ? bytes.subarray(6) : screenExtension(bytes[5]!, bytes.subarray(6));
    if (payload === null || !this.#goesOn(bytes[5]!)) {
      if (!this.#closed) this.#listener.said({ type: 'heard' });
      return;
    }
    const message = Buffer.alloc(6 + payload.length);
    message.writeUInt32BE(2 + payload.length);
    message.set(bytes.subarray(4, 6), 4);
    message.set(payload, 6);
    this.#wire.write(message);
  }

  /** A few bytes of a peer may have us send kilobytes: not for ever. False: the message is passed over. */
  #goesOn(id: number): boolean {
    if (id === EXCHANGE) return this.#subject?.exchanges === true;
    const size = this.#subject?.infoBytes?.length ?? null;
    // While we search, every handshake would have us ask for the whole dictionary.
    if (id === 0) return this.#handshakes++ === 0 || size !== null;
    const pieces = size === null ? BOUNDS.metadataPieces : Math.ceil(size / METADATA_PIECE_BYTES);
    if (++this.#metadataMessages > BOUNDS.metadataRounds * pieces + METADATA_SPARE)
      this.close('sends metadata messages over and over');
    return !this.#closed;
  }

  #listen(): void {
    const wire = this.#wire;
    const said = (message: PeerMessage) => {
      if (!this.#closed) this.#listener.said(message);
    };
    const tell = (type: 'cancelled' | 'rejected') => (piece: number, begin: number, length: number) =>
      // The Wire reads 32 bits with a sign.
      said({ type, piece: piece >>> 0, begin: begin >>> 0, length: length >>> 0 });
    wire.on('readable', () => this.flush());
    wire.on('error', () => this.close('sent what the protocol library cannot take'));
    wire.on('close', () => this.close('broke the protocol'));
    wire.on('handshake', (_infoHash: string, peerId: string) => this.#listener.ready(peerId, wire.hasFast));
    wire.on('choke', () => said({ type: 'choked' }));
    wire.on('unchoke', () => said({ type: 'unchoked' }));
    wire.on('interested', () => said({ type: 'interested' }));
    wire.on('uninterested', () => said({ type: 'uninterested' }));
    wire.on('bitfield', (field: { buffer: Uint8Array }) =>
      hasField({ type: 'fieldArrived', bytes: field.buffer }),
    );
    const hasField = (message: PeerMessage) => {
      this.#fieldTold = true;
      said(message);
    };
    wire.on('have', (piece: number) => hasField({ type: 'had', piece: piece >>> 0 }));
    wire.on('have-all', () => hasField({ type: 'hadAll' }));
    wire.on('have-none', () => {
      this.#fieldTold = true;
    });
    wire.on('cancel', tell('cancelled'));
    wire.on('reject', tell('rejected'));
    wire.on(EXCHANGE_NAME, (payload: Uint8Array) => {
      const addresses = readExchange(payload);
      said(addresses === null ? { type: 'heard' } : { type: 'exchanged', addresses });
    });
    wire.on('extended', (kind: string | number, message: Record<string, unknown>) => {
      if (kind !== 'handshake') return;
      said(extendedOf(message, this.#subject?.exchanges === true));
      if (this.#subject?.infoBytes === null && !isCount(message.metadata_size))
        this.close('has no metadata to give');
    });
  }
}

function extendedOf(handshake: Record<string, unknown>, mayExchange: boolean): PeerMessage {
  const { upload_only: uploadOnly, reqq, p, m } = handshake;
  const offers = typeof m === 'object' && m !== null && EXCHANGE_NAME in m ? m[EXCHANGE_NAME] : 0;
  return {
    type: 'extended',
    uploadOnly: uploadOnly === 1,
    requestsMax: isCount(reqq) ? Math.max(1, Math.min(reqq, 2000)) : REQUESTS_MAX_DEFAULT,
    exchanges: mayExchange && isCount(offers) && offers > 0,
    port: isCount(p) && p <= 65_535 ? p : 0,
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}
