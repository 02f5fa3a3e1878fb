// From the happenings of an install to the messages that the image server gets, with every line of its log. Sending is done
// by whoever is given the messages.

import type { ErrorCode } from './core/errors.ts';
import type { Inventory } from './core/inventory.ts';
import { type LogLine, type Message, STATUS, type StageBegin, statusOf } from './core/monitor.ts';
import { formatEvent, type InstallEvent, type NodeReport, plainText, type StageName } from './core/report.ts';
import type { Ms } from './core/units.ts';
import type { PostAction } from './core/values.ts';

/** Lines kept; an install has some hundreds. */
const LINES_MAX = 2000;

/** Who reports, and what is known of it from the start. */
export interface Reporter {
  /** `aa:bb:cc:dd:ee:ff`. */
  readonly mac: string;
  readonly host: string;
  readonly image: string | null;
  /** Id of this install. */
  readonly install: string;
  readonly postAction: PostAction;
}

/** What a message tells of a fault. */
interface Fault {
  readonly error: string;
  readonly code: ErrorCode | null;
}

/** Follows one install. */
export class Reporting {
  readonly #who: Reporter;
  readonly #send: (message: Message) => void;
  readonly #now: () => Ms;
  readonly #startedMs: Ms;
  readonly #lines: LogLine[] = [];
  /** Lines that there have been, and those of them that messages had. */
  #count = 0;
  #sentCount = 0;
  readonly #stages: StageBegin[] = [];
  #stage: StageName = 'parameters';
  #report: NodeReport | null = null;
  /** What ended the install: whatever is told later does not hide it. */
  #failure: Fault | null = null;

  /** `send` gets each message; the install begins now. */
  constructor(who: Reporter, send: (message: Message) => void, now: () => Ms) {
    this.#who = who;
    this.#send = send;
    this.#now = now;
    this.#startedMs = now();
  }

  /** The last lines that were told, as the console shows them; of commands, also what they wrote. */
  get lines(): readonly string[] {
    return this.#lines.map(({ text }) => text);
  }

  /** Tells what this machine is made of. */
  equipped(inventory: Inventory): void {
    this.#tell(this.#status(), this.#failure, inventory);
  }

  /** Takes one happening. */
  take(event: InstallEvent): void {
    // A report says where it stands; the log, what happened.
    if (event.fact !== 'report') this.#keep(formatEvent(event));
    switch (event.fact) {
      case 'command':
        return this.#keep(event.text.split('\n').map(plainText).join('\n'));
      case 'stageBegan':
        this.#stage = event.stage;
        this.#stages.push({ stage: event.stage, atMs: this.#elapsedMs() });
        return this.#tell(this.#status());
      case 'report': {
        const { fact: _, ...report } = event;
        this.#report = report;
        return this.#tell(this.#status());
      }
      case 'stageRetried':
        return this.#tell(this.#status(), event);
      case 'stageFailed':
        this.#failure = event;
        return this.#tell(this.#status(), event);
    }
  }

  #status(): number {
    if (this.#failure !== null) return STATUS.failed;
    if (this.#stage !== 'post-action') return statusOf(this.#stage, this.#report?.percent ?? 0, false);
    const { postAction } = this.#who;
    if (postAction === 'poweroff') return STATUS.shutdown;
    return postAction === 'shell' ? STATUS.shell : STATUS.rebooting;
  }

  #tell(status: number, fault: Fault | null = null, inventory: Inventory | null = null): void {
    const { mac, host, image, install } = this.#who;
    const report = this.#report;
    const log = this.#lines.slice(this.#lines.length - (this.#count - this.#sentCount));
    this.#sentCount = this.#count;
    this.#send({
      format: 1,
      mac,
      host,
      image,
      install,
      status,
      stage: this.#stage,
      stages: [...this.#stages],
      text: fault?.error ?? '',
      code: fault?.code ?? null,
      report,
      inventory,
      log,
      logFrom: this.#count - log.length,
    });
  }

  #elapsedMs(): Ms {
    return Math.round(this.#now() - this.#startedMs);
  }

  #keep(text: string): void {
    const atMs = this.#elapsedMs();
    for (const line of text.split('\n').filter((line) => line !== '')) {
      this.#lines.push({ atMs, text: line });
      this.#count++;
    }
    this.#lines.splice(0, Math.max(0, this.#lines.length - LINES_MAX));
  }
}
