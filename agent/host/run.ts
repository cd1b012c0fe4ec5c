/**
 * Other programs: fixed argument vectors, no shell, a minimal environment, a deadline and a cap on what they
 * may print. Reading commands run plainly; commands that change the kernel go through writer.ts.
 */
import { appendFileSync } from "node:fs";

export type RunOutput = {
  readonly exit: number; // 128 + signal when killed
  readonly stdout: string;
  readonly stderr: string; // at most 4,000 characters
  readonly late: boolean; // killed at the deadline
};

export type RunOptions = {
  readonly timeoutMs?: number; // default 20,000
  readonly maxBytes?: number; // of standard output, default 64 MiB: a listing of 2^20 elements fits
  readonly session?: boolean; // lead an own session, and kill all of it at the deadline
};

export type Run = (argv: readonly string[], options?: RunOptions) => Promise<RunOutput>;

export const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const STDERR_CAP = 4000;

async function readCapped(stream: ReadableStream<Uint8Array>, cap: number, overflow: () => void): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    if (size + chunk.length > cap) {
      overflow();
      chunks.push(chunk.subarray(0, cap - size));
      break;
    }
    size += chunk.length;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A runner with a search path (tests put their own programs in front). */
export function createRun(path: string = SYSTEM_PATH): Run {
  const env = { PATH: path, LC_ALL: "C", HOME: "/" };
  return async (argv, options = {}) => {
    const child = Bun.spawn([...argv], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      cwd: "/",
      env,
      detached: options.session === true,
    });
    const kill = (): void => {
      try {
        process.kill(options.session === true ? -child.pid : child.pid, "SIGKILL");
      } catch {
        // already gone
      }
    };
    let late = false;
    const deadline = setTimeout(() => {
      late = true;
      kill();
    }, options.timeoutMs ?? 20_000);
    const cap = options.maxBytes ?? 64 << 20;
    let exceeded = false;
    const overflow = (): void => {
      exceeded = true;
      kill();
    };
    try {
      const [stdout, stderr, exit] = await Promise.all([
        readCapped(child.stdout, cap, overflow),
        readCapped(child.stderr, STDERR_CAP, () => {}),
        child.exited,
      ]);
      const text = new TextDecoder();
      const note = exceeded ? `\noutput exceeds ${cap} bytes` : "";
      return { exit: exceeded ? 137 : exit, stdout: text.decode(stdout), stderr: text.decode(stderr) + note, late };
    } finally {
      clearTimeout(deadline);
    }
  };
}

/** Appends one JSON line for every command that may change the kernel; tests read that a no-op left none. */
export type RunLog = (entry: { readonly argv: readonly string[]; readonly exit: number; readonly ms: number }) => void;

export function createRunLog(file: string | undefined): RunLog {
  if (file === undefined) return () => {};
  return (entry) => appendFileSync(file, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
}
