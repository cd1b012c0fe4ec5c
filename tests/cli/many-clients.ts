/** Many clients in the site of quickstart, the same ones each time. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { sha256, toBase64 } from "../../schemas/digest.ts";
import type { Place } from "./place.ts";

/** A public key for each number. */
export const keyOf = (n: number): string => toBase64(sha256(`client key ${n}`));

function clientText(n: number, profile: string): string {
  const address = `10.96.${(n + 10) >> 8}.${(n + 10) & 255}`;
  const key = `{ generation: 1, public_key: ${keyOf(n)} }`;
  const grant = `{ network: home, profile: ${profile}, addresses: [${address}], keys: [${key}] }`;
  return `  - { id: c${n}, owner: staff ${n}, grants: [${grant}] }\n`;
}

/** Clients c0 and on, in a subnet with room for them; one of them may reach the internet too. */
export function writeClients(place: Place, count: number, full = -1): void {
  const intent = place
    .read("intent.yaml")
    .replace(/subnets: \[[0-9./]+\]\n {4}dns/, "subnets: [10.96.0.0/16]\n    dns");
  writeFileSync(join(place.site, "intent.yaml"), intent);
  const clients = Array.from({ length: count }, (_, n) => clientText(n, n === full ? "full" : "split"));
  writeFileSync(join(place.site, "inventory.yaml"), `version: 1\nclients:\n${clients.join("")}`);
}
