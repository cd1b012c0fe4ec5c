/**
 * One build of the homelab example, from files or from the wire, to one digest over everything that must not vary: the
 * bytes of both blobs and of the generation. Run as a program, `bun determinism-build.ts FOLDER`, it prints both ways.
 */
import { networksOf } from "../../agent/core/compile.ts";
import { prove } from "../../agent/core/prove.ts";
import { readSite } from "../../client/site/site.ts";
import { sha256Hex } from "../../schemas/digest.ts";
import type { Intent } from "../../schemas/intent.ts";
import type { Inventory } from "../../schemas/inventory.ts";
import { decode, encode } from "../../schemas/wire.ts";
import { makeTrust } from "../site/fixture.ts";

const ROUTER = "r1";

export type Documents = { readonly intent: Intent; readonly inventory: Inventory };
export type Turn = <T>(list: readonly T[]) => readonly T[];

/** Proves the documents with trust documents whose lists `turn` has put into another order. */
function build(
  { intent, inventory }: Documents,
  turn: Turn,
): { readonly digest: string; readonly sent: readonly Uint8Array[] } {
  const options = { network: "homelab", operators: ["alice", "bob", "carol"], revoked: ["carol"] };
  const { root, roster, reports } = makeTrust([ROUTER], networksOf(intent, ROUTER), options);
  const report = reports.get(ROUTER)!;
  const proven = prove({
    intent,
    inventory,
    root,
    roster: { ...roster, operators: [...turn(roster.operators)] },
    keys: { ...report, keys: [...turn(report.keys)] },
    router: ROUTER,
  });
  if (!proven.ok) throw new Error(proven.problems.map((one) => `${one.code} ${one.path} ${one.detail}`).join("\n"));
  const sent = [encode("Intent", proven.value.intent), encode("Inventory", proven.value.inventory)];
  return { digest: sha256Hex(...sent, proven.value.digest), sent };
}

/** As the CLI does it: from the files of a folder. */
export function fromFiles(folder: string, turn: Turn): string {
  return build(readDocuments(folder), turn).digest;
}

/** As the agent does it: from the blobs that the CLI sent, strictly decoded. */
export function fromWire(folder: string, turn: Turn): string {
  const [intent, inventory] = build(readDocuments(folder), turn).sent;
  const documents = { intent: decode("Intent", intent!), inventory: decode("Inventory", inventory!) };
  if (!documents.intent.ok || !documents.inventory.ok) throw new Error(JSON.stringify(documents));
  return build({ intent: documents.intent.value, inventory: documents.inventory.value }, turn).digest;
}

export function readDocuments(folder: string): Documents {
  const site = readSite(folder);
  if (!site.ok) throw new Error(site.problems.map((one) => `${one.code} ${one.path} ${one.detail}`).join("\n"));
  return site.value;
}

if (import.meta.main) {
  const asIs: Turn = (list) => list;
  console.log(fromFiles(process.argv[2]!, asIs));
  console.log(fromWire(process.argv[2]!, asIs));
}
