/** One row of the problem table. */
export type ProblemEntry = {
  readonly code: string; // dotted, permanent
  readonly sentence: string; // what happened
  readonly status: 400 | 403 | 404 | 409 | 413 | 429 | 500 | 503; // HTTP, for transports that show one
  readonly exit: 1 | 2 | 3 | 4 | 5 | 6 | 8; // exit code of the CLI
  readonly safe: string; // what is still true
  readonly next: string; // the next command or act
};
