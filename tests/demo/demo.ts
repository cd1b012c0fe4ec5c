/**
 * `npm run demo [-- --json]`: a router, a LAN, a client, an operator and the internet in network namespaces, the
 * compiled programs, and real packets. Each step verifies what it says. Ends with `demo: N steps, all verified` and
 * exit code 0 only if every step was; 1 otherwise, 2 on wrong options. Everything it made goes, however it ends.
 */

import { takeLock } from "../netns/lock.ts";
import { finished } from "../netns/program.ts";
import { openStage, type Stage } from "../netns/stage.ts";
import { beginning, type Play } from "./acts.ts";
import { show } from "./show.ts";
import { changes } from "./trials.ts";

const LIMIT_MS = 120_000;

async function main(args: readonly string[]): Promise<number> {
  const json = args.includes("--json");
  const unknown = args.find((word) => word !== "--json");
  if (unknown !== undefined) {
    process.stderr.write(`demo: ${unknown} is unknown; the only option is --json\n`);
    return 2;
  }
  if (process.getuid?.() !== 0) {
    process.stderr.write("demo: network namespaces need root: sudo npm run demo\n");
    return 2;
  }
  let stage: Stage | undefined;
  const release = await takeLock(); // waiting for another world is not the demo's time
  // The world goes at exit too: see tests/netns/world.ts.
  const limit = setTimeout(() => {
    process.stderr.write(`demo: not finished within ${LIMIT_MS / 1000} s\n`);
    process.exit(1);
  }, LIMIT_MS);
  try {
    stage = await openStage({ name: "demo", program: finished });
    const play: Play = { stage, configs: new Map(), tunnels: new Map() };
    const steps = [...beginning(play), ...changes(play)];
    const good = await show(steps, json, (line) => void process.stdout.write(`${line}\n`));
    return good ? 0 : 1;
  } finally {
    clearTimeout(limit);
    await stage?.close();
    release();
  }
}

process.exit(await main(process.argv.slice(2)));
