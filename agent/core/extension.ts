// What of a peer's extension messages (BEP 10) goes on to the protocol library. Its decoder trusts what it reads: a
// string of negative length makes it run for ever, a map with the wrong values makes it throw. So everything is read
// strictly here first, and it gets only what it needs. Decides what is safe, not what it means.

import { type BencodeDict, BencodeError, decode, encode, expectKind } from './bencode.ts';
import { BOUNDS } from './bounds.ts';

/** Extension message 0 is the handshake; then come the two that we offer, in this order. */
const HANDSHAKE = 0;
const METADATA = 1;
/** ut_pex (BEP 11), which pex.ts reads, for the library does not know it. */
export const EXCHANGE = 2;
const OFFERED = ['ut_metadata', 'ut_pex'];
const HANDSHAKE_NUMBERS = ['metadata_size', 'p', 'reqq', 'upload_only'];

/**
 * A safe spelling of the extension message `id` with this payload; null when it has no meaning here, as a correct peer
 * may have sent it (an unknown extension) or not (garbage).
 */
export function screenExtension(id: number, payload: Uint8Array): Uint8Array | null {
  try {
    if (id === HANDSHAKE) return screenHandshake(payload);
    return id === METADATA ? screenMetadata(payload) : null;
  } catch (error) {
    if (error instanceof BencodeError) return null;
    throw error;
  }
}

/** The handshake again, with nothing but the numbers that we know (BEP 9, 10, 21). */
function screenHandshake(payload: Uint8Array): Uint8Array {
  const dict = expectKind(decode(payload, { unsortedKeys: true }), 'dict', 'the handshake');
  const map = dict.entries.get('m');
  const offers = map?.kind === 'dict' ? numbersIn(map, OFFERED, 255) : {};
  return encode({ ...numbersIn(dict, HANDSHAKE_NUMBERS, 2 ** 31), m: offers });
}

/**
 * BEP 9: a dictionary, then perhaps bytes. The dictionary again, with nothing but the numbers that we know: the library
 * reads it as UTF-8 text first, and what is none changes its length on the way.
 */
function screenMetadata(payload: Uint8Array): Uint8Array | null {
  let end = 0;
  while (end < payload.length && !(payload[end] === 0x65 && payload[end + 1] === 0x65)) end++;
  const dict = expectKind(
    decode(payload.subarray(0, end + 2), { unsortedKeys: true }),
    'dict',
    'the message',
  );
  const kind = numberIn(dict, 'msg_type', 255);
  const piece = numberIn(dict, 'piece', BOUNDS.metadataPieces - 1);
  const size = numberIn(dict, 'total_size', 2 ** 31);
  if (kind === null || piece === null) return null;
  const head = encode({ msg_type: kind, piece, ...(size === null ? {} : { total_size: size }) });
  const rest = payload.subarray(end + 2);
  const message = new Uint8Array(head.length + rest.length);
  message.set(head);
  message.set(rest, head.length);
  return message;
}

/** Those of the numbers that are there. */
function numbersIn(dict: BencodeDict, names: readonly string[], max: number): Record<string, number> {
  const found: Record<string, number> = {};
  for (const name of names) {
    const value = numberIn(dict, name, max);
    if (value !== null) found[name] = value;
  }
  return found;
}

function numberIn(dict: BencodeDict, name: string, max: number): number | null {
  const node = dict.entries.get(name);
  if (node?.kind !== 'integer' || node.value < 0n || node.value > BigInt(max)) return null;
  return Number(node.value);
}
