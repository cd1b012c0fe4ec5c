/** The agent's side of the dead-man: files of the run folder, the fence, and the one restore script. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "../../schemas/digest.ts";
import type { Guard, RestoreResult } from "../ports.ts";
import { bootMs } from "./clock.ts";
import { failpoint } from "./failpoint.ts";
import { readPairs, readText, writeVolatile } from "./files.ts";
import type { Backend } from "./kernel.ts";
import type { Run } from "./run.ts";

const ALIVE_MS = 3000;
const LOOK_MS = 200;
const FENCE_MS = 60_000; // the script itself gives up earlier
const RESTORE_MS = 180_000;

export type GuardParts = {
  readonly run: Run;
  readonly state: string;
  readonly runFolder: string;
  readonly lib: string;
  readonly backend: Backend;
};

/** Reads restore.result; undefined when it is absent or not complete. */
function readResult(path: string): RestoreResult | undefined {
  const text = readText(path);
  if (text === undefined) return undefined;
  const pairs = readPairs(text);
  const outcome = pairs.get("outcome");
  if (outcome !== "restored" && outcome !== "rescue" && outcome !== "failed") return undefined;
  return {
    outcome,
    by: pairs.get("by") ?? "",
    cause: pairs.get("cause") ?? "",
    token: pairs.get("token") ?? "-",
    epoch: Number(pairs.get("epoch") ?? "0"),
    lkg: pairs.get("lkg") ?? "-",
    atBootMs: Number(pairs.get("at_ms") ?? "0"),
    detail: pairs.get("detail") ?? "",
  };
}

export function createGuard(parts: GuardParts): Guard {
  const file = (name: string): string => join(parts.runFolder, name);
  const armedToken = (): string | undefined => {
    const text = readText(file("guard.armed"));
    return text === undefined ? undefined : readPairs(text).get("token");
  };
  const beats = (): boolean => {
    const age = bootMs() - Number(readText(file("guard.alive")) ?? "0");
    return age >= -ALIVE_MS && age <= ALIVE_MS;
  };
  const heartbeat = async (): Promise<void> => writeVolatile(file("agent.alive"), `${bootMs()}\n`);
  return {
    heartbeat,
    async alive(waitMs = 0) {
      const limit = bootMs() + waitMs;
      while (!beats()) {
        if (bootMs() >= limit) return false;
        await Bun.sleep(LOOK_MS);
      }
      return true;
    },
    async arm(trial) {
      await heartbeat(); // an old beat would let the guard fire at once
      const text = `token=${trial.token}\ndeadline_ms=${Math.floor(trial.deadlineBootMs)}\n`;
      writeVolatile(file("guard.armed"), text);
      if (readText(file("guard.armed")) !== text) throw new Error("guard.armed does not read back");
    },
    async disarm(token) {
      if (armedToken() !== token) return;
      /* @__PURE__ */ failpoint("disarm", "guard");
      rmSync(file("guard.armed"), { force: true });
      /* @__PURE__ */ failpoint("disarmed", "guard");
    },
    async armed() {
      return armedToken();
    },
    async own() {
      const owner = toHex(crypto.getRandomValues(new Uint8Array(16)));
      const argv = [join(parts.lib, "holdfast-fence"), parts.runFolder, owner];
      /* @__PURE__ */ failpoint("fence", "writer");
      const out = await parts.run(argv, { timeoutMs: FENCE_MS, session: true });
      /* @__PURE__ */ failpoint("fenced", "writer");
      if (out.exit !== 0) throw new Error(`the writer cannot be taken over: ${out.stderr.trim()}`);
      return owner;
    },
    async restore(cause, token) {
      const started = bootMs();
      const folders = ["--state", parts.state, "--run", parts.runFolder, "--backend", parts.backend];
      const reason = ["--by", "agent", "--cause", cause, "--token", token === "" ? "-" : token];
      const argv = [join(parts.lib, "holdfast-restore"), ...folders, ...reason];
      /* @__PURE__ */ failpoint("begin", "restore");
      const out = await parts.run(argv, { timeoutMs: RESTORE_MS, session: true });
      /* @__PURE__ */ failpoint("ended", "restore");
      const result = readResult(file("restore.result"));
      // An older result says nothing about this run.
      if (result !== undefined && result.by === "agent" && result.atBootMs >= started) return result;
      const detail = out.late
        ? "the restore did not end in time"
        : `exit ${out.exit}: ${out.stderr.trim().slice(-600)}`;
      return { outcome: "failed", by: "agent", cause, token, epoch: 0, lkg: "-", atBootMs: bootMs(), detail };
    },
    async lastResult() {
      return readResult(file("restore.result"));
    },
  };
}
