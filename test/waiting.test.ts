import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { SwarmbootError } from '../agent/core/errors.ts';
import type { Message, NodeAnswer } from '../agent/core/monitor.ts';
import {
  type Waiter,
  type WaitingRooms,
  waitingScreen,
  waitUntilArmed,
  waitUntilArmedAgain,
} from '../agent/waiting.ts';
import { INVENTORY } from './core/messages.ts';

const waiter: Waiter = {
  server: 'http://10.9.0.1:8080',
  mac: '52:54:00:09:00:01',
  host: '',
  inventory: INVENTORY,
  pollingMs: 5000,
};
const stranger: NodeAnswer = { known: false, armed: false, name: null, armedSince: null };
const away = new SwarmbootError('network', 'cannot get it: no answer; look');

function rooms(answers: (NodeAnswer | SwarmbootError)[]) {
  const shown: string[] = [];
  const sent: Message[] = [];
  const fakes: WaitingRooms = {
    show: (text) => void shown.push(text),
    send: (message) => void sent.push(message),
    ask: async () => {
      const answer = answers.shift()!;
      if (answer instanceof SwarmbootError) throw answer;
      return answer;
    },
    sleep: async (_, signal) => signal.throwIfAborted(),
  };
  return { fakes, shown, sent };
}

test('it asks until it is armed, tells its inventory once, and draws its screen when that changes', async (t) => {
  const known = { ...stranger, known: true, name: 'node001' };
  const { fakes, shown, sent } = rooms([stranger, stranger, away, known, known, { ...known, armed: true }]);
  await waitUntilArmed(waiter, fakes, t.signal);
  equal(shown.length, 3);
  const start = '\x1b[2J\x1b[HSwarmboot: this machine waits.';
  for (const screen of shown) equal(screen.slice(0, start.length), start);
  equal(sent.length, 6);
  deepEqual(
    sent.map(({ inventory }) => inventory !== null),
    [true, false, false, false, false, false],
  );
  deepEqual([sent[0]!.status, sent[0]!.stage, sent[0]!.mac], [0, 'waiting', waiter.mac]);
});

test('it ends with its signal', async () => {
  const ending = new AbortController();
  ending.abort(new SwarmbootError('interrupted', 'stopped'));
  await rejects(waitUntilArmed(waiter, rooms([stranger]).fakes, ending.signal), /stopped/);
});

test('the screen says who it is and what to do', () => {
  equal(
    waitingScreen(waiter, stranger),
    `Swarmboot: this machine waits.

    MAC        52:54:00:09:00:01
    name       -
    model      QEMU Standard PC (Q35 + ICH9, 2009)
    serial     S1
    processor  EPYC, 2 threads
    memory     1.0 GiB
    disk       vda 4.0 GiB d1
    link       eth0 52:54:00:09:00:01 up 10.9.0.101
    link       eth1 52:54:00:09:00:02 down

It is not in nodes.conf of http://10.9.0.1:8080. To install it, add there the line

    NAME mac=52:54:00:09:00:01 image=IMAGE

and run

    swarmboot node arm NAME
`,
  );
});

test('the screen of a node that is known says how it is armed, and of a server that is away why', () => {
  const known = waitingScreen(waiter, { ...stranger, known: true, name: 'node001' });
  match(
    known,
    /It is node001 of http:\/\/10\.9\.0\.1:8080, and not armed.*\n\n {4}swarmboot node arm node001\n$/,
  );
  match(waitingScreen(waiter, away), /\ncannot get it: no answer; look\n$/);
});

test('nothing that a machine says of itself steers the console', () => {
  const inventory = { ...INVENTORY, model: 'x\x1b[31m', serial: 'a\nb' };
  const screen = waitingScreen({ ...waiter, inventory, host: '\x07' }, stranger);
  match(screen, /x\\u001b\[31m/);
  match(screen, /a\\u000ab/);
});

const armed = (armedSince: string): NodeAnswer => ({ known: true, armed: true, name: 'node001', armedSince });

test('a parked machine shows why, and stays, though it is still armed, until it is armed again', async (t) => {
  const first = armed('2026-01-31T12:00:00.000Z');
  const none = { ...first, armed: false, armedSince: null };
  const answers = [away, first, away, first, none, armed('2026-01-31T11:00:00.000Z'), first];
  const { fakes, shown, sent } = rooms(answers);
  await waitUntilArmedAgain(waiter, 'nothing was written: \x1b[2J\n  the disk is slow', fakes, t.signal);
  equal(answers.length, 1, 'an earlier time than ours is another time as well');
  deepEqual(sent, [], 'the last message of the install stands');
  equal(shown.length, 1);
  match(
    shown[0]!,
    /this machine is parked\.\n\nnothing was written: \\u001b\[2J\n {2}the disk is slow\n\n.*run on http:\/\/10\.9\.0\.1:8080\n\n {4}swarmboot node arm 52:54:00:09:00:01\n/,
  );
});

test('a machine that parked without being armed begins when it is; another end of waiting is its signal', async (t) => {
  const answers = [stranger, stranger, armed('2026-01-31T12:00:00.000Z')];
  await waitUntilArmedAgain(waiter, 'x', rooms(answers).fakes, t.signal);
  deepEqual(answers, []);
  const ending = new AbortController();
  ending.abort(new SwarmbootError('interrupted', 'stopped'));
  await rejects(waitUntilArmedAgain(waiter, 'x', rooms([away]).fakes, ending.signal), /stopped/);
});
