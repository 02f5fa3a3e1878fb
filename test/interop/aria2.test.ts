import { describe } from 'node:test';
import { aria2 } from '../foreign/clients.ts';
import { interop } from './cases.ts';

describe('aria2', { concurrency: true }, () => interop(aria2, '127.0.0.1', '127.0.0.1'));
