// The hardware address of a network interface: one text for one address, so that texts may be compared and be file names.

/** `aa:bb:cc:dd:ee:ff` of a MAC with colons, hyphens, dots or nothing between its bytes; null when it is none. */
export function parseMac(text: string): string | null {
  if (!/^[0-9a-f]{2}([:.-]?)[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}$/i.test(text)) return null;
  return (text.toLowerCase().match(/[0-9a-f]{2}/g) ?? []).join(':');
}

/** `aabbccddeeff`: a file's name. */
export function mac12(mac: string): string {
  return mac.replaceAll(':', '');
}

/** `01-aa-bb-cc-dd-ee-ff`, as PXELINUX writes the interface that booted; 01 is Ethernet. */
export function bootInterface(mac: string): string {
  return `01-${mac.replaceAll(':', '-')}`;
}
