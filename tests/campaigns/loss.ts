/**
 * `npm run loss -- --seed N --updates M [--only k]`: random re-pushes, one-client changes and rollbacks under traffic
 * that a real router carries between a tunnel, its LAN and the internet: flows that are as old as the run, and flows that
 * each packet opens. Lost is what entered the router and did not leave its policy, or what left a host and did not
 * arrive at the other; all of it counted by nft. Of the tunnel only the policy counts: its ends are programs, and what
 * they drop while they wait for a processor says nothing about an update.
 */
import { countEnds, type EndCounts, type Loss, lengthenQueue, lossBetween } from "../netns/ends.ts";
import { freshProgram } from "../netns/program.ts";
import { startFlows } from "../netns/reach.ts";
import { type ClientInput, editClient, homeIntent, LAN_HOST4 } from "../netns/sites.ts";
import { addClient, firstDay, openStage, type Stage } from "../netns/stage.ts";
import { startEcho, startSender } from "../netns/traffic.ts";
import { raiseTunnel } from "../netns/tunnel.ts";
import { INTERNET4 } from "../netns/wiring.ts";
import type { Space } from "../netns/world.ts";
import { type Random, runCampaign } from "./campaign.ts";

const ROUTED = 7; // port of what only kernels carry
const TUNNELLED = 8; // port of what goes through the tunnel
const OLD_PORT = 20_000; // source port of the old flows: one conntrack entry each, for the whole run
const NEW_PORTS = [30_000, 39_999] as const;
type Moving = { stop(): Promise<void> };

/** One old flow at 1,000 packets a second and a hundred new ones a second, between two places. */
async function move(from: Space, host: string, port: number): Promise<Moving> {
  const { world } = stage;
  const old = await startSender(world, from, { host, port, rate: 1000, bindPort: OLD_PORT });
  const [first, last] = NEW_PORTS;
  const fresh = await startFlows(world, from, { host, port, rate: 100, first, last });
  return {
    stop: async () => {
      await Promise.all([old.stop(), fresh.stop()]);
    },
  };
}

let stage: Stage;
let counts: () => Promise<EndCounts>;
let lost = 0;

/** Clients that every run starts with, so that a case does the same when it runs alone. */
const CHANGED = ["bob", "carol", "dave", "erin"];

/** A change of one client that is tried, taken back, and forgotten by the site. */
async function tryAndTakeBack(who: string): Promise<void> {
  const { operator } = stage;
  editClient(operator.site, who, toggleProfile);
  const acts = [
    { words: ["push", "--yes", "--no-confirm"], exit: 8 }, // pending
    { words: ["rollback"], exit: 0 },
  ];
  for (const { words, exit } of acts) {
    const answer = await operator.ask(...words);
    if (answer.exit !== exit)
      throw new Error(`${words.join(" ")}: exit ${answer.exit}: ${answer.stdout}${answer.stderr}`);
  }
  editClient(operator.site, who, toggleProfile);
}

/** One update: the same again, a client more, a change of one that is there, or one that is rolled back. */
async function update(index: number, random: Random): Promise<void> {
  const { operator } = stage;
  const [choice, who] = [random(5), CHANGED[random(CHANGED.length)]!];
  if (choice === 4) return tryAndTakeBack(who);
  if (choice === 1) await addClient(stage, `extra${index}`, random(2) === 0 ? "split" : "full");
  if (choice === 2) editClient(operator.site, who, toggleState);
  if (choice === 3) editClient(operator.site, who, toggleProfile);
  const answer = await operator.ask("push", "--yes");
  if (answer.exit !== 0) throw new Error(`push: exit ${answer.exit}: ${answer.stdout}${answer.stderr}`);
}

const toggleState = (one: ClientInput): ClientInput => ({
  ...one,
  state: one.state === "suspended" ? "active" : "suspended",
});

const toggleProfile = (one: ClientInput): ClientInput => ({
  ...one,
  grants: (one.grants ?? []).map((grant) => ({ ...grant, profile: grant.profile === "full" ? "split" : "full" })),
});

/** Traffic from the tunnel and from the LAN while `work` runs. */
async function carry(work: () => Promise<void>): Promise<Loss> {
  const before = await counts();
  const moving = [
    await move(stage.host("client"), LAN_HOST4, TUNNELLED),
    await move(stage.host("lan"), INTERNET4, ROUTED),
  ];
  await Bun.sleep(200);
  await work();
  await Bun.sleep(200);
  for (const one of moving) await one.stop();
  return lossBetween(before, await counts());
}

process.exitCode = await runCampaign(
  {
    name: "loss",
    size: "updates",
    cases: 50,
    setUp: async () => {
      stage = await openStage({ name: "loss", program: freshProgram() });
      await firstDay(stage, homeIntent());
      const conf = await addClient(stage, "alice", "full");
      for (const id of CHANGED) await addClient(stage, id, "split");
      await stage.operator.must("push", "--yes");
      await raiseTunnel(stage.world, stage.host("client"), "wg0", conf);
      await startEcho(stage.world, stage.host("lan"), { protocol: "udp", host: LAN_HOST4, port: TUNNELLED });
      await startEcho(stage.world, stage.land.net, { protocol: "udp", host: INTERNET4, port: ROUTED });
      await lengthenQueue(stage.world, stage.land.router, "hf-home");
      const ends = [stage.host("lan"), stage.land.net];
      counts = await countEnds(stage.world, stage.land.router, ends, ROUTED, [TUNNELLED]);
      return stage.close;
    },
    one: async ({ index, random }) => {
      const { packets, byPolicy, onTheWay } = await carry(() => update(index, random));
      const found = { packets, lost: Math.max(byPolicy, onTheWay) };
      lost += found.lost;
      if (found.lost !== 0)
        throw new Error(`lost ${byPolicy} of ${packets} packets in the policy, ${onTheWay} on the way`);
      return { packets: found.packets };
    },
    line: (sums, cases) => ({ updates: cases, packets: sums.packets ?? 0, lost }),
    miss: (line) => (line.packets === 0 ? "no packet was carried" : undefined),
  },
  process.argv.slice(2),
);
