// A node makes itself known to its image server, before it asks for anything that is not for everybody.

import type { Params } from './core/params.ts';
import type { Membership, Rooms } from './core/rooms.ts';

/** Null: it has not enrolled, for the site is open or the node does not know who it is. Throws as `Rooms.enrol` does. */
export async function enrolNode(
  { imageServer }: Params,
  { machine, enrol, tell }: Pick<Rooms, 'machine' | 'enrol' | 'tell'>,
  signal: AbortSignal,
): Promise<Membership | null> {
  const note = (text: string) => tell({ fact: 'note', text });
  if (imageServer === null || machine.lease().mac === '') {
    note("this machine's MAC or its image server is not known: it does not enrol");
    return null;
  }
  const membership = await enrol(new URL(imageServer), signal);
  note(membership === null ? 'the site is open: nobody enrols there' : 'enrolled');
  return membership;
}
