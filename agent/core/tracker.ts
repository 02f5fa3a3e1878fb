// The words of a tracker conversation (BEP 3, 7, 15, 23, 48), shared by the schedule, the client and our own tracker.

/** Where a peer listens; `host` is an IPv4 or IPv6 literal. */
export interface PeerAddress {
  readonly host: string;
  readonly port: number;
}

export type AnnounceEvent = 'started' | 'completed' | 'stopped' | 'update';

/** One announce, ready to be sent to one URL. */
export interface AnnounceRequest {
  readonly url: string;
  readonly event: AnnounceEvent;
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  readonly port: number;
  readonly uploaded: number;
  readonly downloaded: number;
  readonly left: number;
  readonly numWant: number;
}

/** What a tracker answered. */
export interface AnnounceReply {
  readonly intervalMs: number;
  /** The tracker's floor under re-announces; null when it named none. */
  readonly minIntervalMs: number | null;
  /** Complete peers; null when the tracker did not say. */
  readonly seeders: number | null;
  /** Incomplete peers; null when the tracker did not say. */
  readonly leechers: number | null;
  readonly peers: readonly PeerAddress[];
  /** A warning message to be logged; null when there was none. */
  readonly warning: string | null;
}
