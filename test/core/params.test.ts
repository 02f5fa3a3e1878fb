import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { SwarmbootError } from '../../agent/core/errors.ts';
import {
  formatHelp,
  formatManual,
  PARAMETER_NAMES,
  parseKernelCommandLine,
  parseParameterFile,
  readParams,
  type Source,
} from '../../agent/core/params.ts';

const ENOUGH = { IMAGESERVER: '10.0.0.1', IMAGENAME: 'debian' };

function source(values: Record<string, string | null>, origin = 'flags'): Source {
  return { origin, facts: Object.entries(values).map(([name, value]) => ({ name, value })) };
}

function read(values: Record<string, string | null>) {
  return readParams([source({ ...ENOUGH, ...values })]).params;
}

function faultsOf(...sources: Source[]): string {
  try {
    readParams(sources);
  } catch (error) {
    assert.ok(error instanceof SwarmbootError);
    assert.equal(error.code, 'parameters');
    return error.message;
  }
  assert.fail('no fault was found');
}

test('without any more than server and image, every default of the table holds', () => {
  assert.deepEqual(read({}), {
    imageServers: ['http://10.0.0.1:8080'],
    firstBootServers: null,
    imageName: 'debian',
    overrides: [],
    torrent: null,
    boelName: null,
    boelFolder: '/',
    target: '/a',
    hostName: null,
    bootMac: null,
    groups: [],
    disksLayout: 'none',
    dryRun: false,
    check: 'park',
    breakStages: [],
    postAction: 'reboot',
    shellOnFail: false,
    wait: false,
    stagingPool: null,
    pollingMs: 5000,
    seedWait: true,
    uploadMinBytesPerSec: 512000,
    seedMaxMs: 900000,
    uploadMaxBytesPerSec: 0,
    port: 6881,
    bind: '::',
    console: 'text',
  });
});

test('a break names stages as the command line can spell them', () => {
  assert.deepEqual(read({ 'si.break': 'disks,boot-loader,boel-binaries' }).breakStages, [
    'disks',
    'boot loader',
    'BOEL binaries',
  ]);
  assert.match(faultsOf(source({ ...ENOUGH, BREAK: 'boot' })), /BREAK="boot".*expected stages/);
});

test('what follows an install is one of four things', () => {
  assert.equal(read({ 'si.post-action': 'kexec' }).postAction, 'kexec');
  assert.match(faultsOf(source({ ...ENOUGH, POST_ACTION: 'beep' })), /expected reboot, kexec/);
});

test('a node that is not fit is parked, or told of', () => {
  assert.equal(read({ 'si.check': 'warn' }).check, 'warn');
  assert.match(faultsOf(source({ ...ENOUGH, CHECK: 'n' })), /CHECK="n".*expected park or warn/);
});

test('a waiting machine needs no image', () => {
  const { params } = readParams([source({ IMAGESERVER: 'server', WAIT: 'y' })]);
  assert.equal(params.wait, true);
});

test('parameters are frozen', () => {
  const params = read({ OVERRIDES: 'a,b' });
  assert.ok(Object.isFrozen(params) && Object.isFrozen(params.overrides));
});

test('flags win over the kernel command line, which wins over the file', () => {
  const sources = [
    source({ TARGET: '/flags' }),
    source({ TARGET: '/kernel', BITTORRENT_PORT: '1' }, 'kernel command line'),
    source({ ...ENOUGH, BITTORRENT_PORT: '2', CONSOLE: 'json' }, '/local.cfg'),
  ];
  const { params } = readParams(sources);
  assert.deepEqual([params.target, params.port, params.console], ['/flags', 1, 'json']);
});

test('within a source the last one wins, whichever of the two spellings it has', () => {
  const facts = parseKernelCommandLine(
    'IMAGESERVER=s IMAGENAME=a si.image-name=b IMAGENAME=c si.image-name=d',
  );
  assert.equal(readParams([{ origin: 'kernel command line', facts }]).params.imageName, 'd');
});

