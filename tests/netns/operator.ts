/** An operator's machine in a namespace: own home, own keys, the real command line, `--json` parsed. */
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { removeFolder, temporaryFolder } from "./folders.ts";
import type { Space, World } from "./world.ts";

export type Answer = {
  readonly exit: number;
  readonly json: Readonly<Record<string, unknown>>; // {} when nothing was printed
  readonly stdout: string;
  readonly stderr: string;
};

export class Operator {
  readonly world: World;
  readonly space: Space;
  readonly home: string;
  readonly site: string;
  /** Everything that the command line has said so far, on both streams. */
  readonly said: string[] = [];
  readonly #argv: readonly string[];

  constructor(world: World, space: Space, argv: readonly string[], site: string) {
    this.world = world;
    this.space = space;
    this.#argv = argv;
    this.home = temporaryFolder("operator");
    this.site = join(this.home, site);
    for (const folder of ["config", "state"]) mkdirSync(join(this.home, folder), { mode: 0o700 });
  }

  /** Files of this machine's keys and state live under `home` alone. */
  get environment(): Readonly<Record<string, string>> {
    return {
      HOME: this.home,
      XDG_CONFIG_HOME: join(this.home, "config"),
      XDG_STATE_HOME: join(this.home, "state"),
      GIT_CEILING_DIRECTORIES: this.home,
    };
  }

  /** One command as typed, in the site folder (or its parent, for `init`). */
  async type(
    words: readonly string[],
    options: { readonly timeoutMs?: number; readonly stdin?: string; readonly folder?: string } = {},
  ): Promise<Answer> {
    const argv = ["env", "-C", options.folder ?? this.site, ...this.#argv, ...words];
    const out = await this.world.exec(this.space, argv, {
      env: this.environment,
      timeoutMs: options.timeoutMs ?? 180_000,
      ...(options.stdin === undefined ? {} : { stdin: options.stdin }),
    });
    this.said.push(out.stdout, out.stderr);
    return { ...out, json: words.includes("--json") ? readJson(out.stdout) : {} };
  }

  /** A command with --json. */
  ask(...words: readonly string[]): Promise<Answer> {
    return this.type([...words, "--json"]);
  }

  /** `ask` that throws unless the command ends with 0. */
  async must(...words: readonly string[]): Promise<Answer> {
    const answer = await this.ask(...words);
    if (answer.exit !== 0)
      throw new Error(`holdfast ${words.join(" ")}: exit ${answer.exit}: ${answer.stdout}${answer.stderr}`);
    return answer;
  }

  /** Another machine of the same person: the same keys and site, nothing else in common. */
  twin(space: Space): Operator {
    const other = new Operator(this.world, space, this.#argv, this.site.slice(this.home.length + 1));
    cpSync(join(this.home, "config"), join(other.home, "config"), { recursive: true });
    cpSync(this.site, other.site, { recursive: true });
    return other;
  }

  remove(): void {
    removeFolder(this.home);
  }
}

function readJson(text: string): Readonly<Record<string, unknown>> {
  if (text.trim() === "") return {};
  return JSON.parse(text) as Readonly<Record<string, unknown>>;
}
