/**
 * Asks Git about the site: which commit it is, and what is not committed. The only program that the client starts;
 * it runs nothing that the repository configures, and no Git, or no repository, is an ordinary answer.
 */

export type GitState = {
  readonly commit: string; // 40 or 64 hex digits; "" outside a repository and before the first commit
  readonly uncommitted: readonly string[]; // paths of the site
};

const LIMIT_MS = 5000;

function ask(folder: string, words: readonly string[]): string | undefined {
  const { PATH = "/usr/bin:/bin", HOME = "/" } = process.env;
  try {
    // fsmonitor would start a program of the repository's choice.
    const child = Bun.spawnSync(["git", "-c", "core.fsmonitor=false", "-C", folder, ...words], {
      env: { PATH, HOME, LC_ALL: "C", GIT_OPTIONAL_LOCKS: "0", GIT_TERMINAL_PROMPT: "0" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      timeout: LIMIT_MS,
    });
    return child.exitCode === 0 ? child.stdout.toString() : undefined;
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return undefined; // no Git on this machine
    throw error;
  }
}

/** The state of the site's repository; undefined when it is in none. */
export function gitState(folder: string): GitState | undefined {
  const status = ask(folder, ["status", "--porcelain=v1", "-z", "--no-renames", "--", "."]);
  if (status === undefined) return undefined;
  const head = ask(folder, ["rev-parse", "--verify", "--quiet", "HEAD"])?.trim() ?? "";
  const commit = /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(head) ? head : "";
  const uncommitted = status.split("\0").flatMap((line) => (line.length > 3 ? [line.slice(3)] : []));
  return { commit, uncommitted };
}
