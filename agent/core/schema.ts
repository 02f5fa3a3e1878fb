// A small part of JSON Schema, enough to say what a file of ours may hold: the schema is data, printed for editors, and the
// same data finds the faults. Knows nothing of what the file means.

export type Schema = ObjectSchema | ListSchema | TextSchema | NumberSchema | FlagSchema;

interface Described {
  /** What the value is, in words that fit behind "wanted". */
  readonly description: string;
}
export interface ObjectSchema extends Described {
  readonly type: 'object';
  readonly properties: Readonly<Record<string, Schema>>;
  readonly required: readonly string[];
  readonly additionalProperties: false;
}
export interface ListSchema extends Described {
  readonly type: 'array';
  readonly items: Schema;
  readonly minItems: number;
  readonly maxItems: number;
}
export interface TextSchema extends Described {
  readonly type: 'string';
  /** Wholly anchored. */
  readonly pattern?: string;
  readonly enum?: readonly string[];
}
export interface NumberSchema extends Described {
  readonly type: 'integer';
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly number[];
}
export interface FlagSchema extends Described {
  readonly type: 'boolean';
}

/** One thing that is wrong, and where: `disks[0].partitions[1].size`; the empty path is the whole. */
export interface Fault {
  readonly path: string;
  readonly text: string;
}

/** An object of which no more is known than its keys. */
export type Fields = Readonly<Record<string, unknown>>;

/** Everything in `value` that the schema does not allow. When there is nothing, `value` has the form it describes. */
export function faultsOf(schema: Schema, value: unknown, path = ''): Fault[] {
  switch (schema.type) {
    case 'object':
      return isFields(value) ? faultsOfFields(schema, value, path) : [wanted(schema, value, path)];
    case 'array':
      return Array.isArray(value) ? faultsOfList(schema, value, path) : [wanted(schema, value, path)];
    case 'string':
    case 'integer':
    case 'boolean':
      return fits(schema, value) ? [] : [wanted(schema, value, path)];
  }
}

function faultsOfFields(schema: ObjectSchema, value: Fields, path: string): Fault[] {
  const below = (key: string) => (path === '' ? key : `${path}.${key}`);
  const known = Object.keys(schema.properties);
  const faults = schema.required
    .filter((key) => !Object.hasOwn(value, key))
    .map((key) => ({ path: below(key), text: `is missing; wanted: ${schema.properties[key]!.description}` }));
  for (const [key, item] of Object.entries(value)) {
    const found = known.includes(key) ? faultsOf(schema.properties[key]!, item, below(key)) : null;
    // One by one: more than a hundred thousand are too many arguments for one call.
    for (const fault of found ?? []) faults.push(fault);
    if (found === null)
      faults.push({ path: below(key), text: `is not known here; there are: ${known.join(', ')}` });
  }
  return faults;
}

function faultsOfList(schema: ListSchema, value: readonly unknown[], path: string): Fault[] {
  if (value.length < schema.minItems || value.length > schema.maxItems) {
    return [{ path, text: `has ${value.length} items; wanted: ${schema.description}` }];
  }
  return value.flatMap((item, index) => faultsOf(schema.items, item, `${path}[${index}]`));
}

function fits(schema: TextSchema | NumberSchema | FlagSchema, value: unknown): boolean {
  switch (schema.type) {
    case 'boolean':
      return typeof value === 'boolean';
    case 'integer':
      return (
        Number.isSafeInteger(value) &&
        (schema.enum?.includes(value as number) ?? true) &&
        (value as number) >= (schema.minimum ?? Number.NEGATIVE_INFINITY) &&
        (value as number) <= (schema.maximum ?? Number.POSITIVE_INFINITY)
      );
    case 'string':
      return (
        typeof value === 'string' &&
        (schema.enum?.includes(value) ?? true) &&
        (schema.pattern === undefined || new RegExp(schema.pattern).test(value))
      );
  }
}

function wanted(schema: Schema, value: unknown, path: string): Fault {
  const shown = JSON.stringify(value) ?? 'nothing';
  const short = shown.length <= 60 ? shown : `${shown.slice(0, 60)}...`;
  return { path, text: `is ${short}; wanted: ${schema.description}` };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
