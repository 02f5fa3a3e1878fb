import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT_MEANING, EXIT_STATUS } from '../../agent/core/errors.ts';

test('every code has an exit status of its own, and a meaning in one line', () => {
  deepEqual(Object.keys(EXIT_MEANING).sort(), Object.keys(EXIT_STATUS).sort());
  const statuses = Object.values(EXIT_STATUS);
  equal(new Set(statuses).size, statuses.length);
  for (const meaning of Object.values(EXIT_MEANING)) match(meaning, /^[a-zA-Z][^|\n]{5,110}$/);
});
