/** Trials of the real agent: begun, looked at, ended, by an operator who speaks the wire himself. */
import type { Receipt, Status } from "../../schemas/report.ts";
import { receiptOf, type Session } from "../agent/operator.ts";
import type { AgentWorld } from "./agent-world.ts";

export type Bundle = Parameters<Session["directive"]>[0];
export type Begun = Awaited<ReturnType<Session["directive"]>> & { readonly nonce: Uint8Array };

/** Asks again until the wish holds; silence is an answer that does not fit. Throws after `timeoutMs`. */
export async function statusWhere(
  { session, units }: Pick<AgentWorld, "session" | "units">,
  wish: (status: Status) => boolean,
  timeoutMs = 30_000,
): Promise<Status> {
  const limit = performance.now() + timeoutMs;
  for (;;) {
    const status = await session.status().catch(() => undefined);
    if (status !== undefined && wish(status)) return status;
    if (performance.now() > limit) throw new Error(`no such status: ${units.log("agent.log")}`);
    await Bun.sleep(50);
  }
}

/** Nothing is on its way. */
export const idle = (w: AgentWorld): Promise<Status> => statusWhere(w, (status) => status.pending === null);

/** A push up to its trial. Throws when it is refused, or ends before. */
export async function beginTrial(
  w: AgentWorld,
  bundle: Bundle,
  more: Parameters<Session["directive"]>[1] = {},
  session: Session = w.session,
): Promise<Begun> {
  const made = await session.directive(bundle, more);
  const { code, problems } = await session.submit(made.opened);
  if (code !== "") throw new Error(`refused: ${code} ${JSON.stringify(problems)}`);
  const status = await statusWhere(w, ({ pending }) => pending === null || pending.nonce.length === 32);
  if (status.pending === null) {
    const last = (await session.receipts(status.log_index)).at(-1);
    throw new Error(`no trial: ${last?.outcome} ${last?.cause} ${JSON.stringify(last?.problems)}`);
  }
  return { ...made, nonce: status.pending.nonce };
}

/** A push that is confirmed at the management address; its receipt. */
export async function keep(w: AgentWorld, bundle: Bundle): Promise<Receipt> {
  const { opened, nonce } = await beginTrial(w, bundle);
  const { code, problems, receipt } = await w.session.confirm(opened, nonce);
  if (code !== "") throw new Error(`not confirmed: ${code} ${JSON.stringify(problems)}`);
  await idle(w);
  return receiptOf(receipt);
}

/** Takes a trial back and waits for its end; the receipt. */
export async function takeBack(w: AgentWorld, { opened, nonce }: Begun): Promise<Receipt> {
  const count = w.units.receipts().length;
  await w.session.confirm(opened, nonce, "abort");
  const receipt = await w.units.untilReceipt((one) => one.outcome === "rolled_back", 30_000, count);
  await idle(w);
  return receipt;
}
