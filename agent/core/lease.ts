// What /init has found out about the network, as it hands it on: the file /run/swarmboot/lease, `KEY=value` lines without
// quotes. Reads no file.

/** How this node is on the network. Empty texts and lists: not known. */
export interface Lease {
  readonly method: 'dhcp' | 'static';
  /** Interface name in the RAM disk; the installed system may call it otherwise. */
  readonly device: string;
  /** `aa:bb:cc:dd:ee:ff`. */
  readonly mac: string;
  /** VLAN id of the interface, 1 to 4094; null without one. */
  readonly vlan: number | null;
  /** `10.9.0.5/24`. */
  readonly address: string;
  readonly gateway: string;
  readonly dns: readonly string[];
  readonly hostName: string;
  readonly domain: string;
  /** The boot server that DHCP named. */
  readonly nextServer: string;
  /** `fd00::5/64`. */
  readonly address6: string;
}

export const LEASE_PATH = '/run/swarmboot/lease';

/** Reads the file's text. Values of a form that they may not have are left empty: they came from the network. */
export function parseLease(text: string): Lease {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) values.set(line.slice(0, equals), line.slice(equals + 1).trim());
  }
  const checked = (key: string, form: RegExp) => {
    const value = values.get(key) ?? '';
    return form.test(value) ? value : '';
  };
  const vlan = checked('VLAN', /^[1-9]\d{0,3}$/);
  return {
    method: values.get('METHOD') === 'static' ? 'static' : 'dhcp',
    device: checked('DEVICE', /^[A-Za-z0-9._-]{1,15}$/),
    mac: checked('MAC', /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i).toLowerCase(),
    vlan: vlan === '' || Number(vlan) > 4094 ? null : Number(vlan),
    address: checked('ADDRESS', /^[\d.]{7,15}\/\d{1,2}$/),
    gateway: checked('GATEWAY', /^[0-9a-f.:]{2,45}$/i),
    dns: (values.get('DNS') ?? '').split(' ').filter((server) => /^[0-9a-f.:]{2,45}$/i.test(server)),
    hostName: checked('HOSTNAME', HOST_NAME),
    domain: checked('DOMAIN', DOMAIN_NAME),
    nextServer: checked('NEXT_SERVER', /^[0-9a-f.:]{2,45}$/i),
    address6: checked('ADDRESS6', /^[0-9a-f:]{2,39}\/\d{1,3}$/i),
  };
}

/** A host name without dots (RFC 1123). */
export const HOST_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
export const DOMAIN_NAME = /^(?=.{1,253}$)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*$/;
