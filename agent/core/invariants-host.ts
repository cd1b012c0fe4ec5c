/** HF-HOST-01 to -03: what the router takes in beside lanes and policies; decided for all packets. */
import { ERRORS } from "./invariants-forward.ts";
import { about, inEveryPart, knownNames, laneRegion, namesOf, own, through, told } from "./invariants-regions.ts";
import { type Invariant, type Subject, violated } from "./invariants-subject.ts";
import type { Node } from "./verifier/diagram.ts";
import { EPOCH, STATE } from "./verifier/fields.ts";
import { apartIn, held, hookOf, NEW, packetIn, STAMPED, type Values, where, writtenBy } from "./verifier/held.ts";
import type { Pipeline } from "./verifier/pipeline.ts";
import { PROTOCOL } from "./verifier/words.ts";

const ESTABLISHED: Values = { state: STATE.established };
const STALE: Values = { state: STATE.established, epoch: EPOCH.stale, origin: 0 };
const SYN = 2;

/** ICMPv6 of a link (RFC 4861, RFC 2710, RFC 3810). */
const SOLICIT_ROUTER = 133;
const ADVERTISE_ROUTER = 134;
const NEIGHBOURS = [135, 136];
const GROUPS = [130, 131, 132, 143];
/** A type that nobody has (IANA: unassigned): how a policy judges ICMP of no special kind. */
const UNASSIGNED = 200;

const span = (from: number, to = from) => ({ from, to });
function icmp(pipeline: Pipeline, types: readonly number[]): Node {
  const { regions, facts } = pipeline;
  const proto = facts.family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6;
  const values = types.map((type) => span(type));
  return regions.and(regions.one("proto", proto), regions.of("icmp", values));
}

/** Packets that arrive at the router and are no lane's. */
function inward(pipeline: Pipeline, subject: Subject): Node {
  const { regions } = pipeline;
  const { arena } = regions;
  const lane = arena.not(laneRegion(pipeline, subject, "arriving"));
  return regions.and(arena.not(through(pipeline, "iif", ["", "lo"])), through(pipeline, "oif", [""]), lane);
}

/** Errors to the router itself, within the rate. */
const errors = (pipeline: Pipeline): Node =>
  pipeline.regions.and(
    icmp(pipeline, ERRORS[pipeline.facts.family]),
    own(pipeline, "daddr"),
    pipeline.regions.one("limit", 0),
  );

/** What a link with IPv6 needs, from who may say it; never from further away than the link. */
function neighbourly(pipeline: Pipeline, subject: Subject): Node {
  const { regions, facts } = pipeline;
  if (facts.family === 4) return regions.arena.next;
  const near = regions.one("hop", 255);
  const link = about(pipeline, "saddr", ["fe80::/10"]);
  const up = through(
    pipeline,
    "iif",
    namesOf(subject, (place) => place.kind === "uplink"),
  );
  const lan = through(
    pipeline,
    "iif",
    namesOf(subject, (place) => place.kind !== "uplink" && place.kind !== "network"),
  );
  return [
    regions.and(icmp(pipeline, NEIGHBOURS), near),
    regions.and(icmp(pipeline, [ADVERTISE_ROUTER]), near, link, up),
    regions.and(icmp(pipeline, [SOLICIT_ROUTER]), near, lan),
    regions.and(icmp(pipeline, GROUPS), link, lan),
  ].reduce((a, b) => regions.arena.or(a, b));
}

const accepts = (pipeline: Pipeline, node: Node): Node => where(pipeline, node, (leaf) => leaf.kind === "next");

/** Accepted exactly in a region. */
function exactly(
  pipeline: Pipeline,
  within: Node,
  node: Node,
  wanted: Node,
  values: Values,
  what: string,
): readonly string[] {
  const { regions } = pipeline;
  const found = accepts(pipeline, node);
  return [
    ...told(
      `${what} is let in`,
      apartIn(pipeline, regions.and(within, regions.arena.not(wanted)), found, regions.arena.next, values),
    ),
    ...told(`${what} is not let in`, apartIn(pipeline, regions.and(within, wanted), found, regions.arena.yes, values)),
  ];
}

const knownFlows: Invariant = {
  id: "HF-HOST-01",
  sentence:
    "Of flows that conntrack knows, the router takes in those of the policy in force and answers to what it began itself, and ICMP errors; nothing invalid or related.",
  why: "Direction and related were each a way to the router's own ports in a test; a mark is the only word of the router itself.",
  example: "ct state related accept, or an accept of replies without a look at the mark.",
  fix: "Report it: the ruleset trusts conntrack's words alone; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline, half) => {
      const { regions } = pipeline;
      const { arena } = regions;
      const input = hookOf(pipeline, "input");
      const within = inward(pipeline, subject);
      const lost = [STATE.related, STATE.invalid].flatMap((state) => {
        const values: Values = { state };
        const what = state === STATE.related ? "A related packet" : "An invalid packet";
        return exactly(pipeline, within, held(pipeline, input, values), errors(pipeline), values, what);
      });
      if (half === "reply") {
        const answers = arena.or(regions.one("origin", 1), errors(pipeline));
        return [
          ...lost,
          ...exactly(pipeline, within, held(pipeline, input, ESTABLISHED), answers, ESTABLISHED, "An answer"),
        ];
      }
      const current: Values = { ...ESTABLISHED, epoch: EPOCH.current };
      const known = arena.or(through(pipeline, "iif", knownNames(subject)), errors(pipeline));
      const strange = arena.or(known, neighbourly(pipeline, subject));
      return [
        ...lost,
        ...exactly(pipeline, within, held(pipeline, input, current), strange, current, "A current flow"),
      ];
    }).map((text) => violated("HF-HOST-01", text)),
};

