/**
 * The only way to change the kernel: one command under holdfast-write, in its own session, as an owner that the
 * fence can replace. See docs/decisions/0002-one-restore-script.md.
 */
import { join } from "node:path";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { failpoint } from "./failpoint.ts";
import type { Run, RunLog } from "./run.ts";

export type Writer = (
  owner: string,
  token: string, // "" when no trial guards the write; "confirmed:<token>" after the confirm
  argv: readonly string[],
  what: string, // for the operator: what was being done
  already?: RegExp, // complaint of a command whose goal was reached before: a success
) => Promise<Result<void>>;

const LOCK_BUSY = 75;
const OTHER_OWNER = 76;
const TOKEN_DECIDED = 77;

/** Turns an exit of holdfast-write or of its command into a refusal. */
function judge(what: string, exit: number, stderr: string, late: boolean): Result<void> {
  if (late) return refuse("apply.kernel_timeout", what, "the command did not end within its time limit");
  if (exit === 0) return done(undefined);
  if (exit === LOCK_BUSY) return refuse("apply.writer_busy", what, "another process writes to the kernel");
  if (exit === OTHER_OWNER) return refuse("apply.stale_owner", what, "another process has taken over the writer");
  if (exit === TOKEN_DECIDED) return refuse("apply.trial_decided", what, "the trial has been decided meanwhile");
  return refuse("apply.kernel_refused", what, `exit ${exit}: ${stderr.trim().slice(0, 600)}`);
}

export function createWriter(
  run: Run,
  log: RunLog,
  folders: { readonly state: string; readonly run: string; readonly lib: string },
  timeoutMs = 30_000,
): Writer {
  const head = (owner: string, token: string): string[] => [
    join(folders.lib, "holdfast-write"),
    folders.run,
    folders.state,
    owner,
    token === "" ? "-" : token,
  ];
  return async (owner, token, argv, what, already) => {
    const started = performance.now();
    /* @__PURE__ */ failpoint("perform", what);
    const out = await run([...head(owner, token), ...argv], { timeoutMs, session: true });
    /* @__PURE__ */ failpoint("performed", what);
    log({ argv, exit: out.exit, ms: Math.round(performance.now() - started) });
    if (!out.late && out.exit < LOCK_BUSY && already?.test(out.stderr) === true) return done(undefined);
    return judge(what, out.exit, out.stderr, out.late);
  };
}
