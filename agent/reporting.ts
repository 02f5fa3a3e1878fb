// From the happenings of an install to the messages that the image server gets, and the log that a failed install leaves
// there. Sending is done by whoever is given the messages.

import { type Message, STATUS, statusOf } from './core/monitor.ts';
import { formatEvent, type InstallEvent, type NodeReport, plainText, type StageName } from './core/report.ts';
import type { PostAction } from './core/values.ts';

/** Lines kept; an install has some hundreds. */
const LINES_MAX = 2000;

/** Who reports, and what is known of it from the start. */
export interface Reporter {
  /** `aa:bb:cc:dd:ee:ff`. */
  readonly mac: string;
  readonly host: string;
  readonly image: string | null;
  readonly postAction: PostAction;
}

/** Follows one install. */
export class Reporting {
  readonly #who: Reporter;
  readonly #send: (message: Message) => void;
  readonly #lines: string[] = [];
  #stage: StageName = 'parameters';
  #report: NodeReport | null = null;

  /** `send` gets each message. */
  constructor(who: Reporter, send: (message: Message) => void) {
    this.#who = who;
    this.#send = send;
  }

  /** The last lines that were told, as the console shows them; of commands, also what they wrote. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Takes one happening. */
  take(event: InstallEvent): void {
    this.#keep(formatEvent(event));
    switch (event.fact) {
      case 'command':
        return this.#keep(event.text.split('\n').map(plainText).join('\n'));
      case 'stageBegan':
        this.#stage = event.stage;
        return this.#tell(this.#status(), '');
      case 'report': {
        const { fact: _, ...report } = event;
        this.#report = report;
        return this.#tell(this.#status(), '');
      }
      case 'stageRetried':
        return this.#tell(this.#status(), event.error);
      case 'stageFailed':
        return this.#tell(STATUS.failed, event.error, this.#lines);
    }
  }

  #status(): number {
    if (this.#stage !== 'post-action') return statusOf(this.#stage, this.#report?.percent ?? 0, false);
    const { postAction } = this.#who;
    if (postAction === 'poweroff') return STATUS.shutdown;
    return postAction === 'shell' ? STATUS.shell : STATUS.rebooting;
  }

  #tell(status: number, text: string, log: readonly string[] = []): void {
    const { mac, host, image } = this.#who;
    const report = this.#report;
    this.#send({
      format: 1,
      mac,
      host,
      image,
      status,
      stage: this.#stage,
      text,
      report,
      inventory: null,
      log,
    });
  }

  #keep(text: string): void {
    const lines = text.split('\n').filter((line) => line !== '');
    this.#lines.push(...lines);
    this.#lines.splice(0, Math.max(0, this.#lines.length - LINES_MAX));
  }
}
