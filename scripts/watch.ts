// What those who watch the cluster get over HTTP: the page with its parts, the cluster as JSON and as a stream of events,
// one machine, the runs, metrics, health. It only tells; nothing here changes anything.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseMac } from '../agent/core/mac.ts';
import { SERVER_BOUNDS } from './core/bounds.ts';
import { ClusterChanges, wholeChange } from './core/cluster.ts';
import { reportOfRun } from './core/runreport.ts';
import type { Metrics } from './metrics.ts';
import type { ClusterMonitor } from './monitor.ts';
import { loadPage, type PageFiles, SECURITY_HEADERS } from './pagefiles.ts';
import { formatReportHtml } from './reporthtml.ts';
import type { Reply } from './site.ts';

const WATCHERS_MAX = SERVER_BOUNDS.watchers;
/** Whoever reads more slowly than the cluster changes is let go, and comes back for the whole picture. */
const UNREAD_BYTES_MAX = SERVER_BOUNDS.unreadBytes;

export interface WatchOptions {
  readonly monitor: ClusterMonitor;
  readonly metrics: Metrics;
  /** Why nothing can be installed from here now; empty: it can. */
  readonly problem: () => string;
}

export class Watch {
  readonly #monitor: ClusterMonitor;
  readonly #page: PageFiles;
  readonly #metrics: Metrics;
  readonly #problem: () => string;
  readonly #changes = new ClusterChanges();
  readonly #watchers = new Set<ServerResponse>();
  #unwatch: (() => void) | null = null;

  constructor({ monitor, metrics, problem }: WatchOptions) {
    this.#monitor = monitor;
    this.#page = loadPage();
    this.#metrics = metrics;
    this.#problem = problem;
  }

  /** The answer to a GET; null when the path is nothing of ours. Throws SwarmbootError('repository'). */
  async get(url: string): Promise<Reply | null> {
    const file = this.#page.get(url);
    if (file !== undefined) return { status: 200, ...file };
    switch (url) {
      case '/cluster.json':
        return json(this.#monitor.cluster());
      case '/runs.json':
        return json(await this.#runs());
      case '/metrics':
        return { status: 200, ...(await this.#metrics.text()) };
      case '/healthz':
        return { status: 200, type: 'text/plain', body: 'ok\n' };
      case '/readyz':
        return this.#ready();
    }
    const [, id, ending, part] = /^\/runs\/([^/]+?)(?:\.(json|html)|\/([^/]+)\.json)$/.exec(url) ?? [];
    if (id !== undefined) return this.#run(id, ending ?? part!);
    const mac = parseMac(/^\/nodes\/([^/]+)\.json$/.exec(url)?.[1] ?? '');
    const detail = mac === null ? null : await this.#monitor.detail(mac);
    return detail === null ? null : json(detail);
  }

  /** Answers with events until the asker goes away: the whole picture, then once a second what has changed. */
  stream(request: IncomingMessage, response: ServerResponse): void {
    if (this.#watchers.size >= WATCHERS_MAX) {
      response.writeHead(503, { 'Content-Type': 'text/plain', 'Retry-After': '10' });
      response.end(`${WATCHERS_MAX} pages watch already; close one\n`);
      return;
    }
    response.writeHead(200, {
      ...SECURITY_HEADERS,
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
    });
    response.write(eventOf(wholeChange(this.#monitor.cluster())));
    this.#watchers.add(response);
    this.#unwatch ??= this.#monitor.watch(() => this.#tell());
    request.socket.setNoDelay(true);
    response.once('close', () => {
      this.#watchers.delete(response);
      if (this.#watchers.size > 0) return;
      this.#unwatch?.();
      this.#unwatch = null;
    });
  }

  #tell(): void {
    const event = eventOf(this.#changes.next(this.#monitor.cluster()));
    for (const response of this.#watchers) {
      if (response.writableLength > UNREAD_BYTES_MAX) response.destroy();
      else response.write(event);
    }
  }

  /** All runs, without their curves. */
  async #runs(): Promise<readonly object[]> {
    return (await this.#monitor.runs.list()).map(({ curves: _, ...head }) => head);
  }

  /** `part`: the report with the run's curves as `json`, the same as `html`, all its `nodes`, or one node's MAC. */
  async #run(id: string, part: string): Promise<Reply | null> {
    const run = await this.#monitor.runs.get(id);
    if (run === null) return null;
    const { nodes, ...head } = run;
    if (part === 'nodes') return json(nodes.map(({ curves: _, ...facts }) => facts));
    if (part === 'json') return json({ report: reportOfRun(run), run: head });
    if (part === 'html') {
      return { status: 200, type: 'text/html; charset=utf-8', body: formatReportHtml(reportOfRun(run), run) };
    }
    const mac = parseMac(part);
    const install = nodes.findLast((node) => node.mac === mac);
    return install === undefined ? null : json(install);
  }

  #ready(): Reply {
    const problem = this.#problem();
    if (problem === '') return { status: 200, type: 'text/plain', body: 'ready\n' };
    return { status: 503, type: 'text/plain', body: `${problem}\n` };
  }
}

function eventOf(data: object): string {
  return `retry: 2000\ndata: ${JSON.stringify(data)}\n\n`;
}

function json(value: object): Reply {
  return {
    status: 200,
    type: 'application/json',
    body: `${JSON.stringify(value)}\n`,
    headers: { 'Cache-Control': 'no-store' },
  };
}