test('an image server may be a host, a host and port, an address or a URL', () => {
  const cases = [
    ['node-1.lab', 'http://node-1.lab:8080'],
    ['10.0.0.1:81', 'http://10.0.0.1:81'],
    ['fd00::1', 'http://[fd00::1]:8080'],
    ['[fd00::1]:80', 'http://[fd00::1]'],
    ['https://images.lab/repo/', 'https://images.lab/repo'],
    ['http://images.lab', 'http://images.lab'],
  ];
  for (const [text, url] of cases) assert.deepEqual(read({ IMAGESERVER: text! }).imageServers, [url]);
});

test('several image servers stand in the order given, each once', () => {
  const text = 'a,https://b:8443/,10.0.0.1:81,a:8080';
  assert.deepEqual(read({ IMAGESERVER: text }).imageServers, [
    'http://a:8080',
    'https://b:8443',
    'http://10.0.0.1:81',
  ]);
  assert.match(faultsOf(source({ ...ENOUGH, IMAGESERVER: 'a,b c' })), /expected a host/);
});

test('an image server that is none is refused', () => {
  for (const text of [
    '',
    'a b',
    'host:99999',
    'ftp://x',
    'http://user:secret@x',
    'http://',
    'a/b',
    'host:',
    '10.0.0.300',
  ]) {
    assert.match(faultsOf(source({ ...ENOUGH, IMAGESERVER: text })), /IMAGESERVER=.*expected a host/, text);
  }
});

test('TORRENT is a magnet, a URL or a path, and needs nothing else', () => {
  for (const text of ['magnet:?xt=urn:btih:00', 'http://h/x.torrent', '/media/x.torrent', 'x.torrent']) {
    assert.equal(readParams([source({ TORRENT: text })]).params.torrent, text);
  }
  for (const text of ['', 'ftp://h/x', 'magnet:', 'http://u:p@h/x']) {
    assert.match(faultsOf(source({ TORRENT: text })), /TORRENT=.*expected magnet/, text);
  }
});

test('TORRENT contradicts what needs a catalog', () => {
  const message = faultsOf(source({ TORRENT: '/x.torrent', IMAGENAME: 'a', OVERRIDES: 'b', BOELNAME: 'c' }));
  for (const name of ['IMAGENAME', 'OVERRIDES', 'BOELNAME'])
    assert.match(message, new RegExp(`${name} needs a catalog`));
});

test('every fault is listed at once, with where it was found and what was expected', () => {
  const message = faultsOf(
    source({ BITTORRENT_POLLING_TIME: '0', TARGET: 'relative', BITTORRENT_SEED_WAIT: 'maybe' }),
    source(
      { OVERRIDES: '../etc', CONSOLE: 'loud', BIND: '1.2.3', BITTORRENT_PORT: '65536' },
      'kernel command line',
    ),
  );
  assert.match(
    message,
    /BITTORRENT_POLLING_TIME="0" \(flags\): expected a whole number of seconds, 1 to 3600/,
  );
  assert.match(message, /TARGET="relative" \(flags\): expected an absolute path/);
  assert.match(message, /BITTORRENT_SEED_WAIT="maybe" \(flags\): expected y or n/);
  assert.match(message, /OVERRIDES="\.\.\/etc" \(kernel command line\)/);
  for (const name of ['CONSOLE', 'BIND', 'BITTORRENT_PORT']) assert.match(message, new RegExp(`${name}=`));
});

test('server and image that are both missing are both named', () => {
  assert.match(faultsOf(), /IMAGESERVER is missing.*\s.*IMAGENAME is missing/);
});

test('numbers are decimal digits only', () => {
  for (const text of ['-1', '1e3', '0x10', ' 5', '5.0', 'five', '', '9'.repeat(20)]) {
    assert.match(faultsOf(source({ ...ENOUGH, BITTORRENT_UPLOAD_MIN: text })), /KiB\/s/, text);
  }
});

test('switches are read in every usual spelling, and a bare word means yes', () => {
  for (const text of ['y', 'yes', 'Y', 'true', '1', 'on', null])
    assert.equal(read({ BITTORRENT_SEED_WAIT: text }).seedWait, true);
  for (const text of ['n', 'no', 'false', '0', 'off'])
    assert.equal(read({ BITTORRENT_SEED_WAIT: text }).seedWait, false);
});

