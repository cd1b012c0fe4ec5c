/** Tools of the router that can be watched, and made to lie, to hang or to be missing, for everybody on that router. */
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RouterUnits } from "../netns/units.ts";

/** The first folder of every search path that the scripts and the agent have. */
const FIRST = "/usr/local/sbin";

/** What the scripts call to change something or to make it durable. */
const WATCHED = ["nft", "ip", "wg", "wireguard-go", "mv", "cp", "sync", "awk", "flock", "sha256sum"] as const;

export type Tool = (typeof WATCHED)[number];
/**
 * What a tool does when it is to change the live kernel; asking, checking and loading into another namespace still
 * work, so that nothing is refused before. lie: it ends with 0 and has done nothing.
 */
export const FAULTS = ["lie", "hang", "missing"] as const;
export type Fault = (typeof FAULTS)[number];

const acts: Readonly<Record<Fault, string>> = {
  lie: "exit 0",
  hang: "while :; do sleep 1; done",
  missing: "exit 127",
};

const BROKEN = `case " $* " in
*" -c "*) ;;
*" -f "* | *" set "* | *" add "* | *" replace "* | *" -batch "*)
  if [ "$(readlink /proc/self/ns/net)" = "$live" ]; then
    echo "$0 $*" >>"$told"
    $act
  fi ;;
esac`;

export class Tools {
  readonly #folder: string;
  readonly #points: string;
  readonly #live: string;

  private constructor(folder: string, points: string, live: string) {
    this.#folder = folder;
    this.#points = points;
    this.#live = live;
  }

  /** Mounts a folder of wrappers over the first one of the search path, in the router's own mount namespace. */
  static async install({ folder, world, space }: RouterUnits): Promise<Tools> {
    const [tools, points] = [join(folder, "tools"), join(folder, "failpoints")];
    for (const path of [tools, points]) mkdirSync(path, { recursive: true });
    const live = (await world.must(space, ["readlink", "/proc/self/ns/net"])).trim();
    const made = new Tools(tools, points, live);
    for (const tool of WATCHED) made.mend(tool);
    await world.must(space, ["mount", "--bind", tools, FIRST]);
    return made;
  }

  #write(tool: Tool, text: string): void {
    const file = join(this.#folder, tool);
    rmSync(file, { force: true });
    writeFileSync(file, `#!/bin/sh\n${text}\n`);
    chmodSync(file, 0o755);
  }

  #real(tool: Tool): string {
    const path = Bun.which(tool, { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" });
    if (path === null) throw new Error(`no ${tool} on this machine`);
    return path;
  }

  /** The tool works, and is watched. */
  mend(tool: Tool): void {
    const watch = join(import.meta.dir, "watch.sh");
    this.#write(
      tool,
      `[ -e ${this.#points}/plan ] || exec ${this.#real(tool)} "$@"\nexec ${watch} ${this.#points} ${tool} ${this.#real(tool)} "$@"`,
    );
  }

  break(tool: Tool, fault: Fault): void {
    rmSync(join(this.#points, "broken"), { force: true });
    const head = `live='${this.#live}' told=${join(this.#points, "broken")}`;
    this.#write(tool, `${head}\n${BROKEN.replace("$act", acts[fault])}\nexec ${this.#real(tool)} "$@"`);
  }

  /** True when a broken tool was called to change something. */
  get called(): boolean {
    return existsSync(join(this.#points, "broken"));
  }
}
