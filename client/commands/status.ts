/** `status`: one screen of what runs, what is pending, drift and who is connected. Works with a broken site too. */
import { equalBytes, sha256, toHex } from "../../schemas/digest.ts";
import { refuse } from "../../schemas/problem.ts";
import type { Status } from "../../schemas/report.ts";
import { numberOf } from "../args.ts";
import { siteContent } from "../content.ts";
import { age, type Ending, finished, refused, table } from "../out.ts";
import { outcomeEnding } from "../outcome.ts";
import { askStatus, type Context, openSession, type Session } from "../session.ts";
import { awaitEnd, watch } from "../trial.ts";

/** WireGuard shakes hands every two minutes while there is traffic; a little more is still online. */
const ONLINE_S = 150n;
const WAIT_S = 7200;

type Peer = {
  readonly client: string;
  readonly network: string;
  readonly online: boolean;
  readonly handshake_age_s: bigint;
  readonly endpoint: string;
  readonly rx_bytes: bigint;
  readonly tx_bytes: bigint;
};

/** Peers with the names that inventory and roster give their keys. */
function peersOf(session: Session, status: Status): readonly Peer[] {
  const names = new Map<string, string>();
  for (const operator of session.chain.view.roster.message.operators) names.set(operator.lane_key, operator.holder);
  const clients = session.site.ok ? session.site.value.inventory.clients : [];
  for (const client of clients) {
    for (const grant of client.grants) for (const key of grant.keys) names.set(key.public_key, client.id);
  }
  return status.peers.map(({ public_key, network, handshake_age_s, endpoint, rx_bytes, tx_bytes }) => ({
    client: names.get(public_key) ?? public_key,
    online: handshake_age_s > 0n && handshake_age_s < ONLINE_S,
    ...{ network, handshake_age_s, endpoint, rx_bytes, tx_bytes },
  }));
}

/** Whether the site is what the router runs; undefined when the site cannot be read. */
function siteMatches(session: Session, status: Status): boolean | undefined {
  if (!session.site.ok || status.lkg_intent.length === 0) return undefined;
  const content = siteContent(session.site.value, session.router.id);
  if (!content.ok) return undefined;
  const { intent, inventory } = content.value.blobs;
  return equalBytes(sha256(intent), status.lkg_intent) && equalBytes(sha256(inventory), status.lkg_inventory);
}

const bytesText = (count: bigint): string => {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = Number(count);
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
};

function pendingText(status: Status): string {
  const { pending } = status;
  if (pending === null) return "nothing";
  const seconds = Number(pending.remaining_ms / 1000n);
  const state = pending.nonce.length === 0 ? "is being applied" : "is on trial";
  return `generation ${pending.generation} by ${pending.author} ${state}, ${seconds} s left: holdfast confirm, or holdfast rollback`;
}

/** Content that the router refuses: whose, why, since when. */
function quarantineText({ generation, signers, cause, at_unix }: Status["quarantine"][number]): string {
  const by = signers.length === 0 ? "" : ` by ${signers.join(", ")}`;
  const at = new Date(Number(at_unix) * 1000).toISOString().slice(0, 16).replace("T", " ");
  return `the content of generation ${generation}${by}: ${cause} on ${at} (holdfast explain apply.quarantined)`;
}

function driftText({ drift, drift_detail, reasserted }: Status): string {
  const times = reasserted === 1 ? "once" : `${reasserted} times`;
  const again = reasserted === 0 ? [] : [`our table was loaded again ${times} after another program removed it`];
  return [drift ? drift_detail || "yes" : "none", ...again].join("\n");
}

/** A row for each line, the name before the first. */
const detailRows = (name: string, text: string): string[][] =>
  text.split("\n").map((line, i) => [i === 0 ? name : "", line]);

function screen(session: Session, status: Status, same: boolean | undefined, peers: readonly Peer[]): string {
  const { id } = session.router;
  const site = same === undefined ? "" : same ? "; this site is the same" : "; this site differs: holdfast plan";
  const running =
    status.lkg_generation === 0n ? "nothing yet: holdfast push" : `generation ${status.lkg_generation}${site}`;
  const up = `up ${age(Number(status.uptime_ms / 1000n))}`;
  const lanes = status.lanes.map(
    (lane) => `${lane.name} (${lane.packets}${lane.changed ? (lane.proven ? ", proven" : ", to prove") : ""})`,
  );
  const rows = [
    [
      "router",
      `${id}, incarnation ${status.incarnation}, holdfastd ${status.agent_version}, WireGuard by ${status.backend}, ${up}`,
    ],
    ["runs", running],
    ["pending", pendingText(status)],
    ...detailRows("drift", driftText(status)),
    ...detailRows("outside", status.outside_changed ? status.outside_detail || "changed" : "as confirmed"),
    ["guard", status.guard_alive ? "alive" : "DEAD: no push before it runs (holdfast explain guard.dead)"],
    ["lanes", lanes.join(", ") || "none"],
    ...(status.probation === 0n
      ? []
      : [["probation", `generation ${status.probation}, until it has survived a reboot`]]),
    ...status.quarantine.map((one) => ["refuses", quarantineText(one)]),
    ["log", `${status.log_index} receipts, chain verified`],
  ];
  if (peers.length === 0) return table(rows);
  const list = peers.map((peer) => [
    peer.online ? "*" : " ",
    peer.client,
    peer.network,
    peer.handshake_age_s === 0n ? "never" : `${age(Number(peer.handshake_age_s))} ago`,
    peer.endpoint === "" ? "-" : peer.endpoint,
    `${bytesText(peer.rx_bytes)} in, ${bytesText(peer.tx_bytes)} out`,
  ]);
  return `${table(rows)}\n${table([[" ", "PEER", "NETWORK", "HANDSHAKE", "FROM", "TRAFFIC"], ...list])}`;
}

function statusFields(session: Session, status: Status, same: boolean | undefined, peers: readonly Peer[]) {
  const { peers: _peers, pending, lanes, ...rest } = status;
  return {
    ...rest,
    router: session.router.id,
    site_matches: same ?? null,
    pending:
      pending === null
        ? null
        : {
            generation: pending.generation,
            author: pending.author,
            remaining_ms: pending.remaining_ms,
            confirmable: pending.nonce.length > 0,
            directive: toHex(pending.directive_digest),
          },
    lanes,
    peers,
  };
}

/** `holdfast status [--wait]` */
export async function status(context: Context): Promise<Ending> {
  const limit = numberOf(context.args, "timeout", 1, WAIT_S, WAIT_S);
  if (!limit.ok) return refused(limit.problems);
  const opened = await openSession(context);
  if (!opened.ok) return refused(opened.problems);
  const session = opened.value;
  const stop = context.voice.progress(`asking ${session.router.id}`);
  const standing = await askStatus(session, { attempts: 2 }, { peers: true });
  stop();
  if (!standing.ok) return refused(standing.problems, { router: session.router.id });
  const now = standing.value.status;
  if (context.args.has("wait") && now.pending !== null) {
    const watched = watch(now.pending.directive_digest, standing.value.kept.memory);
    const ended = await awaitEnd(session, watched, limit.value * 1000, context.voice);
    if (ended.ok) return outcomeEnding(session.router.id, ended.value);
    const still = refuse("cli.still_pending", session.router.id, `after ${limit.value} s`);
    const unheard = ended.problems.some((one) => one.code === "link.state_unknown");
    return refused(unheard ? still.problems : ended.problems, { router: session.router.id });
  }
  const same = siteMatches(session, now);
  const peers = peersOf(session, now);
  return finished(screen(session, now, same, peers), statusFields(session, now, same, peers));
}