test('a bare word is no value for anything but a switch', () => {
  assert.match(faultsOf(source({ ...ENOUGH, TARGET: null })), /TARGET=""/);
});

test('overrides keep their order, and an empty list is none', () => {
  assert.deepEqual(read({ OVERRIDES: 'site,rack-2,node_7' }).overrides, ['site', 'rack-2', 'node_7']);
  assert.deepEqual(read({ OVERRIDES: '' }).overrides, []);
});

test('the address to bind is IPv4 or IPv6', () => {
  for (const text of ['127.0.0.2', '::1', 'fe80::1']) assert.equal(read({ BIND: text }).bind, text);
  for (const text of ['', 'localhost', '256.1.1.1', '01.1.1.1', ':::', '1.2.3.4:80', '::1,::2']) {
    assert.match(faultsOf(source({ ...ENOUGH, BIND: text })), /BIND=/, text);
  }
});

test('unknown names of ours warn, names of others are passed over', () => {
  const { warnings } = readParams([
    source({
      ...ENOUGH,
      BITTORRENT_STAGEING: 'x',
      'si.imagename': 'x',
      imagename: 'x',
      quiet: null,
      console: 'ttyS0',
      root: '/dev/sda',
    }),
  ]);
  assert.equal(warnings.length, 3);
  assert.match(warnings[0]!, /BITTORRENT_STAGEING .*not a parameter/);
  assert.match(warnings[2]!, /did you mean IMAGENAME/);
});

test('names of SystemImager that are not honoured yet say so', () => {
  const { warnings } = readParams([source({ ...ENOUGH, MONITOR_SERVER: 'm' }, 'kernel command line')]);
  assert.deepEqual(warnings, [
    "MONITOR_SERVER (kernel command line) is SystemImager's, and this agent does not honour it yet: ignored",
  ]);
});

test('a kernel command line may quote the value or the whole word', () => {
  assert.deepEqual(parseKernelCommandLine('quiet A="x y" "B=p q" C=1=2  D= E="unclosed z\n'), [
    { name: 'quiet', value: null },
    { name: 'A', value: 'x y' },
    { name: 'B', value: 'p q' },
    { name: 'C', value: '1=2' },
    { name: 'D', value: '' },
    { name: 'E', value: 'unclosed z\n' },
  ]);
});

test('a parameter file has comments, shell quotes and one value a line', () => {
  const text = '# site\nIMAGENAME="debian"  # the new one\nOVERRIDES=\'a,b\'\n\nBITTORRENT_SEED_WAIT=y\n';
  assert.deepEqual(parseParameterFile(text), [
    { name: 'IMAGENAME', value: 'debian' },
    { name: 'OVERRIDES', value: 'a,b' },
    { name: 'BITTORRENT_SEED_WAIT', value: 'y' },
  ]);
});

test('any text on the kernel command line is either read or refused with a list', () => {
  const word = fc.oneof(
    fc.constantFrom(...PARAMETER_NAMES).chain((n) => fc.string().map((v) => `${n}="${v}"`)),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(word), (words) => {
      try {
        readParams([{ origin: 'kernel command line', facts: parseKernelCommandLine(words.join(' ')) }]);
      } catch (error) {
        assert.ok(error instanceof SwarmbootError && error.code === 'parameters');
      }
    }),
  );
});

test('quoted values come back as they were', () => {
  const value = fc.string().map((text) => text.replaceAll('"', ''));
  fc.assert(
    fc.property(fc.array(value), (values) => {
      const facts = parseKernelCommandLine(values.map((text, i) => `K${i}="${text}"`).join(' '));
      assert.deepEqual(
        facts,
        values.map((text, i) => ({ name: `K${i}`, value: text })),
      );
    }),
  );
});

test('names and aliases of the table are unique', () => {
  assert.equal(new Set(PARAMETER_NAMES).size, PARAMETER_NAMES.length);
});

test('docs/parameters.md is the printed table', () => {
  const manual = readFileSync(new URL('../../docs/parameters.md', import.meta.url), 'utf8');
  assert.equal(manual, formatManual(), 'print it again with `make manual`');
});

test('the help names every parameter', () => {
  const help = formatHelp();
  for (const name of PARAMETER_NAMES) assert.ok(help.includes(name), name);
});
