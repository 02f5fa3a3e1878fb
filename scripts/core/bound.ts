// How fast a distribution can be at best: what a simulated or measured time is divided by.

import type { Ms } from '../../agent/core/units.ts';

export interface Fabric {
  readonly nodes: number;
  readonly imageServers: number;
  readonly sizeBytes: number;
  readonly pieceCount: number;
  /** Bytes of content per second: the least downlink of a node, the uplink of one image server, all uplinks together. */
  readonly downMinBytesPerSec: number;
  readonly serverBytesPerSec: number;
  readonly upTotalBytesPerSec: number;
  /** Each rack's link to the others; Infinity where there are no racks. */
  readonly rackBytesPerSec: number;
}

/**
 * T* in ms: the fluid bound (every byte leaves the image servers once, enters each node once, each rack once, and all
 * uplinks together carry all copies) times the pieces that pass before everybody has one: with one image server
 * (F/U)(1 + floor(log2 N)/M), the bound of Mundinger, Weber and Weiss.
 */
export function boundMs(fabric: Fabric): Ms {
  const { nodes, imageServers, sizeBytes, pieceCount } = fabric;
  const fluidSec = Math.max(
    sizeBytes / (imageServers * fabric.serverBytesPerSec),
    sizeBytes / fabric.downMinBytesPerSec,
    sizeBytes / fabric.rackBytesPerSec,
    (nodes * sizeBytes) / fabric.upTotalBytesPerSec,
  );
  // Those who have a piece at least double with each piece that is sent: S, 3S, 7S ... nodes.
  const turns = Math.ceil(Math.log2(nodes / imageServers + 1)) - 1;
  return fluidSec * 1000 * (1 + turns / pieceCount);
}
