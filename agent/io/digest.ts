// The digests that the core asks for, by node:crypto.

import { hash } from 'node:crypto';
import type { Hashes } from '../core/torrent.ts';

export const digests: Hashes = {
  sha1: (data) => hash('sha1', data, 'buffer'),
  sha256: (data) => hash('sha256', data, 'buffer'),
  // A latin1 string costs less than a fresh Buffer.
  sha256Into(data, target, offset) {
    Buffer.prototype.write.call(
      target as Buffer,
      hash('sha256', data, 'latin1'),
      offset,
      NODE_BYTES,
      'latin1',
    );
  },
};

const NODE_BYTES = 32;
