/** What the machine that builds lacks or has wrong: what, where, and what to do next, in one message. */
export class BuildError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'BuildError';
  }
}
