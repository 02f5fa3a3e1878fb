import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  foldReport,
  foldSight,
  formatEvent,
  formatReportLine,
  type InstallEvent,
  plainText,
  type StageName,
} from '../../agent/core/report.ts';
import { MIB } from '../../agent/core/units.ts';
import type { SwarmView } from '../../agent/core/view.ts';

function view(more: Partial<SwarmView> = {}): SwarmView {
  return {
    pieceCount: 1,
    piecesHave: 0,
    bytesLeft: 0,
    downloadedBytes: 0,
    uploadedBytes: 0,
    wastedBytes: 0,
    hashFailures: 0,
    downBytesPerSec: 0,
    upBytesPerSec: 0,
    peers: 0,
    seedersConnected: 0,
    leechersConnected: 0,
    trackerSeeders: 1,
    trackerLeechers: 0,
    trackerProblem: null,
    webSeedBytes: 0,
    webSeedReason: null,
    addresses: [],
    ...more,
  };
}

const MORE = {
  pool: '/tmp',
  elapsedMs: 1000,
  errors: [],
  retries: 0,
  busyPercent: 0,
  diskBytesPerSec: null,
};

test('a report sums up the torrents, verified and extracted bytes counting alike', () => {
  const image = {
    bytes: 300 * MIB,
    extractedBytes: 100 * MIB,
    writtenBytes: 100 * MIB,
    view: view({ bytesLeft: 100 * MIB, downBytesPerSec: 10 * MIB, peers: 7 }),
  };
  const override = {
    bytes: 100 * MIB,
    extractedBytes: 0,
    writtenBytes: 0,
    view: view({ bytesLeft: 100 * MIB, upBytesPerSec: MIB, peers: 2 }),
  };
  const report = foldReport('image', [image, override], MORE);
  assert.equal(report.percent, 37);
  assert.equal(report.bytesVerified, 200 * MIB);
  assert.equal(report.leftMs, 20_000);
  assert.equal(
    formatReportLine(report),
    'image          37 %  200.0 MiB of 400.0 MiB  extracted 100.0 MiB  down 10.0 MiB/s  up 1.0 MiB/s  peers 9  left 0:20',
  );
});

test('before any torrent is known a report is all zeros, and nothing is said of the time left', () => {
  const report = foldReport('catalog', [], { ...MORE, pool: null });
  assert.deepEqual([report.percent, report.bytesTotal, report.leftMs], [0, 0, null]);
});

test('a problem that all trackers share is told once', () => {
  const state = { bytes: 1, extractedBytes: 0, writtenBytes: 0, view: view({ trackerProblem: 'no answer' }) };
  assert.deepEqual(foldReport('image', [state, state], { ...MORE, errors: ['x'] }).errors, [
    'x',
    'no answer',
  ]);
});

test('a tarball whose swarm is not joined yet counts as all to be fetched', () => {
  const done = { bytes: MIB, extractedBytes: MIB, writtenBytes: MIB, view: view() };
  const report = foldReport(
    'staging',
    [done, { bytes: 3 * MIB, extractedBytes: 0, writtenBytes: 0, view: null }],
    MORE,
  );
  assert.deepEqual([report.percent, report.bytesTotal, report.bytesVerified], [25, 4 * MIB, MIB]);
});

