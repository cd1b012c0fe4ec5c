/**
 * An `nft` that takes its time over the live ruleset, mounted over the real one in the router's own mount namespace.
 * It shows what an orphan does: an agent that is killed leaves its `nft` behind, which commits when it is ready.
 */
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RouterUnits } from "./units.ts";

export class SlowNft {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** From now on every `nft` of the router is the wrapper, which changes nothing until it is armed. */
  static async install({ folder, world, space }: RouterUnits): Promise<SlowNft> {
    const live = (await world.must(space, ["readlink", "/proc/self/ns/net"])).trim();
    const file = (name: string): string => join(folder, `nft.${name}`);
    copyFileSync("/usr/sbin/nft", file("real"));
    // Whoever renames "armed" is the slow one: the next load into the live namespace, and no other.
    const wrapper = `#!/bin/sh
case " $* " in
  *" -c "*) ;;
  *" -f "*)
    if [ "$(readlink /proc/self/ns/net)" = "${live}" ] && mv ${file("armed")} ${file("holding")} 2>/dev/null; then
      echo $$ >${file("pid.new")} && mv ${file("pid.new")} ${file("pid")}
      while [ -e ${file("holding")} ]; do sleep 0.1; done
    fi ;;
esac
exec ${file("real")} "$@"
`;
    writeFileSync(file("wrapper"), wrapper, { mode: 0o755 });
    await world.must(space, ["mount", "--bind", file("wrapper"), "/usr/sbin/nft"]);
    return new SlowNft(folder);
  }

  #file(name: string): string {
    return join(this.#folder, `nft.${name}`);
  }

  /** The next load into the live ruleset will wait. */
  arm(): void {
    rmSync(this.#file("pid"), { force: true });
    writeFileSync(this.#file("armed.new"), "");
    renameSync(this.#file("armed.new"), this.#file("armed"));
  }

  /** Waits until an `nft` waits; returns its process id. */
  async caught(timeoutMs = 60_000): Promise<number> {
    const limit = performance.now() + timeoutMs;
    while (!existsSync(this.#file("pid"))) {
      if (performance.now() > limit) throw new Error("no nft came");
      await Bun.sleep(20);
    }
    return Number(readFileSync(this.#file("pid"), "utf8"));
  }

  /** Lets the waiting one go on, if it still lives. */
  release(): void {
    rmSync(this.#file("holding"), { force: true });
  }
}
