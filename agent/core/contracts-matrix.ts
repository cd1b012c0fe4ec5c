/** Who reaches what on one router, of first packets, by family: every zone, profile, the internet and the router. */
import type { Family } from "../../schemas/ip.ts";
import type { Result } from "../../schemas/problem.ts";
import { aim, FIRST, OUTSIDE_LIES, regionOf } from "./contracts-claims.ts";
import { textsOf, union } from "./contracts-ranges.ts";
import { everyPiece } from "./contracts-services.ts";
import { type ContractSubject, groundOf, type Side, sideOf } from "./contracts-sides.ts";
import { ask, type Model } from "./verifier/model.ts";
import type { Box, Question, Region } from "./verifier/question.ts";

/** "all": every first packet; "some": of these kinds, more of them when `more`; "none"; "absent": no such packets. */
export type Reach = {
  readonly verdict: "all" | "some" | "none" | "absent";
  readonly kinds: readonly string[]; // "tcp/443", "ping"
  readonly more: boolean;
};

export type Cell = { readonly from: string; readonly to: string; readonly v4: Reach; readonly v6: Reach };

export type Matrix = {
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly cells: readonly Cell[];
};

const BOXES_MAX = 64;
const KINDS_MAX = 8;
const PROTOCOLS: Readonly<Record<string, string>> = { "1": "icmp", "6": "tcp", "17": "udp", "58": "icmp" };

/** What a box is about, as services say it. */
function kindsOf({ fields }: Box): readonly string[] {
  const protocols = fields.protocol ?? ["tcp", "udp", "others"];
  return protocols.flatMap((protocol) => {
    const name = PROTOCOLS[protocol] ?? (protocol === "tcp" || protocol === "udp" ? protocol : "others");
    if (name === "icmp") return ["ping"];
    const ports = name === "others" ? undefined : fields.dport;
    return ports === undefined ? [name] : ports.map((port) => `${name}/${port}`);
  });
}

/** A protocol as a whole says more than its parts, which other addresses have; neighbouring ports are one range. */
function plainKinds(kinds: ReadonlySet<string>): readonly string[] {
  const whole = [...kinds].filter((kind) => !kind.includes("/"));
  const ranges = (["tcp", "udp"] as const).flatMap((protocol) => {
    if (kinds.has(protocol)) return [];
    const spans = [...kinds]
      .filter((kind) => kind.startsWith(`${protocol}/`))
      .map((kind) => kind.slice(4).split("-").map(BigInt))
      .map(([from, to]) => ({ from: from!, to: to ?? from! }));
    return union(spans).map(({ from, to }) => `${protocol}/${from === to ? from : `${from}-${to}`}`);
  });
  return [...whole.sort(), ...ranges];
}

function questionsOf(sides: { from: Side; to: Side }, subject: ContractSubject, family: Family): readonly Question[] {
  const { from, to } = sides;
  const ground = groundOf(subject);
  const router = to.word.kind === "router";
  const receivers = router && from.open ? [{ interfaces: [], addresses: ground.front }] : to.seats;
  return from.seats.flatMap((sender) =>
    receivers.flatMap((receiver) =>
      everyPiece(family).flatMap(({ fields }): Question[] => {
        const [source, target] = [sender.addresses[family], receiver.addresses[family]];
        if (source.length === 0 || target.length === 0) return [];
        const ends = aim(aim({}, "source", source, family), "target", target, family);
        const way = { iif: sender.interfaces, ...OUTSIDE_LIES };
        const build = (...parts: Partial<Region>[]) => regionOf([FIRST, fields, way, ...parts], "arriving", family);
        if (router) return [{ region: build(ends, { targetLocal: true }), want: "router" }];
        const direct: Question = { region: build(ends, { targetLocal: false }) };
        if (!from.outer || family === 6) return [direct];
        // From outside, what counts is what port-forwards let in.
        const source4 = { source: { in: textsOf(source, family) } };
        return [direct, { region: build(source4, { targetLocal: true, oif: to.interfaces }), want: "onward" }];
      }),
    ),
  );
}

function reach(model: Model, questions: readonly Question[]): Result<Reach> {
  let [yes, no, more] = [false, false, false];
  const kinds = new Set<string>();
  for (const question of questions) {
    const short = ask(model, question);
    if (!short.ok) return short;
    if (short.value.accepted !== null) yes = true;
    if (short.value.dropped !== null) no = true;
    if (short.value.accepted === null) continue;
    const listed = ask(model, { ...question, boxesMax: BOXES_MAX });
    if (!listed.ok) return listed;
    for (const box of listed.value.boxes) for (const kind of kindsOf(box)) kinds.add(kind);
    more ||= listed.value.more;
  }
  const list = plainKinds(kinds);
  const verdict = yes ? (no ? "some" : "all") : no ? "none" : "absent";
  const shown = verdict === "some" ? list.slice(0, KINDS_MAX) : [];
  return { ok: true, value: { verdict, kinds: shown, more: verdict === "some" && (more || list.length > KINDS_MAX) } };
}

/** Sides of a router: its zones and networks, the profiles that its clients have, the internet, itself. */
function sidesOf({ intent, inventory, router }: ContractSubject): { rows: string[]; columns: string[] } {
  const zones = intent.zones
    .filter((zone) => zone.router === router && zone.kind !== "uplink")
    .map(({ id }) => `zone ${id}`);
  const networks = intent.networks.filter((network) => network.router === router).map(({ id }) => id);
  const used = new Set(
    inventory.clients
      .filter((client) => client.state === "active")
      .flatMap((client) =>
        client.grants.filter((grant) => networks.includes(grant.network)).map(({ profile }) => profile),
      ),
  );
  const profiles = intent.profiles.filter(({ id }) => used.has(id)).map(({ id }) => `profile ${id}`);
  return {
    rows: [...zones, ...networks.map((id) => `network ${id}`), ...profiles, "internet"],
    columns: [...zones, ...networks.map((id) => `network ${id}`), "internet", "router"],
  };
}

/** The matrix of a router. Code verify.unmodelled. */
export function matrixOf(subject: ContractSubject, model: Model): Result<Matrix> {
  const ground = groundOf(subject);
  const { rows, columns } = sidesOf(subject);
  const cells: Cell[] = [];
  for (const row of rows) {
    for (const column of columns) {
      const [from, to] = [sideOf(subject, ground, row, row), sideOf(subject, ground, column, column)];
      if (from === undefined || to === undefined || "code" in from || "code" in to || row === column) continue;
      const v4 = reach(model, questionsOf({ from, to }, subject, 4));
      if (!v4.ok) return v4;
      const v6 = reach(model, questionsOf({ from, to }, subject, 6));
      if (!v6.ok) return v6;
      cells.push({ from: row, to: column, v4: v4.value, v6: v6.value });
    }
  }
  return { ok: true, value: { rows, columns, cells } };
}
