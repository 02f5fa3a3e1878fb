// A process of its own that reports like so many nodes, until it is ended: URL NODES INSTALL_MS.

import { reportLikeNodes } from '../../crowd.ts';

const [, , url = '', nodes = '', installMs = ''] = process.argv;
const ending = new AbortController();
process.once('SIGTERM', () => ending.abort());
const crowd = {
  nodes: Number(nodes),
  image: 'web',
  imageBytes: 600e6,
  installMs: Number(installMs),
  reportMs: 2000,
};
await reportLikeNodes(url, crowd, ending.signal);
process.exit();
