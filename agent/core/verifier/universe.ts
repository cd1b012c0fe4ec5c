/** Which packets there are, and which of them a question is about. */
import { type Problem, problem, type Result } from "../../../schemas/problem.ts";
import type { Node } from "./diagram.ts";
import { EPOCH, type Field, type Interval, STATE } from "./fields.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Addresses, Question, Region, Span } from "./question.ts";
import { addressesOf, PROTOCOL } from "./words.ts";

const span = (from: number, to = from): Interval => ({ from, to });

/** What conntrack can say of a packet: the first of a flow has no past, and one without an entry has nothing. */
export function tracking(pipeline: Pipeline): Node {
  const { regions } = pipeline;
  const { arena } = regions;
  const is = (field: Field, ...values: readonly Interval[]): Node => regions.of(field, values);
  const implies = (a: Node, b: Node): Node => arena.or(arena.not(a), b);
  const fresh = regions.and(is("direction", span(0)), is("dnat", span(0)), is("snat", span(0)));
  const unknown = is("state", span(STATE.invalid, STATE.untracked));
  const blank = (["direction", "epoch", "origin", "low", "dnat", "snat"] as const).map((field) => is(field, span(0)));
  return regions.and(implies(is("state", span(STATE.new)), fresh), implies(unknown, regions.and(...blank)));
}

/** Packets that can be: what conntrack never says is left out, and WireGuard's own check of sources is assumed. */
export function universe(pipeline: Pipeline, way: Region["way"]): Node {
  return pipeline.once(`universe ${way}`, () => every(pipeline, way));
}

function every(pipeline: Pipeline, way: Region["way"]): Node {
  const { regions, facts } = pipeline;
  const { arena, space } = regions;
  const lo = space.interfaces.index("lo");
  const is = (field: Field, ...values: readonly Interval[]): Node => regions.of(field, values);
  const implies = (a: Node, b: Node): Node => arena.or(arena.not(a), b);
  const parts = [tracking(pipeline)];
  if (way === "leaving") {
    parts.push(is("iif", span(0)), arena.not(is("oif", span(0))), is("saddr", ...facts.local));
  } else {
    parts.push(arena.not(is("iif", span(0))), arena.not(is("oif", span(lo))));
    parts.push(implies(is("iif", span(lo)), is("saddr", ...facts.local)));
    for (const { name, allowed } of facts.devices) {
      parts.push(implies(is("iif", span(space.interfaces.index(name))), is("saddr", ...allowed)));
    }
  }
  return parts.reduce((a, b) => arena.gate(a, b));
}

class Reader {
  readonly problems: Problem[] = [];
  readonly #pipeline: Pipeline;
  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
  }

  #bad(where: string, what: string): void {
    this.problems.push(problem("verify.question", where, what));
  }

  addresses(field: Field, { in: inside, not }: Addresses): Node {
    const { regions } = this.#pipeline;
    const { arena, space } = regions;
    const read = (texts: readonly string[]): readonly Interval[] =>
      texts.flatMap((text) => {
        const own = addressesOf(text, space.family);
        const other = addressesOf(text, space.family === 4 ? 6 : 4);
        if (own === undefined && other === undefined) this.#bad(field, `${text} is no address, prefix or range`);
        return own ?? [];
      });
    const region = inside === undefined ? arena.yes : regions.of(field, read(inside));
    return not === undefined ? region : arena.gate(region, arena.not(regions.of(field, read(not))));
  }

  names(field: "iif" | "oif", names: readonly string[]): Node {
    const { regions } = this.#pipeline;
    const { interfaces } = regions.space;
    for (const name of names) if (name.length > 15 || name.includes('"')) this.#bad(field, `${name} is no interface`);
    return regions.of(
      field,
      [...new Set(names.map((name) => interfaces.index(name)))].map((index) => span(index)),
    );
  }

  spans(field: Field, spans: readonly Span[], last: number): Node {
    const bad = spans.find(
      ([from, to]) => !(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= last),
    );
    if (bad !== undefined) {
      this.#bad(field, `${bad[0]} to ${bad[1]} is not within 0 to ${last}`);
      return this.#pipeline.regions.arena.next;
    }
    return this.#pipeline.regions.of(
      field,
      spans.map(([from, to]) => span(from, to)),
    );
  }
}

