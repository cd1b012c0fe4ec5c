/** Several people who run one router: each on an own machine, with own keys, and one site that travels between them. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Operator } from "./operator.ts";
import type { Program } from "./program.ts";
import { SITE } from "./sites.ts";
import type { Stage } from "./stage.ts";
import { raiseTunnel } from "./tunnel.ts";

/** The second machine gets the site as it is on the first: what a pull of the Git repository brings. */
export function carrySite(from: Operator, to: Operator): void {
  rmSync(to.site, { recursive: true, force: true });
  cpSync(from.site, to.site, { recursive: true });
}

/** A file of one machine (path below its home), brought to the same place on the other: by mail, or on a stick. */
export function carryFile(from: Operator, to: Operator, name: string): void {
  const path = join(to.home, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, readFileSync(join(from.home, name)));
}

/** A machine that has somebody's site and no keys. */
export function newMachine({ world, host }: Stage, program: Program, name: string, from: Operator): Operator {
  const machine = new Operator(world, host(name), program.cli, SITE);
  carrySite(from, machine);
  return machine;
}

/** `operator new` with these offline roles besides; writes HOLDER.card. Returns what is read over the phone. */
export async function makeCard(machine: Operator, holder: string, ...roles: readonly string[]): Promise<string> {
  const words = roles.flatMap((role) => ["--role", role]);
  const card = join(machine.home, `${holder}.card`);
  const { json } = await machine.must("operator", "new", "--holder", holder, ...words, "--plain", "--out", card);
  return String(json.fingerprint);
}

/** The open proposals, signed by each in turn and applied where the site began; everybody has the result. */
export async function agree(stage: Stage, ...signers: readonly Operator[]): Promise<void> {
  const { operator } = stage;
  let last = operator;
  for (const signer of signers) {
    carrySite(last, signer);
    await signer.ask("trust", "sign", "--yes");
    last = signer;
  }
  if (last !== operator) carrySite(last, operator);
  await operator.must("trust", "apply");
  for (const signer of signers) carrySite(operator, signer);
}

/** The site as a bundle that a second person signs on a machine without any network; it comes back complete. */
export async function cosigned(
  stage: Stage,
  second: Operator,
  name: string,
  ...words: readonly string[]
): Promise<string> {
  const { operator, world } = stage;
  const file = join(operator.home, name);
  await operator.must("push", "--propose", file, ...words);
  const offline = second.twin(await world.space(`desk-${name.replace(/\W.*/, "")}`));
  try {
    carryFile(operator, offline, name);
    carrySite(operator, offline);
    await offline.must("bundle", "show", join(offline.home, name));
    await offline.must("cosign", join(offline.home, name), "--yes");
    carryFile(offline, operator, name);
  } finally {
    offline.remove();
  }
  return file;
}

/** Raises a person's own end of the rescue lane; returns the router's address inside it. */
export async function dialLane(stage: Stage, machine: Operator): Promise<string> {
  const { json } = await machine.must("operator", "lane", "--conf");
  await raiseTunnel(stage.world, machine.space, "rescue", String(json.config));
  return String(json.router_address);
}

/** Public keys of the peers that the router's rescue lane has now, as the kernel says. */
export async function lanePeers({ world, land }: Stage): Promise<readonly string[]> {
  const text = await world.must(land.router, ["wg", "show", "hf-rescue", "peers"]);
  return text.split("\n").filter(Boolean).sort();
}

/** The public key of a person's end of the lane. */
export async function laneKey(machine: Operator): Promise<string> {
  const { json } = await machine.must("operator", "lane");
  return String(json.public_key);
}
