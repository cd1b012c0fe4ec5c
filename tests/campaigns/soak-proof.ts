/** The judge of the soak can fail: it is lied to in each way that it should notice, and has to name each lie. */
import { Miss } from "./campaign.ts";
import type { Episode } from "./soak-episode.ts";
import { judge, type Pushed } from "./soak-judge.ts";

/** How long a wall must stand to be noticed. */
const SHORT_MS = 1500;

async function mustMiss(what: string, kind: string, judging: Promise<void>): Promise<void> {
  const failure = await judging.then(
    () => undefined,
    (one: unknown) => one,
  );
  if (failure instanceof Miss && failure.counts[kind] === 1) return;
  throw new Error(`${what} is not noticed as ${kind}: ${failure}`);
}

/** Throws when a lie passes. Leaves the router as it was. */
export async function proveJudge(episode: Episode): Promise<void> {
  const { w, belief, bundles } = episode;
  const run = (script: string): Promise<string> => w.world.must(w.router, ["sh", "-c", script]);

  const made = await w.session.directive(bundles[belief.kept]!);
  const never: Pushed = { made, bundle: belief.kept, may: ["confirmed"], causes: [] };
  await mustMiss("a confirm that never was", "wrong_receipts", judge(episode, [never]));

  belief.burnt += 1n;
  await mustMiss("a generation that never was", "mixes", judge(episode, []));
  belief.burnt -= 1n;

  await run("sysctl -qw net.ipv4.ip_forward=0");
  await mustMiss("a changed kernel", "mixes", judge(episode, []));
  await run("sysctl -qw net.ipv4.ip_forward=1");

  // A reset says no at once; silence would take the patience of a connection to notice.
  const wall = "type filter hook input priority -500; tcp dport 8022 reject with tcp reset";
  await run(`nft 'table inet wall { chain in { ${wall}; }; }'`);
  await mustMiss("a wall around the router", "lockouts", judge(episode, [], SHORT_MS));
  await run("nft delete table inet wall");
  await judge(episode, []);
}
