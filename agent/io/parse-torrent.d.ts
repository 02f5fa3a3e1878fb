// What we use of parse-torrent, which brings no types: the reading of magnet links.

declare module 'parse-torrent' {
  interface MagnetLink {
    readonly infoHash: string;
    readonly xt: string | readonly string[];
    readonly infoHashV2?: string;
    /** A list when the link repeats it. */
    readonly dn?: string | readonly string[];
    readonly announce: readonly string[];
    readonly peerAddresses: readonly string[];
  }
  // biome-ignore lint/style/noDefaultExport: that is how the package exports it
  export default function parseTorrent(magnet: string): Promise<MagnetLink>;
}
