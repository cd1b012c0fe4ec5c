/** What a push carries: intent, inventory and sealed secrets as blobs, from the site or from a kept generation. */
import { join } from "node:path";
import type { CompileInput } from "../agent/core/compile.ts";
import { type Proven, prove } from "../agent/core/prove.ts";
import { joinSecrets, type SealedSecret } from "../agent/core/secrets.ts";
import { canonicalIntent, type Intent } from "../schemas/intent.ts";
import { canonicalInventory, type Inventory } from "../schemas/inventory.ts";
import { done, type Problem, type Result, refuse } from "../schemas/problem.ts";
import type { KeyReport } from "../schemas/trust.ts";
import { decode, encode } from "../schemas/wire.ts";
import { readIfThere } from "./places.ts";
import { keptBlob, pushedGeneration } from "./receipts-file.ts";
import type { Home } from "./session.ts";
import type { Site } from "./site/site.ts";

export type Content = {
  readonly intent: Intent;
  readonly inventory: Inventory;
  readonly blobs: { readonly intent: Uint8Array; readonly inventory: Uint8Array; readonly secrets: Uint8Array };
  /** Puts a problem of the proof where people find it. */
  locate(problem: Problem): Problem;
};

/** Where the site keeps a sealed preshared key. */
export const secretPath = (folder: string, client: string, generation: number): string =>
  join(folder, "secrets", `${client}.${generation}.sealed`);

/** The sealed preshared keys of a router's networks. A file that is missing is a refusal: its peer would be lost. */
function siteSecrets(site: Site, router: string): Result<Uint8Array> {
  const here = new Set(site.intent.networks.filter((one) => one.router === router).map((one) => one.id));
  const found: SealedSecret[] = [];
  for (const client of site.inventory.clients) {
    for (const grant of client.grants.filter((one) => here.has(one.network))) {
      for (const key of grant.keys.filter((one) => one.psk !== "" && one.state !== "burnt")) {
        const path = secretPath(site.folder, client.id, key.generation);
        const bytes = readIfThere(path);
        if (bytes === undefined) return refuse("cli.secret_missing", path, `client ${client.id} has a preshared key`);
        const sealed = decode("SealedSecret", bytes);
        if (!sealed.ok) return sealed;
        found.push(sealed.value);
      }
    }
  }
  return done(encode("Secrets", joinSecrets(found)));
}

/** The site as it is now. */
export function siteContent(site: Site, router: string): Result<Content> {
  const secrets = siteSecrets(site, router);
  if (!secrets.ok) return secrets;
  const { intent, inventory } = site;
  const blobs = {
    intent: encode("Intent", canonicalIntent(intent)),
    inventory: encode("Inventory", canonicalInventory(inventory)),
    secrets: secrets.value,
  };
  return done({ intent, inventory, blobs, locate: site.locate });
}

/** The content of a generation that was pushed from this machine. Codes cli.no_generation, receipts.damaged, wire.*. */
export function keptContent(folder: string, generation: bigint): Result<Content> {
  const entry = pushedGeneration(folder, generation);
  if (entry === undefined) {
    return refuse("cli.no_generation", String(generation), "its content is not kept on this machine");
  }
  const intent = keptBlob(folder, entry.intent);
  if (!intent.ok) return intent;
  const inventory = keptBlob(folder, entry.inventory);
  if (!inventory.ok) return inventory;
  const secrets = keptBlob(folder, entry.secrets);
  if (!secrets.ok) return secrets;
  const [intentValue, inventoryValue] = [decode("Intent", intent.value), decode("Inventory", inventory.value)];
  if (!intentValue.ok) return intentValue;
  if (!inventoryValue.ok) return inventoryValue;
  return done({
    intent: intentValue.value,
    inventory: inventoryValue.value,
    blobs: { intent: intent.value, inventory: inventory.value, secrets: secrets.value },
    locate: (one) => one,
  });
}

/** The proof that the router will make too, with problems placed in the files. */
export function proveContent(home: Home, content: Content, router: string, keys: KeyReport): Result<Proven> {
  const { root, roster } = home.chain.view;
  const { intent, inventory } = content;
  const input: CompileInput = { intent, inventory, root: root.message, roster: roster.message, keys, router };
  const proven = prove(input);
  return proven.ok ? proven : { ok: false, problems: proven.problems.map(content.locate) };
}
