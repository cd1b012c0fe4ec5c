/**
 * System errors of the disk at every step of a push that a disk can refuse, over a real store and a kernel in memory.
 * Prints one line for each that does not end well, and the number of runs. Arguments say which
 * steps: `25:` is every 25th, `2:state sync` every second one of those whose point holds these words; none: all. Run as
 * built by failingScript().
 */
import { toBase64, toHex } from "../../schemas/digest.ts";
import { failOnce, takeTrace, wasThrown } from "../faults/failpoint-inside.ts";
import { type Passing, passings } from "../faults/points.ts";
import { inventoryOf } from "./bundles.ts";
import { freshPath, newPlace, type Place } from "./machine.ts";
import { crypto } from "./operator.ts";
import { begin, bundleOf, confirmOver, push, settled } from "./trials.ts";

const CODES = ["ENOSPC", "EROFS", "EIO"] as const;
const STEPS = / (write|flush|sync|rename|link|replace|remove|drop|confirmed|rolled-back)$/;

let place: Place;
let spare = 0;
const PATHS = ["apply", "confirm", "rollback", "keys"] as const;
type Path = (typeof PATHS)[number];

const sign = async () => {
  // A new key each time, so that every blob and file is a new one.
  const key = toBase64(crypto.boxKeys().publicKey);
  const inventory = inventoryOf([{ id: "c1", key, address: "10.99.0.2" }]);
  return (await place.session.directive({ ...bundleOf(), inventory })).opened;
};

/** Walks a path with `armed` called where it begins; the directive, as far as it came. */
async function walk(path: Path, armed: () => void): Promise<Awaited<ReturnType<typeof sign>> | undefined> {
  if (path === "keys") {
    spare += 1;
    armed();
    await place.session.keys([`spare${spare}`]).catch(() => {});
    return undefined;
  }
  if (path === "apply") {
    armed();
    const directive = await sign().catch(() => undefined);
    if (directive !== undefined) await begin(place, directive).catch(() => {});
    return directive;
  }
  const directive = await sign();
  const { nonce } = await begin(place, directive);
  armed();
  await confirmOver(place, freshPath("api:10.0.0.1"), directive, nonce, path === "confirm" ? "commit" : "abort");
  await settled(place);
  return directive;
}

async function tracePath(path: Path): Promise<readonly Passing[]> {
  const directive = await walk(path, () => void takeTrace());
  const found = takeTrace();
  if (path === "apply" && directive !== undefined) {
    await place.session.confirm(directive, new Uint8Array(32), "abort");
    await settled(place);
  }
  return passings(found).filter(({ point }) => STEPS.test(point));
}

/** One error; what is wrong afterwards, "" when nothing is. */
async function fail(path: Path, at: Passing, code: string): Promise<string> {
  const before = await place.session.status();
  const directive = await walk(path, () => failOnce({ ...at, code }));
  const problems = wasThrown() ? [] : ["not passed"];
  failOnce(undefined);
  const pending = (await place.session.status()).pending;
  if (pending !== null && path === "apply" && directive !== undefined)
    await place.session.confirm(directive, new Uint8Array(32), "abort");
  await settled(place);
  const state = place.desk.agent.runner.state().name;
  if (state !== "idle") return `stuck in ${state}`;
  const status = await place.session.status();
  if (status.drift) return `drift: ${status.drift_detail.slice(0, 200)}`;
  const isKept = directive !== undefined && toHex(status.lkg_directive) === toHex(directive.digest);
  if (!isKept && toHex(status.lkg_directive) !== toHex(before.lkg_directive)) return "another generation is kept";
  if (isKept && path !== "confirm") return "kept without a confirm";
  const receipts = (await place.session.receipts(before.log_index + 1n)).filter(({ outcome }) =>
    ["confirmed", "rolled_back", "needs_hands"].includes(outcome),
  );
  const burnt = directive !== undefined && status.generation === directive.message.generation;
  const told = receipts.map(({ outcome }) => outcome).join();
  const wanted = isKept ? "confirmed" : burnt ? "rolled_back" : "";
  if (told !== wanted) problems.push(`the log says "${told}" instead of "${wanted}"`);
  // The next one goes through, and a new process over the same folder sees the same.
  const next = await sign();
  const receipt = await push(place, next).catch((failure) => String(failure));
  if (typeof receipt === "string") problems.push(`the next push: ${receipt.slice(0, 300)}`);
  return problems.join("; ");
}

/** How many steps come before the next one is taken, of those whose point holds the words. */
const choices = (process.argv.length > 2 ? process.argv.slice(2) : ["1:"]).map((text) => {
  const [every = "1", words = ""] = text.split(":");
  return { every: Number(every), words, seen: 0 };
});

function isChosen({ point }: Passing): boolean {
  const fitting = choices.filter(({ words }) => point.includes(words));
  for (const choice of fitting) choice.seen += 1;
  return fitting.some(({ seen, every }) => seen % every === 0);
}

place = await newPlace();
await push(place, await sign());
let runs = 0;
for (const path of PATHS) {
  for (const at of await tracePath(path)) {
    if (!isChosen(at)) continue;
    runs += 1;
    const code = CODES[runs % CODES.length]!;
    const wrong = await fail(path, at, code).catch((failure) => String(failure));
    if (wrong !== "") console.log(`${path}: ${code} at "${at.point}" ${at.nth}: ${wrong}`);
  }
}
console.log(`${runs} runs`);
place.close();
process.exit(0);
