/**
 * Decision tokens: decision/<token>.undecided becomes .confirmed or .rolled-back by one rename, which only one of
 * agent, guard and boot script can win (agent/scripts/record.sh holds the other side).
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Decision } from "../core/lifecycle.ts";
import { failpoint } from "./failpoint.ts";
import { syncFolder, writeOnce } from "./files.ts";

const DECISIONS = ["confirmed", "rolled-back", "undecided"] as const;

export type Tokens = {
  create(token: string): void;
  decision(token: string): Decision | "missing";
  decide(token: string, as: "confirmed" | "rolled-back"): Decision | "missing";
  drop(token: string): void;
  list(): readonly string[];
};

export function openTokens(state: string): Tokens {
  const folder = join(state, "decision");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = (token: string, decision: Decision): string => {
    if (!/^[0-9A-Za-z_-]{1,64}$/.test(token)) throw new Error("not a token");
    return join(folder, `${token}.${decision}`);
  };
  const decision = (token: string): Decision | "missing" =>
    DECISIONS.find((one) => existsSync(path(token, one))) ?? "missing";
  return {
    create(token) {
      // A repeat after a failed sync finds its own file.
      writeOnce(path(token, "undecided"), "");
      syncFolder(folder);
    },
    decision,
    decide(token, as) {
      try {
        /* @__PURE__ */ failpoint(as, folder);
        renameSync(path(token, "undecided"), path(token, as));
        /* @__PURE__ */ failpoint("decided", folder);
      } catch (failure) {
        if ((failure as NodeJS.ErrnoException).code !== "ENOENT") throw failure;
      }
      syncFolder(folder);
      return decision(token);
    },
    drop(token) {
      /* @__PURE__ */ failpoint("drop", folder);
      for (const one of DECISIONS) rmSync(path(token, one), { force: true });
      /* @__PURE__ */ failpoint("dropped", folder);
      syncFolder(folder);
    },
    list: () =>
      readdirSync(folder).flatMap(
        (name) => /^([0-9A-Za-z_-]+)\.(?:undecided|confirmed|rolled-back)$/.exec(name)?.[1] ?? [],
      ),
  };
}
