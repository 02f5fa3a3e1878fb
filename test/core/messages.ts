// Messages of nodes, for tests.

import type { Inventory } from '../../agent/core/inventory.ts';
import type { LogLine, Message } from '../../agent/core/monitor.ts';
import type { NodeReport } from '../../agent/core/report.ts';

export const INVENTORY: Inventory = {
  vendor: 'QEMU',
  model: 'Standard PC (Q35 + ICH9, 2009)',
  serial: 'S1',
  uuid: 'a2b0c5f0-0000-4000-8000-000000000001',
  firmware: 'EFI Development Kit II 2022.11',
  cpu: 'EPYC',
  cores: 2,
  memoryBytes: 2 ** 30,
  disks: [{ name: 'vda', sizeBytes: 4 * 2 ** 30, type: 'virtual', model: '', serial: 'd1' }],
  links: [
    {
      name: 'eth0',
      mac: '52:54:00:09:00:01',
      up: true,
      megabitPerSec: 1000,
      fullDuplex: true,
      mtu: 1500,
      addresses: ['10.9.0.101'],
    },
    {
      name: 'eth1',
      mac: '52:54:00:09:00:02',
      up: false,
      megabitPerSec: null,
      fullDuplex: null,
      mtu: 1500,
      addresses: [],
    },
  ],
};

export const REPORT: NodeReport = {
  stage: 'image',
  percent: 42,
  bytesTotal: 1000,
  bytesVerified: 420,
  bytesExtracted: 420,
  bytesWritten: 800,
  downBytesPerSec: 12.5,
  upBytesPerSec: 0,
  uploadedBytes: 7,
  wastedBytes: 0,
  hashFailures: 0,
  webSeedBytes: 0,
  fallback: { step: 'swarm', reason: '' },
  retries: 1,
  busyPercent: 37,
  diskBytesPerSec: 300e6,
  peers: 3,
  seeders: 1,
  leechers: 2,
  pool: '/tmp',
  leftMs: 1500,
  elapsedMs: 60_000,
  errors: ['the tracker did not answer'],
};

export function message(more: Partial<Message> = {}): Message {
  return {
    format: 1,
    mac: '52:54:00:09:00:01',
    host: 'node001',
    image: 'web',
    install: null,
    status: 42,
    stage: 'image',
    stages: [],
    text: '',
    code: null,
    report: null,
    inventory: null,
    log: [],
    logFrom: 0,
    ...more,
  };
}

/** Lines of a log, a second apart. */
export function lines(...texts: string[]): LogLine[] {
  return texts.map((text, index) => ({ atMs: 1000 * index, text }));
}
