/** One program, two names: called as holdfastd it is the agent, as anything else the operator's CLI. */
import { writeFileSync } from "node:fs";
import { basename } from "node:path";

/** Keys must not reach a disk by way of a crash: a core dump of this process, or of a child, holds no memory at all. */
function emptyCoreDumps(): void {
  try {
    writeFileSync("/proc/self/coredump_filter", "0");
  } catch {
    // a kernel that dumps no cores has no such file
  }
}

emptyCoreDumps();
// The name it was called by; process.argv0 of a compiled program is what the shell used.
if (basename(process.argv0) === "holdfastd") {
  const { start } = await import("./main.ts");
  await start(process.argv.slice(2));
} else {
  const { start } = await import("../client/main.ts");
  await start(process.argv.slice(2));
}
