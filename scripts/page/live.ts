// The cluster as the server tells it, kept up to date by its stream of events. Who wants to know of changes is called.

import type { Cluster, ClusterChange, ClusterNode } from '../core/cluster.ts';

/** The server tells something each second: after so long without a word it is away. */
const SILENT_MS = 5000;

export type Connection = 'connecting' | 'live' | 'away';

export class Live {
  /** Null before the server has told the first time. */
  picture: Omit<Cluster, 'nodes'> | null = null;
  readonly nodes = new Map<string, ClusterNode>();
  connection: Connection = 'connecting';
  /** MACs of the nodes that the last change was about; null: all. */
  changed: ReadonlySet<string> | null = null;
  readonly #listeners = new Set<() => void>();
  #heardMs = 0;
  #source: EventSource | null = null;

  start(): void {
    this.#open();
    setInterval(() => {
      if (this.connection === 'live' && performance.now() - this.#heardMs > SILENT_MS) this.#lose();
    }, 1000);
  }

  /** Calls `listener` after each change. Returns what ends that. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #open(): void {
    const source = new EventSource('/events');
    this.#source = source;
    source.addEventListener('message', ({ data }) => {
      this.#heardMs = performance.now();
      this.connection = 'live';
      this.#take(JSON.parse(data) as ClusterChange);
    });
    source.addEventListener('error', () => this.#lose());
  }

  /** Whoever comes back is told everything anew. A browser gives some streams up for good: then we ask ourselves. */
  #lose(): void {
    if (this.connection !== 'connecting') this.connection = 'away';
    this.#source?.close();
    this.#source = null;
    setTimeout(() => {
      if (this.#source === null) this.#open();
    }, 2000);
    this.#tell();
  }

  #take({ nodes, gone, whole, ...picture }: ClusterChange): void {
    this.picture = picture;
    if (whole) this.nodes.clear();
    for (const mac of gone) this.nodes.delete(mac);
    for (const node of nodes) this.nodes.set(node.mac, node);
    this.changed = whole || gone.length > 0 ? null : new Set(nodes.map(({ mac }) => mac));
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
