// What tests of manifests have in them: an entry of the catalog, files of a site, and a release.

import type { CatalogEntry, SiteFile } from '../../agent/core/catalog.ts';
import { OPEN_RULES, type Release } from '../../agent/core/release.ts';

export const ENTRY: CatalogEntry = {
  name: 'debian-12',
  kind: 'image',
  file: 'image-debian-12-0123456789ab.tar.zst',
  compression: 'zstd',
  size: 414_000_000,
  unpackedSize: 1_200_000_000,
  entryCount: 30_000,
  sha256: '0a'.repeat(32),
  pieceLength: 524_288,
  infoHash: '1b'.repeat(20),
  infoHashV2: '2c'.repeat(32),
};

export const FILES: readonly SiteFile[] = [
  { path: 'layouts/default.json', size: 400, sha256: '3d'.repeat(32) },
  { path: 'scripts/post-install/10all.motd', size: 0, sha256: '4e'.repeat(32) },
];

export const RELEASE: Release = { serial: 7, created: 1, expires: 2, ...OPEN_RULES };