const linkSpeaks: Invariant = {
  id: "HF-HOST-02",
  sentence:
    "Neighbour and router discovery, group reports and ICMP errors are taken in from where they may come, within their hop limit and rate; beyond that they are judged like any other packet.",
  why: "Without them IPv6 and path MTU discovery die; with more of them a stranger moves neighbours and routes.",
  example: "Neighbour discovery without a look at the hop limit.",
  fix: "Report it: the ruleset takes in too much or too little of ICMP; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline, half) => {
      if (half === "reply") return [];
      const { regions, facts } = pipeline;
      const { arena } = regions;
      const input = hookOf(pipeline, "input");
      const first = held(pipeline, input, NEW);
      const within = inward(pipeline, subject);
      const special = arena.or(errors(pipeline), neighbourly(pipeline, subject));
      const closed = arena.gate(special, arena.not(accepts(pipeline, first)));
      const plain = held(pipeline, first, { icmp: UNASSIGNED });
      const types = [
        ...ERRORS[facts.family],
        ...(facts.family === 6 ? [SOLICIT_ROUTER, ADVERTISE_ROUTER, ...NEIGHBOURS, ...GROUPS] : []),
      ];
      const others = types.flatMap((type) => {
        const region = regions.and(within, icmp(pipeline, [type]), arena.not(special));
        return told("It is judged otherwise than its kind", apartIn(pipeline, region, first, plain, NEW));
      });
      return [...told("It is not taken in", packetIn(pipeline, arena.gate(within, closed), NEW)), ...others];
    }).map((text) => violated("HF-HOST-02", text)),
};

const staleIsNew: Invariant = {
  id: "HF-HOST-03",
  sentence:
    "A flow to the router that the policy in force has not accepted yet is judged like its first packet, which of TCP is a bare SYN, and is stamped when it is accepted; from interfaces of no zone or network there is none.",
  why: "So a change of policy cuts exactly what it forbids, also of what the router itself serves.",
  example: "A service of the router that is accepted without the stamp.",
  fix: "Report it: the ruleset treats old flows otherwise than new ones; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline, half) => {
      if (half === "reply") return [];
      const { regions } = pipeline;
      const { arena } = regions;
      const input = hookOf(pipeline, "input");
      const special = arena.or(errors(pipeline), neighbourly(pipeline, subject));
      const within = arena.gate(inward(pipeline, subject), arena.not(special));
      const stale = held(pipeline, input, STALE);
      const begun = held(pipeline, input, { ...NEW, flags: SYN });
      const bare = regions.and(regions.one("proto", PROTOCOL.tcp), arena.not(regions.one("flags", SYN)));
      const unstamped = where(pipeline, stale, (leaf) => leaf.kind === "next" && writtenBy(leaf) !== STAMPED);
      const strange = arena.not(through(pipeline, "iif", knownNames(subject)));
      const flow = (what: string, a: Node, b: Node): readonly string[] =>
        told(what, apartIn(pipeline, within, a, b, STALE));
      // Conntrack leaves what it cannot follow alone; such a packet is no more than a first one.
      const loose = accepts(pipeline, held(pipeline, input, { state: STATE.untracked }));
      return [
        ...flow("It hangs on which older policy it was", stale, held(pipeline, input, { ...STALE, epoch: EPOCH.none })),
        ...flow("It hangs on TCP's flags", held(pipeline, stale, { flags: SYN }), stale),
        ...flow("It is judged otherwise than its first packet", held(pipeline, stale, { flags: SYN }), begun),
        ...told(
          "It is let in untracked",
          packetIn(pipeline, regions.and(within, loose, arena.not(accepts(pipeline, begun))), {
            state: STATE.untracked,
          }),
        ),
        ...told("It is accepted without the stamp", packetIn(pipeline, arena.gate(within, unstamped), STALE)),
        ...told(
          "A connection begins without a SYN",
          packetIn(pipeline, regions.and(within, bare, accepts(pipeline, held(pipeline, input, NEW))), NEW),
        ),
        ...told(
          "It comes from nowhere",
          packetIn(pipeline, regions.and(within, strange, accepts(pipeline, begun)), NEW),
        ),
      ];
    }).map((text) => violated("HF-HOST-03", text)),
};

export const hostInvariants: readonly Invariant[] = [knownFlows, linkSpeaks, staleIsNew];
