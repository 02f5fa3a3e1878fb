// Which disks a layout is for: each rule must fit exactly as many disks as it says, and no disk two rules. Anything else is a
// refusal that shows every disk; nothing is ever guessed.

import { type DiskFacts, describeDisk } from './diskfacts.ts';
import type { DiskRule, Layout, Match } from './diskrules.ts';
import { SwarmbootError } from './errors.ts';
import { formatBytes } from './units.ts';

/** A rule with the disks that it fits. */
export interface Choice {
  readonly rule: DiskRule;
  readonly disks: readonly DiskFacts[];
}

/** The disks for each rule. Throws SwarmbootError 'disk' when a rule fits too few or too many, or a disk is in use. */
export function chooseDisks(layout: Layout, disks: readonly DiskFacts[]): readonly Choice[] {
  const choices = layout.disks.map((rule) => ({
    rule,
    disks: disks.filter((disk) => fits(rule.match, disk)),
  }));
  for (const [i, { rule, disks: found }] of choices.entries()) {
    if (found.length === rule.count) continue;
    const many = found.length === 0 ? 'no disk' : countOf(found.length);
    throw refusal(
      `the rule disks[${i}] of the layout (${describeMatch(rule.match)}) fits ${many}, and must fit ${countOf(rule.count)}`,
      disks,
    );
  }
  for (const disk of disks) {
    const rules = choices.flatMap((choice, i) => (choice.disks.includes(disk) ? [`disks[${i}]`] : []));
    if (rules.length > 1) throw refusal(`the rules ${rules.join(' and ')} all fit ${disk.path}`, disks);
  }
  const uses = choices.flatMap((choice) => choice.disks).flatMap((disk) => disk.uses);
  if (uses.length > 0) {
    throw new SwarmbootError(
      'disk',
      `the layout is for disks that are in use: ${uses.join(', ')}; nothing was touched; end that use, or choose another disk in the layout`,
    );
  }
  return choices;
}

function refusal(what: string, disks: readonly DiskFacts[]): SwarmbootError {
  const lines = disks.map(
    (disk) => `\n  ${describeDisk(disk)}${disk.ids.map((id) => `, id ${id}`).join('')}`,
  );
  const here = disks.length === 0 ? 'this node has no disk' : `the disks of this node:${lines.join('')}\n`;
  return new SwarmbootError(
    'disk',
    `${what}; ${here}${disks.length === 0 ? '; look whether the driver of its controller is loaded' : 'name the right one in "match", by id, serial, model, type or size'}`,
  );
}

function countOf(disks: number): string {
  return disks === 1 ? '1 disk' : `${disks} disks`;
}

function fits(match: Match, disk: DiskFacts): boolean {
  return (
    match.removable === disk.removable &&
    (match.id === null || disk.ids.some((id) => like(match.id!, id))) &&
    (match.serial === null || like(match.serial, disk.serial)) &&
    (match.model === null || like(match.model, disk.model)) &&
    (match.path === null || match.path === disk.path) &&
    (match.sizeMinBytes === null || disk.sizeBytes >= match.sizeMinBytes) &&
    (match.sizeMaxBytes === null || disk.sizeBytes <= match.sizeMaxBytes) &&
    (match.type === null || match.type === disk.type)
  );
}

/** True when the text fits the pattern: `*` is any text, `?` one character. */
function like(pattern: string, text: string): boolean {
  const source = pattern
    .replace(/[.+=:@^$()[\]{}|\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`).test(text);
}

/** The rule's `match` for people: `type ssd, at least 100.0 GiB`. */
export function describeMatch(match: Match): string {
  const words = [
    match.id === null ? '' : `id ${match.id}`,
    match.serial === null ? '' : `serial ${match.serial}`,
    match.model === null ? '' : `model ${match.model}`,
    match.path ?? '',
    match.type === null ? '' : `type ${match.type}`,
    match.sizeMinBytes === null ? '' : `at least ${formatBytes(match.sizeMinBytes)}`,
    match.sizeMaxBytes === null ? '' : `at most ${formatBytes(match.sizeMaxBytes)}`,
    match.removable ? 'removable' : '',
  ].filter((word) => word !== '');
  return words.length === 0 ? 'any disk that is not removable' : words.join(', ');
}
