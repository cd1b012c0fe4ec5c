/** Joins the parts of a real machine. Loaded only by agent/main.ts and by tests. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "../ports.ts";
import { clock } from "./clock.ts";
import { makePrivateFolder } from "./files.ts";
import { createGuard } from "./guard.ts";
import { createKernel, detectBackend } from "./kernel.ts";
import { openKeyStore } from "./keys.ts";
import { createLog } from "./log.ts";
import { createOutsideWorld } from "./outside.ts";
import { createProbe } from "./probe.ts";
import { createRun, createRunLog } from "./run.ts";
import { readUplinks } from "./uplinks.ts";
import { createWriter } from "./writer.ts";

export type LiveOptions = {
  readonly state: string; // /var/lib/holdfast
  readonly run: string; // /run/holdfast
  readonly lib: string; // /usr/lib/holdfast: the scripts
  readonly backend: "auto" | "kernel" | "userspace";
  readonly runLog?: string; // file of mutating calls, one JSON object a line
  readonly path?: string; // search path of programs
};

/** Opens the machine. Throws when the state folder is open to others. Touches no kernel state. */
export async function liveHost(options: LiveOptions): Promise<Host> {
  makePrivateFolder(options.state);
  mkdirSync(options.run, { recursive: true, mode: 0o700 });
  const run = createRun(options.path);
  const backend = options.backend === "auto" ? await detectBackend(run) : options.backend;
  const folders = { state: options.state, run: options.run, lib: options.lib };
  const write = createWriter(run, createRunLog(options.runLog), folders);
  const parts = { run, backend, state: options.state, runFolder: options.run, lib: options.lib };
  return {
    clock,
    random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    kernel: createKernel({ ...parts, write }),
    outside: createOutsideWorld(run),
    keys: await openKeyStore(join(options.state, "keys")),
    guard: createGuard(parts),
    probe: createProbe(run),
    uplinks: (named) => readUplinks(run, named),
    log: createLog(),
  };
}
