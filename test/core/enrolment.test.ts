import { deepEqual, doesNotMatch, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  machineSerial,
  macOfToken,
  parseEnrolled,
  parseEnrolRequest,
  proofIn,
  withProof,
} from '../../agent/core/enrolment.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { encodeMessage, parseMessage } from '../../agent/core/monitor.ts';
import { message } from './messages.ts';

const TOKEN = `525400090001.${'k'.repeat(43)}`;
const SECRET = 's'.repeat(43);
const isReport = (error: unknown) => error instanceof SwarmbootError && error.code === 'report';

test('a request to enrol and the answer read back', () => {
  const request = { mac: '52:54:00:09:00:01', serial: 'S1' };
  deepEqual(parseEnrolRequest(JSON.stringify(request)), request);
  const enrolled = { token: TOKEN, secret: SECRET };
  deepEqual(parseEnrolled(JSON.stringify(enrolled)), enrolled);
});

test('whatever else comes is refused, and nothing of a token is in the fault', () => {
  for (const text of ['', '{}', '{"mac":"525400090001","serial":""}', '{"mac":"52:54:00:09:00:01"}'])
    throws(() => parseEnrolRequest(text), isReport);
  const wrong = [
    { token: `${TOKEN}k`, secret: SECRET },
    { token: TOKEN, secret: `${SECRET}\u0000` },
    { token: TOKEN.slice(13), secret: SECRET },
    { token: TOKEN },
  ];
  for (const answer of wrong) {
    throws(
      () => parseEnrolled(JSON.stringify(answer)),
      (error) => {
        doesNotMatch(String(error), /kk|ss{3}/);
        return isReport(error);
      },
    );
  }
});

test('a token says whose it is, or is none', () => {
  equal(macOfToken(TOKEN), '525400090001');
  fc.assert(fc.property(fc.string(), (text) => macOfToken(text) === null));
  for (const text of ['', TOKEN.replace('5', 'g'), ` ${TOKEN}`, `${TOKEN}\n`]) equal(macOfToken(text), null);
});

test('a serial number is one word, whatever firmware says', () => {
  equal(machineSerial('VMware-56 4d 9a\n'), 'VMware-564d9a');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const serial = machineSerial(text);
      equal(/\s|\p{Cc}/u.test(serial), false);
      equal(parseEnrolRequest(JSON.stringify({ mac: '52:54:00:09:00:01', serial })).serial, serial);
    }),
  );
});

test('the proof goes with a message and is no part of it', () => {
  const text = encodeMessage(message({ status: 102 }));
  const proof = '0a'.repeat(32);
  equal(proofIn(withProof(text, proof)), proof);
  deepEqual(parseMessage(withProof(text, proof)), parseMessage(text));
  equal(withProof(text, null), text);
  equal(proofIn(text), null);
  for (const other of [null, 7, [proof], proof.slice(1), `${proof}\n`])
    equal(proofIn(JSON.stringify({ proof: other })), null);
  throws(() => proofIn('[]'), isReport);
});
