/** People with machines of their own and one site between them, as Git would carry it: alice began, others come. */
import { cpSync, existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Opened, signStatement } from "../../agent/core/dsse.ts";
import { openRole, type RoleKey } from "../../client/role-keys.ts";
import { loadCrypto } from "../../client/sodium.ts";
import { readTrustDocs, type TrustChain } from "../../client/trust-docs.ts";
import { toHex } from "../../schemas/digest.ts";
import type { Root, Roster } from "../../schemas/trust.ts";
import { kept, Place, type Said } from "./place.ts";

export const crypto = await loadCrypto();

export class Colleagues implements Disposable {
  readonly alice: Place;
  readonly #others: Place[] = [];

  constructor(alice: Place) {
    this.alice = alice;
  }

  /** A person with an empty home and a copy of the site. */
  newcomer(): Place {
    const place = new Place();
    this.#others.push(place);
    bring(this.alice, place);
    return place;
  }

  [Symbol.dispose](): void {
    for (const place of [this.alice, ...this.#others]) place[Symbol.dispose]();
  }
}

let first: Promise<Place> | undefined;

/** Alice's site of one person: a copy of the first one, since `init` takes its time. */
export async function colleagues(): Promise<Colleagues> {
  first ??= begun().then(kept);
  return new Colleagues(new Place(await first));
}

async function begun(): Promise<Place> {
  const place = new Place();
  await place.init();
  return place;
}

/** `git pull`: the site of `to` becomes that of `from`. */
export function bring(from: Place, to: Place): void {
  rmSync(to.site, { recursive: true, force: true });
  cpSync(from.site, to.site, { recursive: true });
}

/** Makes a card on somebody's machine and carries it into alice's site. Returns its name. */
export async function card(alice: Place, who: Place, holder: string, ...words: readonly string[]): Promise<string> {
  // One of an earlier machine may lie in the copy.
  rmSync(join(who.site, `${holder}.card`), { force: true });
  must(await who.at("operator", "new", "--holder", holder, "--plain", ...words));
  cpSync(join(who.site, `${holder}.card`), join(alice.site, `${holder}.card`));
  return `${holder}.card`;
}

export const EVERY_ROLE: readonly string[] = ["--role", "root", "--role", "admin", "--role", "recovery"];

/** Root 2 of alice and bob, in force in both sites. */
export async function pairOf(alice: Place, bob: Place): Promise<void> {
  const file = await card(alice, bob, "bob", ...EVERY_ROLE);
  must(await alice.at("trust", "propose", "--join", file, "--yes"), 8);
  bring(alice, bob);
  must(await bob.at("trust", "sign", "--yes"));
  must(await bob.at("trust", "apply"));
  bring(bob, alice);
}

/** The command, when it ended as it must. */
export function must(said: Said, exit = 0): Said {
  if (said.exit !== exit) throw new Error(`exit ${said.exit}, not ${exit}: ${said.stdout}${said.stderr}`);
  return said;
}

/** The chain in somebody's site. */
export function chainOf(place: Place): TrustChain {
  const chain = readTrustDocs(crypto, place.site);
  if (!chain.ok) throw new Error(JSON.stringify(chain.problems));
  return chain.value;
}

export const rootOf = (place: Place): Root => chainOf(place).view.root.message;
export const rosterOf = (place: Place): Roster => chainOf(place).view.roster.message;

/** Operators as "alice active recovery". */
export const operatorsOf = (place: Place): readonly string[] =>
  rosterOf(place).operators.map((one) => `${one.holder} ${one.status} ${one.max_class}`);

/** Thresholds as "2/3" for root, admin and recovery. */
export const thresholdsOf = (place: Place): readonly string[] => {
  const root = rootOf(place);
  return (["root", "admin", "recovery"] as const).map((role) => {
    const holders = new Set(root.keys.filter((one) => one.role === role).map((one) => one.holder));
    return `${root[`${role}_threshold`]}/${holders.size}`;
  });
};

/** Names of documents in trust/ of a site, or in a folder below it, sorted. */
export function trustFiles(place: Place, folder = "trust"): readonly string[] {
  const path = join(place.site, folder);
  const names = existsSync(path) ? readdirSync(path) : [];
  return names.filter((name) => name.endsWith(".dsse")).sort();
}

/** A role's keys on somebody's machine, without a lock, to sign what the CLI would not. */
export async function roleKeys(place: Place, role: "root" | "admin"): Promise<readonly RoleKey[]> {
  process.env.XDG_CONFIG_HOME = place.environment.XDG_CONFIG_HOME;
  const owner = { network: "homelab", root: toHex(chainOf(place).roots[0]!.digest) };
  const keys = await openRole(crypto, owner, role, { get: async () => ({ ok: false, problems: [] }) });
  if (!keys.ok) throw new Error(JSON.stringify(keys.problems));
  return keys.value;
}

/** Root N+1 and its roster, changed by hand and signed by these keys. */
export function forgedPair(
  place: Place,
  change: (root: Root) => Root,
  signers: { readonly root: readonly RoleKey[]; readonly admin: readonly RoleKey[] },
): { readonly root: Opened<"root">; readonly roster: Opened<"roster"> } {
  const { view } = chainOf(place);
  const { message: held, digest: prev_digest } = view.root;
  const next = change({ ...held, version: held.version + 1, prev_digest });
  const keys = (list: readonly RoleKey[]) => list.map((one) => one.sign);
  const root = signStatement(crypto, "root", next, keys(signers.root));
  const { message: roster } = view.roster;
  const under = { ...roster, version: roster.version + 1, prev_digest: view.roster.digest, root_digest: root.digest };
  return { root, roster: signStatement(crypto, "roster", under, keys(signers.admin)) };
}
