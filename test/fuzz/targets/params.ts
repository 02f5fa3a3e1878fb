// What a machine is booted with: the kernel command line, the parameter file, and what its network told it (the lease).

import { parseLease } from '../../../agent/core/lease.ts';
import {
  PARAMETER_NAMES,
  parseKernelCommandLine,
  parseParameterFile,
  readParams,
} from '../../../agent/core/params.ts';
import { KIB } from '../../../agent/core/units.ts';
import { bytesOf, must, refusedWith, type Target, textOf, type Verdict } from '../target.ts';

const LINE =
  'BOOT_IMAGE=kernel console=ttyS0 IMAGESERVER=10.9.0.1:8080 IMAGENAME=web OVERRIDES=site,rack HOSTNAME=node001 BOOTIF=01-52-54-00-09-00-01 GROUPNAMES=all DISKS_LAYOUT=search BITTORRENT_SEED_WAIT BREAK=disks,boot-loader "POST_ACTION=kexec" BIND=::1 quiet';
const FILE =
  '# of this site\nIMAGESERVER=http://10.9.0.1:8080/\nIMAGENAME=\'web\'\nTARGET="/a"\nBITTORRENT_UPLOAD_MAX=500 # KiB/s\nCONSOLE=json\n';
const LEASE =
  'METHOD=dhcp\nDEVICE=eth0\nMAC=52:54:00:09:00:01\nVLAN=7\nADDRESS=10.9.0.5/24\nGATEWAY=10.9.0.1\nDNS=10.9.0.1 10.9.0.2\nHOSTNAME=node001\nDOMAIN=example.org\nADDRESS6=fd00::5/64\n';

const plain = (value: string) => /^[ -~]*$/.test(value);

function checkLease(text: string): void {
  const { vlan, dns, ...texts } = parseLease(text);
  must(vlan === null || (vlan >= 1 && vlan <= 4094), 'a VLAN has its bounds');
  must([...dns, ...Object.values(texts)].every(plain), 'a lease is plain text');
}

/** The first byte says which of the two it is. */
function judge(bytes: Uint8Array): Verdict {
  const text = textOf(bytes.subarray(1));
  checkLease(text);
  const facts = (bytes[0] ?? 0) % 2 === 0 ? parseKernelCommandLine(text) : parseParameterFile(text);
  try {
    const { params } = readParams([{ origin: 'fuzz', facts }]);
    must(Object.isFrozen(params), 'parameters do not change');
    must(
      params.target.startsWith('/') && params.port >= 0 && params.port <= 65_535,
      'values are of their kind',
    );
    must(plain(params.imageName ?? '') && plain(params.hostName ?? ''), 'names are plain');
    return 'accepted';
  } catch (error) {
    return refusedWith(error, 'parameters');
  }
}

export const params = (): Target => ({
  seeds: [
    `0${LINE}`,
    `1${FILE}`,
    `1${LEASE}`,
    '0TORRENT=magnet:?xt=urn:btih:00',
    '0TORRENT=/x.torrent TARGET=/a',
  ].map(bytesOf),
  words: [
    ...PARAMETER_NAMES.flatMap((name) => [name, ` ${name}=`]),
    '"',
    "'",
    '=',
    '#',
    '\n',
    ' ',
    ',',
    '/',
    '[',
    ':',
  ],
  build: null,
  bytesMax: 64 * KIB,
  growthMiB: 8,
  judge,
});
