/** An operator's machine for one test: a temporary home with its own XDG folders, and the real CLI as a child process. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atEnd } from "../at-end.ts";
import { freshProgram } from "../netns/program.ts";

/** Compiled from these sources: it starts ten times faster than through the runtime, and is what people run. */
const program = freshProgram().cli;

export type Said = {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string; // without the lines that tell of progress: which there are hangs on how busy the machine is
  readonly progress: readonly string[]; // those lines
  /** The one object of --json; throws when stdout is anything else. */
  json(): Readonly<Record<string, unknown>>;
  /** Codes of the problems, from --json or from the error lines. */
  readonly codes: readonly string[];
};

const codesIn = (stdout: string, stderr: string): readonly string[] => {
  if (stdout.startsWith("{")) {
    const { problems = [] } = JSON.parse(stdout) as { problems?: readonly { code: string }[] };
    return problems.map((one) => one.code);
  }
  return [...stderr.matchAll(/^error: ([a-z_.]+)[ :]/gm)].map((match) => match[1]!);
};

const PROGRESS = /^[^\n]* \(\d+ s\)\n/gm;

function saidOf(exit: number, stdout: string, heard: string): Said {
  const stderr = heard.replace(PROGRESS, "");
  return {
    ...{ exit, stdout, stderr, progress: heard.match(PROGRESS) ?? [] },
    codes: codesIn(stdout, stderr),
    json: () => JSON.parse(stdout) as Readonly<Record<string, unknown>>,
  };
}

/** `init` of quickstart, for tests. */
export const INIT: readonly string[] = [
  ...["init", "homelab", "--router", "r1", "--uplink", "wan0", "--address", "198.51.100.1/24"],
  ...["--gateway", "198.51.100.254", "--lan", "lan0", "--lan-subnet", "10.0.0.0/24", "--holder", "alice"],
];

export class Place implements Disposable {
  readonly home = mkdtempSync(join(tmpdir(), "holdfast-cli-"));
  readonly site = join(this.home, "homelab");
  readonly keys = join(this.home, "config/holdfast/homelab");
  readonly state = join(this.home, "state/holdfast/homelab");

  /** `like`: with copies of everything in another home. */
  constructor(like?: Place) {
    if (like !== undefined) cpSync(like.home, this.home, { recursive: true });
    else for (const folder of ["config", "state"]) mkdirSync(join(this.home, folder), { mode: 0o700 });
  }

  get environment(): Readonly<Record<string, string>> {
    return {
      PATH: process.env.PATH ?? "/usr/bin:/bin",
      HOME: this.home,
      XDG_CONFIG_HOME: join(this.home, "config"),
      XDG_STATE_HOME: join(this.home, "state"),
      GIT_CEILING_DIRECTORIES: this.home,
      GIT_CONFIG_GLOBAL: "/dev/null",
    };
  }

  /** A command as typed in `folder` (the home when it is not given), off a terminal. */
  async run(words: readonly string[], folder = this.home): Promise<Said> {
    const child = Bun.spawn([...program, ...words], {
      cwd: folder,
      env: this.environment,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return saidOf(await child.exited, stdout, stderr);
  }

  /** A command in the site. */
  at(...words: readonly string[]): Promise<Said> {
    return this.run(words, this.site);
  }

  /** At a terminal: `answers` are typed one after the other, each when its text has appeared. */
  async type(
    words: readonly string[],
    answers: readonly { readonly after: string; readonly keys: string }[],
    folder = this.home,
  ): Promise<{ readonly exit: number; readonly screen: string }> {
    let screen = "";
    let next = 0;
    let from = 0;
    const child = Bun.spawn([...program, ...words], {
      cwd: folder,
      env: { ...this.environment, TERM: "xterm" },
      terminal: {
        cols: 120,
        rows: 50,
        data(terminal, data) {
          screen += new TextDecoder().decode(data);
          const wanted = answers[next];
          const at = wanted === undefined ? -1 : screen.indexOf(wanted.after, from);
          if (wanted === undefined || at < 0) return;
          next += 1;
          from = at + wanted.after.length;
          terminal.write(wanted.keys);
        },
      },
    });
    const exit = await child.exited;
    return { exit, screen };
  }

  /** Makes the site of quickstart with keys that are not locked. */
  async init(...more: readonly string[]): Promise<Said> {
    return this.run([...INIT, "--plain", ...more]);
  }

  read(path: string): string {
    return readFileSync(join(this.site, path), "utf8");
  }

  /** Every file below the home with mode and contents, for tests that nothing changed. */
  picture(): Readonly<Record<string, string>> {
    const files: Record<string, string> = {};
    const walk = (folder: string): void => {
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) walk(path);
        else files[path] = `${(statSync(path).mode & 0o777).toString(8)} ${readFileSync(path, "latin1")}`;
      }
    };
    walk(this.home);
    return files;
  }

  [Symbol.dispose](): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** What stories are copied from stays until the last of them. */
export function kept<Kept extends Disposable>(one: Kept): Kept {
  atEnd(() => one[Symbol.dispose]());
  return one;
}