test('percent is 100 only when all is verified and extracted', () => {
  const parts = fc.record({
    bytes: fc.nat(1e9),
    left: fc.float({ min: 0, max: 1, noNaN: true }),
    out: fc.float({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(parts, { minLength: 1 }), (list) => {
      const states = list.map(({ bytes, left, out }) => {
        const bytesLeft = Math.floor(bytes * left);
        const extractedBytes = Math.floor((bytes - bytesLeft) * out);
        return { bytes, extractedBytes, writtenBytes: 2 * extractedBytes, view: view({ bytesLeft }) };
      });
      const { percent } = foldReport('image', states, MORE);
      const done =
        states.every((state) => state.extractedBytes === state.bytes) &&
        states.some(({ bytes }) => bytes > 0);
      assert.ok(percent >= 0 && percent <= 100);
      assert.equal(percent === 100, done);
    }),
  );
});

test('a node without peers says what may be the reason', () => {
  const errors = ['the tracker did not answer'];
  assert.match(
    formatReportLine(foldReport('image', [], { ...MORE, errors })),
    /peers 0 {2}\(the tracker did not answer\)$/,
  );
});

test('the lowest step of all torrents is told, with its reason', () => {
  const state = (more: Partial<SwarmView>) => ({
    bytes: 9,
    extractedBytes: 0,
    writtenBytes: 0,
    view: view({ bytesLeft: 9, peers: 2, ...more }),
  });
  const told = (...views: Partial<SwarmView>[]) => foldReport('image', views.map(state), MORE);
  assert.deepEqual(told({}, {}).fallback, { step: 'swarm', reason: '' });
  const silent = { trackerProblem: 'no answer' };
  assert.deepEqual(told({}, silent).fallback, { step: 'peers without a tracker', reason: 'no answer' });
  for (const none of [
    { ...silent, bytesLeft: 0 },
    { ...silent, peers: 0 },
  ])
    assert.equal(told(none).fallback.step, 'swarm');
  const report = told(silent, { webSeedReason: 'no peer is connected', webSeedBytes: 7 });
  assert.deepEqual(report.fallback, { step: 'web seed', reason: 'no peer is connected' });
  assert.equal(report.webSeedBytes, 7);
  assert.match(formatReportLine(report), / {2}\(web seed: no peer is connected\)$/);
});

test('the trackers say how many leechers are left once all of them have spoken', () => {
  assert.equal(foldSight([view({ trackerLeechers: 2 }), view({ trackerLeechers: 3 })]).trackerLeechers, 5);
  assert.equal(
    foldSight([view({ trackerLeechers: 2 }), view({ trackerLeechers: null }), view()]).trackerLeechers,
    null,
  );
});

test('the console shows progress where bytes move, and commands nowhere', () => {
  const report = (stage: StageName) => ({ fact: 'report' as const, ...foldReport(stage, [], MORE) });
  assert.match(formatEvent(report('image')), /^image +0 %/);
  assert.equal(formatEvent(report('finish')), '');
  assert.equal(formatEvent({ fact: 'command', text: '$ /usr/bin/true' }), '');
});

test('every happening has a line', () => {
  const events: [InstallEvent, string][] = [
    [{ fact: 'note', text: 'a\nb' }, 'a\nb'],
    [{ fact: 'stageBegan', stage: 'image' }, 'image ...'],
    [{ fact: 'stageEnded', stage: 'image', ms: 61_000 }, 'image done in 1:01'],
    [
      { fact: 'stageRetried', stage: 'catalog', waitMs: 2000, error: 'no answer', code: 'network' },
      'no answer\ncatalog will be tried again in 0:02',
    ],
    [
      { fact: 'stageFailed', stage: 'extract', ms: 5000, error: 'x\ny', code: 'archive' },
      'extract FAILED after 0:05: x',
    ],
    [
      { fact: 'poolChosen', pool: '/tmp (tmpfs)', needBytes: MIB, others: ['/b (ext4): read-only'] },
      'staging in /tmp (tmpfs), which has the 1.0 MiB needed\n  not in /b (ext4): read-only',
    ],
    [
      { fact: 'extracted', name: 'site', entries: 3, bytes: MIB, ms: 1000 },
      'site: 3 entries, 1.0 MiB in 0:01',
    ],
    [
      { fact: 'leaving', reason: 'no leecher is left', uploadedBytes: MIB },
      'leaving the swarm, 1.0 MiB given: no leecher is left',
    ],
    [
      { fact: 'fallback', step: 'web seed', reason: 'no peer is connected' },
      'the image comes by: web seed (no peer is connected)',
    ],
    [{ fact: 'fallback', step: 'swarm', reason: '' }, 'the image comes by: swarm'],
    [{ fact: 'installed', ms: 90_000 }, 'installed in 1:30'],
  ];
  for (const [event, line] of events) assert.equal(formatEvent(event), line);
});

test('no text from outside can write a line, colour the console or turn the direction', () => {
  assert.equal(
    formatEvent({ fact: 'note', text: 'a\u001b]0;x\u0007\r{"fact":1}\u202e\u009b' }),
    'a\\u001b]0;x\\u0007\\u000d{"fact":1}\\u202e\\u009b',
  );
  assert.equal(plainText('Grüße, 世界'), 'Grüße, 世界');
});
