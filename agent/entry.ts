/** One program, two names: called as holdfastd it is the agent, as anything else the operator's CLI. */
import { basename } from "node:path";

// The name it was called by; process.argv0 of a compiled program is what the shell used.
if (basename(process.argv0) === "holdfastd") {
  const { start } = await import("./main.ts");
  await start(process.argv.slice(2));
} else {
  const { start } = await import("../client/main.ts");
  await start(process.argv.slice(2));
}
