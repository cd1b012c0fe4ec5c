/**
 * The whole stage of an end-to-end test or of the demo: a wired world, a router with boot script, guard and agent,
 * an operator with the command line, and an observer of the kernel. Everything goes when it closes.
 */
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import type { IntentInput } from "../../schemas/intent.ts";
import { Operator } from "./operator.ts";
import type { Program } from "./program.ts";
import { GATEWAY4, homeIntent, ROUTER, ROUTER4, SITE, writeIntent } from "./sites.ts";
import { Observer } from "./state.ts";
import { raiseTunnel } from "./tunnel.ts";
import { RouterUnits } from "./units.ts";
import { homeWiring, type Land, type Wiring, wire } from "./wiring.ts";
import { type Space, World } from "./world.ts";

export type Stage = {
  readonly world: World;
  readonly land: Land;
  readonly units: RouterUnits;
  readonly operator: Operator;
  readonly observer: Observer;
  host(name: string): Space;
  close(): Promise<void>;
};

export type StageOptions = {
  readonly name: string; // of the world
  readonly program: Program;
  readonly wiring?: Wiring; // homeWiring with a client and an operator when absent
  readonly site?: string;
};

/** Builds the world and powers the router up. Not enrolled yet; the site does not exist yet. */
export async function openStage(options: StageOptions): Promise<Stage> {
  const world = await World.create({ name: options.name });
  try {
    const land = await wire(world, options.wiring ?? homeWiring(["client", "operator"]));
    const host = (name: string): Space => {
      const found = land.hosts.get(name);
      if (found === undefined) throw new Error(`no host ${name}`);
      return found;
    };
    const units = new RouterUnits(world, land.router, options.program.agent);
    const operator = new Operator(world, host("operator"), options.program.cli, options.site ?? SITE);
    await units.install();
    await units.powerUp();
    const observer = await Observer.start(units);
    const close = async (): Promise<void> => {
      await observer.close();
      world.destroy();
      units.remove();
      operator.remove();
    };
    return { world, land, units, operator, observer, host, close };
  } catch (failure) {
    world.destroy();
    throw failure;
  }
}

export type Enrolment = {
  readonly seenByOperator: string; // the fingerprint that the command line showed
  readonly seenOnRouter: string; // the one that holdfastd printed
};

/** The starting words of `init` in the world of homeWiring. */
export const INIT_WORDS: readonly string[] = [
  ...["--router", ROUTER, "--uplink", "wan0", "--address", `${ROUTER4}/24`, "--gateway", GATEWAY4],
  ...["--lan", "lan0", "--lan-subnet", "10.0.0.0/24", "--holder", "ann", "--plain"],
];

/** `holdfast init` in the operator's home; throws when it does not end with 0. */
export async function initSite({ operator }: Stage, name: string, words: readonly string[]): Promise<void> {
  const out = await operator.type(["init", name, ...words, "--json"], { folder: operator.home });
  if (out.exit !== 0) throw new Error(`holdfast init: exit ${out.exit}: ${out.stdout}${out.stderr}`);
}

/**
 * First trust, as two people do it: the operator makes a token and waits, the token is carried to the router, both
 * sides show a fingerprint, and only when they are the same the operator says so. `words` go to the command line besides.
 */
export async function enrol(
  { operator, units }: Pick<Stage, "operator" | "units">,
  router: string,
  at: string,
  words: readonly string[] = [],
): Promise<Enrolment> {
  const token = join(operator.site, `${router}.token`);
  const waiting = operator.type(["router", "enrol", router, "--at", at, ...words]);
  const limit = performance.now() + 10_000;
  while (!existsSync(token)) {
    if (performance.now() > limit) throw new Error(`no token: ${(await waiting).stderr}`);
    await Bun.sleep(20);
  }
  const carried = join(units.folder, "carried.token");
  copyFileSync(token, carried);
  const seenOnRouter = (await units.agentCommand("enrol", carried)).trim();
  // Off a terminal it can only show the fingerprint: nobody is there to be asked.
  const { stderr } = await waiting;
  const seenByOperator = /shows the fingerprint\s+(\S+)/.exec(stderr)?.[1] ?? "";
  if (seenByOperator === "") throw new Error(`no fingerprint was shown: ${stderr}`);
  if (seenByOperator !== seenOnRouter) throw new Error(`${seenByOperator} is not ${seenOnRouter}`);
  await operator.must("router", "enrol", router, "--at", at, "--fingerprint", seenByOperator, ...words);
  return { seenByOperator, seenOnRouter };
}

/** init, enrolment and the first push of the home site; `intent` replaces the one that init wrote. */
export async function firstDay(stage: Stage, intent: IntentInput = homeIntent()): Promise<Enrolment> {
  const { operator } = stage;
  await initSite(stage, SITE, INIT_WORDS);
  writeIntent(operator.site, intent);
  const enrolment = await enrol(stage, ROUTER, ROUTER4);
  await operator.must("push", "--yes");
  return enrolment;
}

/** `client add` on the network "home"; returns the printed configuration. */
export async function addClient({ operator }: Stage, id: string, profile: string): Promise<string> {
  const { json } = await operator.must("client", "add", id, "--network", "home", "--profile", profile);
  if (typeof json.config !== "string") throw new Error(`client add printed no configuration: ${JSON.stringify(json)}`);
  return json.config;
}

/** Raises the operator's end of the rescue lane; returns the router's address inside it. */
export async function raiseLane({ operator, world }: Stage): Promise<string> {
  const { json } = await operator.must("operator", "lane", "--conf");
  await raiseTunnel(world, operator.space, "rescue", String(json.config));
  return String(json.router_address);
}