/** What the shorthand `flow` stands for; fields that the region names itself win. */
function withFlow(region: Region): Region {
  const of = (fields: Partial<Region>): Region => ({ ...fields, ...region });
  if (region.flow === "first") return of({ state: ["new"], epoch: ["none"], origin: false, mark: [[0, 0]], syn: true });
  if (region.flow === "later") return of({ state: ["established"], direction: "original", epoch: ["current"] });
  if (region.flow === "reply")
    return of({ state: ["established"], direction: "reply", epoch: ["current"], syn: false });
  return region;
}

/** The packets of a question, in the family of the pipeline. The limits of the question are part of it. */
export function packetsOf(pipeline: Pipeline, question: Question): Result<Node> {
  const { regions, facts } = pipeline;
  const { arena, space } = regions;
  const region = withFlow(question.region);
  const reader = new Reader(pipeline);
  const parts: Node[] = [arena.yes];
  const add = <T>(value: T | undefined, of: (value: T) => Node): void => {
    if (value !== undefined) parts.push(of(value));
  };
  const bit = (field: Field) => (value: boolean) => regions.one(field, value ? 1 : 0);
  if (region.family !== undefined && region.family !== space.family) parts.push(arena.next);
  if (region.way === "leaving" && region.iif !== undefined) {
    reader.problems.push(problem("verify.question", "iif", "what the router says comes in through no interface"));
  }
  add(region.iif, (names) => reader.names("iif", names));
  // The router's own packets to itself are asked for by name.
  if (region.way === "arriving" && region.iif === undefined)
    parts.push(arena.not(regions.one("iif", space.interfaces.index("lo"))));
  add(region.oif, (names) => reader.names("oif", names));
  add(region.source, (addresses) => reader.addresses("saddr", addresses));
  add(region.target, (addresses) => reader.addresses("daddr", addresses));
  add(region.original, (addresses) => arena.gate(regions.one("dnat", 1), reader.addresses("odaddr", addresses)));
  const own = (field: Field) => (local: boolean) => {
    const region = regions.of(field, facts.local);
    return local ? region : arena.not(region);
  };
  add(region.targetLocal, own("daddr"));
  add(region.sourceLocal, own("saddr"));
  add(region.protocol, (list) =>
    reader.spans(
      "proto",
      list.map((one) => [one, one] as const),
      255,
    ),
  );
  const ports = regions.of("proto", [span(PROTOCOL.tcp), span(PROTOCOL.udp), span(33), span(132), span(136)]);
  add(region.sport, (spans) => arena.gate(ports, reader.spans("sport", spans, 65535)));
  add(region.dport, (spans) => arena.gate(ports, reader.spans("dport", spans, 65535)));
  const icmp = regions.one("proto", space.family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6);
  add(region.icmpType, (types) =>
    arena.gate(
      icmp,
      reader.spans(
        "icmp",
        types.map((one) => [one, one] as const),
        255,
      ),
    ),
  );
  add(region.syn, (syn) => {
    const bare = regions.one("flags", 2);
    return arena.or(arena.not(regions.one("proto", PROTOCOL.tcp)), syn ? bare : arena.not(bare));
  });
  add(region.state ?? (["new", "established", "related", "invalid"] as const), (states) =>
    regions.of(
      "state",
      states.map((state) => span(STATE[state])),
    ),
  );
  add(region.direction, (direction) => regions.one("direction", direction === "reply" ? 1 : 0));
  add(region.epoch, (epochs) =>
    regions.of(
      "epoch",
      epochs.map((epoch) => span(EPOCH[epoch])),
    ),
  );
  add(region.origin, bit("origin"));
  add(region.dnat, bit("dnat"));
  add(region.snat, bit("snat"));
  add(region.mark, (spans) => reader.spans("low", spans, 0x7fff));
  add(question.limit, (limit) => regions.one("limit", limit === "pass" ? 0 : 1));
  if (question.want === "router") parts.push(regions.one("oif", 0));
  if (question.want === "onward") parts.push(arena.not(regions.one("oif", 0)));
  if (reader.problems.length > 0) return { ok: false, problems: reader.problems };
  // What the question narrows comes first, so that little is left to hold against all packets.
  const narrowed = [...parts].sort((a, b) => arena.level(b) - arena.level(a)).reduce((a, b) => arena.gate(b, a));
  return { ok: true, value: arena.gate(narrowed, universe(pipeline, region.way)) };
}
