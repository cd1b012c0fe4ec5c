/**
 * An `nft` in place of the real one, in the router's own mount namespace, that answers as a kernel does which lacks
 * something: it refuses files that hold a chosen text, or the next load into the live ruleset. All else is real.
 */
import { copyFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RouterUnits } from "./units.ts";

export class PickyNft {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async install({ folder, world, space }: RouterUnits): Promise<PickyNft> {
    const live = (await world.must(space, ["readlink", "/proc/self/ns/net"])).trim();
    const file = (name: string): string => join(folder, `picky.${name}`);
    copyFileSync("/usr/sbin/nft", file("real"));
    const wrapper = `#!/bin/sh
text= before=
for word; do
  [ "$before" = -f ] && text=$word
  before=$word
done
if [ -n "$text" ]; then
  if [ -s ${file("lacks")} ] && grep -qF -f ${file("lacks")} "$text"; then
    echo "$text: Error: Could not process rule: No such file or directory" >&2
    exit 1
  fi
  case " $* " in
    *" -c "*) ;;
    *) if [ "$(readlink /proc/self/ns/net)" = "${live}" ] && mv ${file("fails")} ${file("failed")} 2>/dev/null; then
        echo "$text: Error: Could not process rule: Cannot allocate memory" >&2
        exit 1
      fi ;;
  esac
fi
exec ${file("real")} "$@"
`;
    writeFileSync(file("wrapper"), wrapper, { mode: 0o755 });
    await world.must(space, ["mount", "--bind", file("wrapper"), "/usr/sbin/nft"]);
    return new PickyNft(folder);
  }

  #file(name: string): string {
    return join(this.#folder, `picky.${name}`);
  }

  /** From now on nothing loads, in check mode or for good, that holds this text; undefined: everything does. */
  lack(text: string | undefined): void {
    rmSync(this.#file("lacks"), { force: true });
    if (text === undefined) return;
    writeFileSync(this.#file("lacks.new"), `${text}\n`);
    renameSync(this.#file("lacks.new"), this.#file("lacks"));
  }

  /** The next load into the live ruleset fails, after its check went well. */
  failNextLoad(): void {
    writeFileSync(this.#file("fails.new"), "");
    renameSync(this.#file("fails.new"), this.#file("fails"));
  }
}
