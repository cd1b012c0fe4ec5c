/** The programs that build a namespace: nft, ip and sysctl, and unshare for who is not root. Nothing else is started. */

/** What a program said; throws with its own words when it failed. */
export function must(argv: readonly string[], stdin = ""): string {
  const child = Bun.spawnSync([...argv], { stdin: Buffer.from(stdin), stdout: "pipe", stderr: "pipe" });
  if (child.exitCode === 0) return child.stdout.toString();
  throw new Error(`${argv.slice(0, 3).join(" ")}: ${child.stderr.toString().trim().slice(0, 400)}`);
}

/** Those of the programs that are not on this machine. */
export const missingTools = (names: readonly string[]): readonly string[] =>
  names.filter((name) => Bun.which(name) === null);

/** How this very program is called again: by its name where it is compiled, else through the runtime. */
function self(): readonly string[] {
  const script = process.argv[1] ?? "";
  return script === "" || script.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, script];
}

/**
 * Runs this command line once more as the root of a user namespace of its own, with --json: its exit code and what it
 * printed. Ends with it when this process is told to end.
 */
export async function again(words: readonly string[]): Promise<{ readonly exit: number; readonly stdout: string }> {
  const child = Bun.spawn(["unshare", "-Urn", "--", ...self(), ...words, "--json"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const stop = (signal: NodeJS.Signals): void => {
    child.kill("SIGKILL"); // what it made has no name, and goes with it
    process.exit(signal === "SIGINT" ? 130 : 143);
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    const stdout = await new Response(child.stdout).text();
    return { exit: await child.exited, stdout };
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}
