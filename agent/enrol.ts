// A node makes itself known to its image server, before it asks for anything that is not for everybody.

import type { Membership, Rooms } from './core/rooms.ts';

/** Null: it has not enrolled, for the site is open or the node does not know who it is. Throws as `Rooms.enrol` does. */
export async function enrolNode(
  { servers, machine, enrol, tell }: Pick<Rooms, 'servers' | 'machine' | 'enrol' | 'tell'>,
  signal: AbortSignal,
): Promise<Membership | null> {
  const note = (text: string) => tell({ fact: 'note', text });
  if (servers === null || machine.lease().mac === '') {
    note("this machine's MAC or its image server is not known: it does not enrol");
    return null;
  }
  // In turn: whoever enrols here while another server only takes its time would leave a token there that nobody uses.
  const membership = await servers.askInTurn(enrol, signal);
  note(membership === null ? 'the site is open: nobody enrols there' : 'enrolled');
  return membership;
}
