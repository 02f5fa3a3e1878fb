import { describe } from 'node:test';
import { libtorrent } from '../foreign/clients.ts';
import { interop } from './cases.ts';

describe('libtorrent', { concurrency: true }, () => interop(libtorrent('default'), '127.0.0.1', '127.0.0.1'));
