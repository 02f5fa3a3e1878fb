// The small files of a site in a repository: disk layouts and scripts, as the catalog lists them. A file is read anew when
// it has changed; one that cannot be offered, or a layout that nobody could use, is told once for each of its states.

import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { SITE_FILE_BYTES_MAX, SITE_PATH, type SiteFile } from '../agent/core/catalog.ts';
import { parseLayout } from '../agent/core/disklayout.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { plainText } from '../agent/core/report.ts';
import { checkScripts, SCRIPT_PHASES } from '../agent/core/sitescripts.ts';
import { formatBytes, hex } from '../agent/core/units.ts';
import { digests } from '../agent/io/digest.ts';
import { absent, attempt } from './repository.ts';

const FOLDERS = ['layouts', ...SCRIPT_PHASES.map((phase) => `scripts/${phase}`)];
/** What editors leave behind. */
const LEFTOVER = /^\.|~$/;

interface Seen {
  /** Changes when the file does. */
  readonly state: string;
  /** Null: not to be offered. */
  readonly file: SiteFile | null;
}

export class SiteFiles {
  readonly #repo: string;
  readonly #problem: (text: string) => void;
  #seen: ReadonlyMap<string, Seen> = new Map();

  constructor(repo: string, problem: (text: string) => void) {
    this.#repo = repo;
    this.#problem = problem;
  }

  /** What is offered, sorted by path. */
  get files(): readonly SiteFile[] {
    return [...this.#seen.values()].flatMap(({ file }) => file ?? []);
  }

  /** Looks at the folders. Throws SwarmbootError('repository') when one cannot be read. */
  async follow(): Promise<void> {
    const seen = new Map<string, Seen>();
    for (const folder of FOLDERS) {
      const place = path.join(this.#repo, folder);
      const names = (await attempt(`read ${place}`, () => fs.readdir(place).catch(absent))) ?? [];
      for (const name of names.sort()) {
        if (LEFTOVER.test(name)) continue;
        const found = await this.#look(`${folder}/${name}`);
        if (found !== null) seen.set(`${folder}/${name}`, found);
      }
    }
    this.#seen = seen;
  }

  /** The content of an offered file; null when there is none of that path. */
  async read(sitePath: string): Promise<Uint8Array | null> {
    if (!this.#seen.get(sitePath)?.file) return null;
    const place = path.join(this.#repo, sitePath);
    return (await attempt(`read ${place}`, () => fs.readFile(place).catch(absent))) ?? null;
  }

  /** Null when the file is gone again. */
  async #look(sitePath: string): Promise<Seen | null> {
    const place = path.join(this.#repo, sitePath);
    const before = this.#seen.get(sitePath);
    const refused = (state: string, why: string): Seen => {
      if (before?.state !== state) this.#problem(plainText(`${place} is not offered: ${why}`));
      return { state, file: null };
    };
    try {
      const stat = await fs.stat(place).catch(absent);
      if (stat === undefined) return null;
      const state = [stat.ino, stat.size, stat.mtimeMs, stat.ctimeMs].join(' ');
      if (before?.state === state) return before;
      if (!SITE_PATH.test(sitePath)) return refused(state, `its name is not ${form(sitePath)}`);
      if (!stat.isFile()) return refused(state, 'it is no file');
      if (stat.size > SITE_FILE_BYTES_MAX) {
        return refused(state, `it is larger than ${formatBytes(SITE_FILE_BYTES_MAX)}`);
      }
      const content = await fs.readFile(place);
      this.#check(sitePath, content);
      const sha256 = hex(digests.sha256(content));
      return { state, file: { path: sitePath, size: content.length, sha256 } };
    } catch (error) {
      return refused(messageOf(error), messageOf(error));
    }
  }

  /** Tells what an install would refuse; it is offered nevertheless, for installs without it may go on. */
  #check(sitePath: string, content: Buffer): void {
    try {
      if (sitePath.startsWith('layouts/')) parseLayout(content.toString(), sitePath);
      else checkScripts([{ path: sitePath, content }]);
    } catch (error) {
      if (!(error instanceof SwarmbootError)) throw error;
      this.#problem(plainText(error.message.replace(/\s*\n\s*/g, ' ')));
    }
  }
}

function form(sitePath: string): string {
  return sitePath.startsWith('layouts/') ? 'NAME.json' : 'NNclass.description';
}
