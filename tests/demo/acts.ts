/** The first half of the demo: a router from nothing to clients that reach what they may, and no more. */
import { readdirSync } from "node:fs";
import { ask, startServer } from "../netns/reach.ts";
import { LAN_HOST4, ROUTER, ROUTER4, SITE, WEB_PORT } from "../netns/sites.ts";
import { addClient, enrol, INIT_WORDS, initSite, type Stage } from "../netns/stage.ts";
import { raiseTunnel, type Tunnel } from "../netns/tunnel.ts";
import { INTERNET4 } from "../netns/wiring.ts";
import { type Shown, type Step, verify } from "./show.ts";

/** What one step leaves for the next. */
export type Play = {
  readonly stage: Stage;
  readonly configs: Map<string, string>; // printed configurations, by client
  readonly tunnels: Map<string, Tunnel>; // those that are up, by client
};

/** One decimal. */
export const seconds = (ms: number): number => Math.round(ms / 100) / 10;

async function seeWorld({ stage }: Play): Promise<Shown> {
  const { world, land, host } = stage;
  const places = [...world.spaces.keys()];
  verify(places.length === 5, "there are five namespaces", places);
  await startServer(world, host("lan"), [LAN_HOST4], [WEB_PORT]);
  await startServer(world, land.net, [INTERNET4], [WEB_PORT]);
  verify(await world.pings(stage.operator.space, ROUTER4), "the operator reaches the router");
  verify(await world.pings(land.router, LAN_HOST4), "the router reaches the LAN");
  const rules = (await world.must(land.router, ["nft", "list", "ruleset"])).trim();
  verify(rules === "", "the router has no firewall yet", rules);
  return {
    sentence: `Five network namespaces stand: ${places.join(", ")}. The router has addresses and a default route, and no firewall.`,
    evidence: { places, ruleset: rules },
  };
}

async function install({ stage }: Play): Promise<Shown> {
  const { units } = stage;
  const scripts = readdirSync(units.lib).length;
  verify(scripts > 0, "scripts are installed");
  const [agent, guard] = [units.agentPid, units.guardPid];
  const alive = units.guardBeats();
  verify(alive, "the guard beats");
  return {
    sentence: `holdfastd install wrote ${scripts} scripts and three units; boot script, guard (process ${guard}, sh) and agent (process ${agent}, compiled) run apart from each other.`,
    evidence: { scripts, agent, guard },
  };
}

async function init({ stage }: Play): Promise<Shown> {
  await initSite(stage, SITE, INIT_WORDS);
  const check = await stage.operator.must("check");
  const files = readdirSync(stage.operator.site).filter((name) => !name.startsWith("."));
  return {
    sentence: `holdfast init made a site (${files.join(", ")}) and the operator's keys; holdfast check proves it without any router.`,
    evidence: { files, exit: check.exit },
  };
}

async function firstTrust(play: Play): Promise<Shown> {
  const { stage } = play;
  const { seenByOperator, seenOnRouter } = await enrol(stage, ROUTER, ROUTER4);
  verify(seenByOperator === seenOnRouter, "both sides show one fingerprint", [seenByOperator, seenOnRouter]);
  verify(stage.units.mutations().length === 0, "the enrolment touched no kernel state");
  return {
    sentence: `A token went to the router by hand; both sides showed ${seenOnRouter}, and roster 2 names the router's keys. Nothing in its kernel was touched.`,
    evidence: { fingerprint: seenOnRouter, mutations: 0 },
  };
}

async function firstPush({ stage, configs }: Play): Promise<Shown> {
  const { operator, units } = stage;
  configs.set("alice", await addClient(stage, "alice", "full"));
  configs.set("bob", await addClient(stage, "bob", "split"));
  const started = performance.now();
  const { json } = await operator.must("push", "--yes", "--window", "10");
  const took = seconds(performance.now() - started);
  verify(json.outcome === "confirmed", "the push is confirmed", json.outcome);
  const outcomes = units.receipts().map((one) => one.outcome);
  verify(outcomes.join(" ") === "enrolled trial confirmed", "the log tells it", outcomes);
  return {
    sentence: `Two clients were added and pushed in ${took} s: ${json.steps} steps as a trial, then confirmed over a new connection through ${json.confirmed_lane}.`,
    evidence: { seconds: took, steps: Number(json.steps), lane: String(json.confirmed_lane), outcomes },
  };
}

async function fullClient({ stage, configs, tunnels }: Play): Promise<Shown> {
  const { world } = stage;
  const client = stage.host("client");
  const tunnel = await raiseTunnel(world, client, "wg-alice", configs.get("alice") ?? "");
  tunnels.set("alice", tunnel);
  const [address = ""] = tunnel.addresses.map((one) => one.replace(/\/.*/, ""));
  const lan = await ask(world, client, "tcp", LAN_HOST4, WEB_PORT);
  const internet = await ask(world, client, "tcp", INTERNET4, WEB_PORT);
  verify(lan.state === "open" && lan.text === address, "the LAN sees alice's own address", lan);
  verify(internet.state === "open" && internet.text === ROUTER4, "the internet sees the router", internet);
  return {
    sentence: `alice (profile full) dials in from the internet: the LAN server sees her as ${lan.text}, the internet host sees the router's ${internet.text}.`,
    evidence: { seenByLan: lan.text, seenByInternet: internet.text },
  };
}

/** Everything goes into bob's tunnel, as a client would that takes no notice of its configuration. */
async function splitClient({ stage, configs, tunnels }: Play): Promise<Shown> {
  const { world, land } = stage;
  const client = stage.host("client");
  await tunnels.get("alice")?.down();
  const greedy = (configs.get("bob") ?? "").replace(/AllowedIPs = .*/, "AllowedIPs = 0.0.0.0/0");
  const tunnel = await raiseTunnel(world, client, "wg-bob", greedy);
  const lan = await ask(world, client, "tcp", LAN_HOST4, WEB_PORT);
  const internet = await ask(world, client, "tcp", INTERNET4, WEB_PORT);
  verify(lan.state === "open", "bob reaches the LAN", lan);
  verify(internet.state === "silent", "bob does not reach the internet", internet);
  const [address = ""] = tunnel.addresses.map((one) => one.replace(/\/.*/, ""));
  const leaked = await world.must(land.router, ["conntrack", "-L", "-s", address, "-d", INTERNET4]).catch(() => "");
  verify(!leaked.includes(INTERNET4), "no flow of bob's was opened", leaked);
  await tunnel.down();
  tunnels.set("alice", await raiseTunnel(world, client, "wg-alice", configs.get("alice") ?? ""));
  return {
    sentence: `bob (profile split) reaches the LAN; the internet, which he was not granted, stays silent although he sends every packet into the tunnel.`,
    evidence: { lan: lan.state, internet: internet.state },
  };
}

/** Steps from nothing to working clients. */
export const beginning = (play: Play): readonly Step[] =>
  Object.entries({
    world: seeWorld,
    install,
    init,
    enrol: firstTrust,
    push: firstPush,
    full: fullClient,
    split: splitClient,
  }).map(([name, act]) => ({ name, run: () => act(play) }));
