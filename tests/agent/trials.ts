/** Generations pushed to an agent on a machine in memory: begun, confirmed over a lane, ended. */
import type { SignKeys } from "../../agent/core/crypto.ts";
import { type Opened, signStatement } from "../../agent/core/dsse.ts";
import type { State } from "../../agent/core/lifecycle.ts";
import type { Path } from "../../agent/paths.ts";
import { toBase64 } from "../../schemas/digest.ts";
import type { Directive } from "../../schemas/directive.ts";
import type { IntentInput } from "../../schemas/intent.ts";
import type { Answer } from "../../schemas/report.ts";
import { intentOf, inventoryOf } from "./bundles.ts";
import { freshPath, over, type Place } from "./machine.ts";
import { crypto, receiptOf } from "./operator.ts";

/** Clients c1..n of the test intent; the same key for the same number. */
export const people = (count: number) =>
  inventoryOf(
    Array.from({ length: count }, (_, i) => ({
      id: `c${i + 1}`,
      key: toBase64(crypto.boxKeys(new Uint8Array(32).fill(i + 1)).publicKey),
      address: `10.99.0.${i + 2}`,
    })),
  );

/** The test intent, changed, with so many clients. */
export const bundleOf = (clients = 0, intent: Partial<IntentInput> = {}) => ({
  ...{ intent: intentOf(intent), inventory: people(clients), networks: ["home"] },
});

export type Bundle = ReturnType<typeof bundleOf>;

/** A directive for the router's present state, signed by these keys; ann's without any. */
export async function signedBy(
  place: Place,
  bundle: Bundle,
  more: Partial<Directive>,
  ...keys: readonly SignKeys[]
): Promise<Opened<"directive">> {
  const { opened } = await place.session.directive(bundle, more);
  return keys.length === 0 ? opened : signStatement(crypto, "directive", opened.message, keys);
}

const waitFor = ({ desk: { agent, parts } }: Place, wish: (state: State) => boolean): Promise<void> =>
  agent.runner.until(wish, parts.host.clock.bootMs() + 10_000);

/** Waits until the agent has nothing on its way. */
export const settled = (place: Place): Promise<void> => waitFor(place, ({ name }) => name === "idle");

/** Waits until that trial stands and is in the log, or the agent has nothing on its way. */
const standing = (place: Place, { digest }: Opened<"directive">): Promise<void> => {
  const { journal } = place.desk.agent;
  return waitFor(
    place,
    ({ name }) => name === "idle" || (name === "trial" && journal.newest(digest, "trial") !== undefined),
  );
};

/** Submits; the answer, and the nonce of the trial once it stands. */
export async function begin(
  place: Place,
  directive: Opened<"directive">,
  trust: readonly Uint8Array[] = [],
): Promise<{ readonly answer: Answer; readonly nonce: Uint8Array }> {
  const answer = await place.session.submit(directive, trust);
  if (answer.code !== "" || answer.receipt.length > 0) return { answer, nonce: new Uint8Array() };
  await standing(place, directive);
  const nonce = (await place.session.status()).pending?.nonce;
  if (nonce === undefined) throw new Error(`no trial: ${Bun.inspect((await place.session.receipts()).at(-1))}`);
  return { answer, nonce };
}

/** A confirm that arrives over that path. */
export const confirmOver = (place: Place, path: Path, ...args: Parameters<Place["session"]["confirm"]>) =>
  place.session.over(over(place.desk, path)).confirm(...args);

/** Submits and confirms over the management address. Throws when that does not end in a kept generation. */
export async function push(place: Place, directive: Opened<"directive">, trust: readonly Uint8Array[] = []) {
  const { answer, nonce } = await begin(place, directive, trust);
  if (answer.code !== "") throw new Error(JSON.stringify(answer.problems));
  const end =
    answer.receipt.length > 0 ? answer : await confirmOver(place, freshPath("api:10.0.0.1"), directive, nonce);
  const receipt = receiptOf(end.receipt);
  if (!["confirmed", "unchanged"].includes(receipt.outcome)) throw new Error(JSON.stringify(receipt));
  await settled(place);
  return receipt;
}
