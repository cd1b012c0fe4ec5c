/** The operator of a router in a virtual machine: enrols it, pushes generations, and remembers what it was told. */

import { type Opened, openStatement } from "../../agent/core/dsse.ts";
import { checkChain, EMPTY_LOG } from "../../agent/core/receipts.ts";
import { toBase64, toHex } from "../../schemas/digest.ts";
import type { IntentInput } from "../../schemas/intent.ts";
import type { Receipt, Status } from "../../schemas/report.ts";
import { intentOf, inventoryOf } from "../agent/bundles.ts";
import { crypto, enrolRouter, makeSite, Session, tokenText } from "../agent/operator.ts";
import { PICTURE, pictureOf } from "../netns/router.ts";
import type { RouterMachine } from "./router-machine.ts";

/** Seconds of a trial's window in the guest: long enough for a confirm on a busy machine. */
export const WINDOW_S = 30;

/** A generation that is known by its number of clients; the n-th has n of them. */
export const bundleOf = (clients: number, more: Partial<IntentInput> = {}) => ({
  intent: intentOf({ confirm: { window_s: WINDOW_S, cap_s: 4 * WINDOW_S }, ...more }),
  inventory: inventoryOf(
    Array.from({ length: clients }, (_, i) => ({
      id: `c${i + 1}`,
      key: toBase64(crypto.boxKeys(new Uint8Array(32).fill(i + 1)).publicKey),
      address: `10.99.0.${i + 2}`,
    })),
  ),
  networks: ["home"],
});

export type Bundle = ReturnType<typeof bundleOf>;

/** A generation on trial: what was signed, the trial's nonce, and the devices that it sets up. */
export type OnTrial = {
  readonly directive: Opened<"directive">;
  readonly nonce: Uint8Array;
  readonly links: readonly string[];
};

/** Gives the token to the router and enrols it over its LAN. */
export async function enrolMachine(machine: RouterMachine): Promise<Session> {
  const site = makeSite();
  await machine.must(
    `cat >/run/token <<'TOKEN'\n${tokenText(site.token)}TOKEN\nholdfastd enrol /run/token && rm /run/token`,
  );
  return new Session(site, await enrolRouter(site, machine.send), machine.send);
}

/** Asks again until the status is as wished. A minute is much, since a guest is slow on a busy machine. */
export async function statusWhere(
  session: Session,
  wish: (status: Status) => boolean,
  timeoutMs = 120_000,
): Promise<Status> {
  const limit = performance.now() + timeoutMs;
  let last = "no answer";
  while (performance.now() < limit) {
    try {
      const status = await session.status();
      if (wish(status)) return status;
      last = `generation ${status.generation}, kept ${status.lkg_generation}, pending ${status.pending !== null}`;
    } catch (failure) {
      last = (failure as Error).message;
    }
    await Bun.sleep(100);
  }
  throw new Error(`the router does not get there: ${last}`);
}

/** Submits a generation and waits for its trial. */
export async function begin(session: Session, bundle: Bundle): Promise<OnTrial> {
  const { opened, desired } = await session.directive(bundle);
  const answer = await session.submit(opened);
  if (answer.code !== "") throw new Error(`submit: ${answer.code} ${JSON.stringify(answer.problems)}`);
  const status = await statusWhere(session, ({ pending }) => pending?.nonce.length === 32);
  const nonce = status.pending?.nonce ?? new Uint8Array();
  return { directive: opened, nonce, links: desired.links.map(({ name }) => name) };
}

/** Confirms a trial, again while the router still writes its receipt; throws unless it is kept. */
export async function keep(session: Session, trial: OnTrial): Promise<void> {
  for (;;) {
    const answer = await session.confirm(trial.directive, trial.nonce);
    if (answer.code === "confirm.deciding") continue;
    const opened = openStatement(crypto, "receipt", answer.receipt);
    if (opened.ok && opened.value.message.outcome === "confirmed") return;
    throw new Error(`confirm: ${answer.code} ${JSON.stringify(answer.problems)}`);
  }
}

/** A generation from submit to confirm. */
export async function push(session: Session, bundle: Bundle): Promise<OnTrial> {
  const trial = await begin(session, bundle);
  await keep(session, trial);
  return trial;
}

/** A log as an operator has it: the envelopes, and what each receipt says. */
export type Log = { readonly envelopes: readonly string[]; readonly receipts: readonly Receipt[] };

/** All receipts of a router; throws when they are not one chain that it signed. */
export async function readLog(session: Session): Promise<Log> {
  const { receipts } = await session.ask({ kind: "receipts", from_index: 1n, limit: 256 });
  const chain = checkChain(crypto, session.router.sign, EMPTY_LOG, receipts);
  if (!chain.ok) throw new Error(`the log is not one chain: ${JSON.stringify(chain.problems)}`);
  return { envelopes: receipts.map(toHex), receipts: chain.value.receipts.map(({ message }) => message) };
}

/** What the kernel holds of ours, as the restore tests compare it. */
export async function pictureIn(machine: RouterMachine, links: readonly string[]): Promise<string> {
  const out = await machine.must(`set -- ${links.join(" ")}\n${PICTURE}`);
  return pictureOf(out, links);
}
