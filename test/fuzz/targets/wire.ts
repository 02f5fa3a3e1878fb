// A conversation: framing, handshakes, messages and extensions through the real wire, with a listener that minds the order.

import { encode } from '../../../agent/core/bencode.ts';
import { BOUNDS } from '../../../agent/core/bounds.ts';
import type { PeerMessage, Subject, WireListener, WirePort } from '../../../agent/core/ports.ts';
import { BLOCK_BYTES, KIB, MIB } from '../../../agent/core/units.ts';
import { openWire } from '../../../agent/io/wire.ts';
import { drawn } from '../generate.ts';
import { bringAll, FakeLink, INFO_HASH, mannerOf, stream, streamSeeds, turns } from '../streams.ts';
import { must, type Target, type Verdict } from '../target.ts';

const INFO_BYTES = encode({ name: 'x', pieces: new Uint8Array(20_000) });
const SELF = { peerId: Buffer.alloc(20, 3), port: 7000, requestsMax: 300 };
/** What we may send to a peer that asks for whatever it likes. */
const WRITTEN_MAX = MIB;

const isWhole = (value: number) => Number.isInteger(value) && value >= 0 && value < 2 ** 32;

function checkSaid(said: PeerMessage): void {
  if ('piece' in said) must(isWhole(said.piece), 'a piece is a number of 32 bits');
  if ('begin' in said) must(isWhole(said.begin) && said.length >= 0, 'a stretch has its bounds');
  if (said.type === 'exchanged') {
    must(
      said.addresses.length <= BOUNDS.exchangedPeers &&
        said.addresses.every(({ port }) => port > 0 && port <= 65_535),
      'peers are told of within the limits',
    );
  }
  if (said.type === 'extended') {
    must(
      said.port >= 0 && said.port <= 65_535 && said.requestsMax >= 1,
      'a handshake has numbers in their bounds',
    );
  }
}

/** Minds that nothing comes in a wrong form, or after the end. */
function listenerOf(subject: Subject, wire: () => WirePort): WireListener {
  let over = false;
  const alive = () => must(!over, 'nothing comes after the end');
  return {
    asked: (infoHash) => {
      alive();
      return Buffer.compare(infoHash, INFO_HASH) === 0 ? subject : null;
    },
    ready: (peerId) => {
      alive();
      must(/^[0-9a-f]{40}$/.test(peerId), 'a peer id is hex');
      if (subject.infoBytes === null) wire().fetchInfo();
    },
    said: (said) => {
      alive();
      checkSaid(said);
    },
    accepts: (stretch) => stretch.piece % 2 === 0 && stretch.length <= BLOCK_BYTES,
    block: (stretch, bytes) => {
      alive();
      must(bytes.length === stretch.length, 'a block has its length');
    },
    info: (bytes) => must(bytes.length <= 10_000_000, 'an info dictionary has its limit'),
    closed: () => {
      alive();
      over = true;
    },
  };
}

async function judge(bytes: Uint8Array): Promise<Verdict> {
  const { outgoing, searching, chunks } = mannerOf(bytes);
  const subject: Subject = {
    infoHash: INFO_HASH,
    pieceCount: searching ? null : 9,
    infoBytes: searching ? null : INFO_BYTES,
    uploadOnly: false,
    exchanges: true,
  };
  const link = new FakeLink(outgoing);
  const wire: WirePort = openWire(
    link,
    SELF,
    outgoing ? subject : null,
    listenerOf(subject, () => wire),
  );
  await bringAll(link, chunks);
  await turns(2);
  const fault = link.closedFor;
  wire.close('the end of the test');
  await turns(2);
  must(link.writtenBytes <= WRITTEN_MAX, `few bytes of a peer have us send ${link.writtenBytes}`);
  return fault === null ? 'accepted' : 'refused';
}

export const wire = (): Target => ({
  seeds: streamSeeds(),
  words: [
    '\0\0\0\x01\x01',
    '\0\0\0\x0d\x06',
    'd1:md11:ut_metadatai1eee',
    'd8:msg_typei0e5:piecei0ee',
    'd5:added6:',
    '6:added618:',
    '5:piecei',
    'ee',
    '-12:',
    '\u00ff',
  ],
  build: drawn(stream),
  bytesMax: 64 * KIB,
  growthMiB: 8,
  judge,
});
