// Several image servers of one node, with a clock of the test's own.

import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, SwarmbootError } from '../agent/core/errors.ts';
import { Servers } from '../agent/servers.ts';

const never = new AbortController().signal;

/** Servers `a`, `b`, `c`, what is noted, and the word that a server has been waited for long enough. */
function arena() {
  const notes: string[] = [];
  let wakes: (() => void)[] = [];
  const servers = new Servers(['http://a:1', 'http://b:1', 'http://c:1'], {
    sleep: (_, signal) =>
      new Promise((resolve, reject) => {
        wakes.push(resolve);
        signal.addEventListener('abort', () => reject(signal.reason));
      }),
    note: (text) => notes.push(text),
  });
  const waitedEnough = async () => {
    for (const wake of wakes) wake();
    wakes = [];
    await new Promise(setImmediate);
  };
  return { servers, notes, waitedEnough };
}

const fault = (code: ErrorCode, text: string) => Promise.reject(new SwarmbootError(code, text));
const hosts = (servers: Servers) => servers.all.map(({ hostname }) => hostname).join('');

test('the first server is asked, and the others only when it has failed', async () => {
  const { servers, notes } = arena();
  const asked: string[] = [];
  const work = async ({ hostname }: URL) => {
    asked.push(hostname);
    return hostname === 'a' ? fault('catalog', 'it is dead') : hostname;
  };
  equal(await servers.ask(async ({ hostname }) => hostname, never), 'a');
  equal(await servers.ask(work, never), 'b');
  equal(servers.first.hostname, 'b');
  equal(await servers.ask(work, never), 'b');
  deepEqual(asked, ['a', 'b', 'b'], 'a dead server is not asked again while another answers');
  deepEqual(notes, ['the image server http://b:1 is asked first from now on: http://a:1: it is dead']);
  equal(hosts(servers), 'abc', 'IMAGESERVER stays what it was');
});

test('a server that is silent is waited for, while the next is asked; the first answer counts', async () => {
  const { servers, waitedEnough } = arena();
  const answers = new Map<string, (text: string) => void>();
  const ended: string[] = [];
  const work = ({ hostname }: URL, signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      answers.set(hostname, resolve);
      signal.addEventListener('abort', () => {
        ended.push(hostname);
        reject(signal.reason);
      });
    });
  const slow = servers.ask(work, never);
  deepEqual([...answers.keys()], ['a']);
  await waitedEnough();
  deepEqual([...answers.keys()], ['a', 'b']);
  answers.get('a')!('late, yet first');
  equal(await slow, 'late, yet first');
  deepEqual(ended, ['a', 'b'], 'nobody is asked any longer');
  equal(servers.first.hostname, 'a');
  const dead = servers.ask(work, never);
  await waitedEnough();
  await waitedEnough();
  answers.get('c')!('c');
  equal(await dead, 'c');
  equal(servers.first.hostname, 'c');
});

test('when all fail the weightiest fault is thrown, with the words of each', async () => {
  const { servers } = arena();
  const failing = (codes: readonly ErrorCode[]) =>
    servers.ask(({ hostname }) => fault(codes['abc'.indexOf(hostname)]!, `no ${hostname}`), never);
  const thrown = (code: ErrorCode) => (error: unknown) => {
    const { message } = error as Error;
    for (const host of 'abc') match(message, new RegExp(`\\n {2}http://${host}:1: no ${host}`));
    return error instanceof SwarmbootError && error.code === code;
  };
  await rejects(failing(['signature', 'network', 'catalog']), thrown('catalog'));
  await rejects(failing(['signature', 'network', 'signature']), thrown('network'));
  await rejects(failing(['network', 'catalog', 'enrolment']), thrown('enrolment'));
  await rejects(failing(['signature', 'signature', 'report']), thrown('signature'));
});

test('in turn, no two servers are asked at once', async () => {
  const { servers, waitedEnough } = arena();
  let asking = 0;
  const answer = servers.askInTurn(async ({ hostname }) => {
    equal(++asking, 1);
    await waitedEnough();
    asking--;
    return hostname === 'c' ? hostname : fault('network', 'gone');
  }, never);
  equal(await answer, 'c');
});

test('whoever is stopped asks nobody else', async () => {
  for (const way of ['ask', 'askInTurn'] as const) {
    const { servers } = arena();
    const stop = new AbortController();
    const asked: string[] = [];
    const answer = servers[way](({ hostname }, signal) => {
      asked.push(hostname);
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    }, stop.signal);
    stop.abort(new Error('stopped'));
    await rejects(answer, /^Error: stopped$/);
    deepEqual(asked, ['a']);
  }
});
