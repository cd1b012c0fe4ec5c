/** HF-FLOW-06 to -09: what flows that conntrack knows may do, decided for all packets that are sent on. */
import { inEveryPart, knownNames, namesOf, own, through, told } from "./invariants-regions.ts";
import { type Invariant, type Subject, violated } from "./invariants-subject.ts";
import type { Node } from "./verifier/diagram.ts";
import { EPOCH, STATE } from "./verifier/fields.ts";
import {
  acceptedBy,
  apartIn,
  held,
  hookOf,
  NEW,
  packetIn,
  STAMPED,
  type Values,
  where,
  writtenBy,
} from "./verifier/held.ts";
import type { Pipeline } from "./verifier/pipeline.ts";
import { addressesOf, PROTOCOL } from "./verifier/words.ts";

const CURRENT: Values = { state: STATE.established, epoch: EPOCH.current };
const STALE: Values = { state: STATE.established, epoch: EPOCH.stale, origin: 0 };
const SYN = 2;

/** Errors that belong to a flow (RFC 792, RFC 4443): unreachable, too big, time exceeded, parameter problem. */
export const ERRORS = { 4: [3, 11, 12], 6: [1, 2, 3, 4] } as const;

/** Packets that are sent on: not to the router itself, nor from or to an interface that is none. */
function onward(pipeline: Pipeline): Node {
  const { regions } = pipeline;
  const { arena } = regions;
  return regions.and(
    arena.not(through(pipeline, "iif", ["", "lo"])),
    arena.not(through(pipeline, "oif", ["", "lo"])),
    arena.not(own(pipeline, "daddr")),
  );
}

/** Where a flow of the policy in force may go on: between interfaces of the intent, never from an experiment into production. */
function open(pipeline: Pipeline, subject: Subject): Node {
  const { regions, facts } = pipeline;
  const { arena } = regions;
  const [from, to] = regions.space.half === "original" ? (["iif", "oif"] as const) : (["oif", "iif"] as const);
  const names = knownNames(subject);
  const crosses = regions.and(
    through(
      pipeline,
      from,
      namesOf(subject, (place) => place.experimental),
    ),
    arena.not(
      through(
        pipeline,
        to,
        namesOf(subject, (place) => place.experimental || place.kind === "uplink"),
      ),
    ),
  );
  const link = facts.family === 6 ? regions.of("saddr", [addressesOf("fe80::/10", 6)!]) : arena.next;
  return regions.and(
    through(pipeline, "iif", names),
    through(pipeline, "oif", names),
    arena.not(crosses),
    arena.not(link),
  );
}

const closedBetween: Invariant = {
  id: "HF-FLOW-06",
  sentence:
    "Whatever conntrack says of a packet, none is sent on from or to an interface of no zone or network, nor from an experiment into production, nor with a link-local source.",
  why: "A flow that was once accepted, an error or a changed route must not open what the policy never could.",
  example: "An accept of established flows that stands before the isolation of experiments.",
  fix: "Report it: a rule comes too early; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline) => {
      const { arena } = pipeline.regions;
      const shut = pipeline.regions.and(onward(pipeline), arena.not(open(pipeline, subject)));
      const passes = arena.gate(shut, acceptedBy(pipeline, "forward"));
      return told("A packet would be sent on", packetIn(pipeline, passes));
    }).map((text) => violated("HF-FLOW-06", text)),
};

const currentPasses: Invariant = {
  id: "HF-FLOW-07",
  sentence: "A flow that the policy in force accepted passes, and so do the errors that belong to it.",
  why: "Kept flows lose nothing when a generation changes, and without errors path MTU discovery dies.",
  example: "A ruleset that drops ICMP errors of current flows.",
  fix: "Report it: the ruleset cuts what it accepted; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline) => {
      const { regions, facts } = pipeline;
      const { arena } = regions;
      const forward = hookOf(pipeline, "forward");
      const region = arena.gate(onward(pipeline), open(pipeline, subject));
      const icmp = regions.one("proto", facts.family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6);
      const errors = regions.and(
        icmp,
        regions.of(
          "icmp",
          ERRORS[facts.family].map((type) => ({ from: type, to: type })),
        ),
      );
      // Accepted as it is: a stamp here would only hide that it was current.
      const plain = (values: Values): Node =>
        where(pipeline, held(pipeline, forward, values), (leaf) => leaf.kind === "next" && writtenBy(leaf) === "");
      const related: Values = { state: STATE.related, epoch: EPOCH.current };
      return [
        ...told("A current flow is cut", apartIn(pipeline, region, plain(CURRENT), arena.yes, CURRENT)),
        ...told("An error is cut", apartIn(pipeline, arena.gate(region, errors), plain(related), arena.yes, related)),
      ];
    }).map((text) => violated("HF-FLOW-07", text)),
};

const nothingElsePasses: Invariant = {
  id: "HF-FLOW-08",
  sentence:
    "No packet is sent on that is invalid, untracked, an error of a flow that is not current, related in any other way, or a connection that begins with anything but a bare SYN.",
  why: "Each of them was a way around the policy once; conntrack's words are no permission.",
  example: "ct state related accept.",
  fix: "Report it: the ruleset trusts what a sender can forge; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline) => {
      const { regions, facts } = pipeline;
      const { arena } = regions;
      const forward = acceptedBy(pipeline, "forward");
      const span = (from: number, to = from) => ({ from, to });
      const errors = regions.and(
        regions.one("proto", facts.family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6),
        regions.of(
          "icmp",
          ERRORS[facts.family].map((type) => span(type)),
        ),
        regions.one("epoch", EPOCH.current),
      );
      const bare = regions.one("flags", SYN);
      const wrong = [
        regions.of("state", [span(STATE.invalid, STATE.untracked)]),
        regions.and(regions.one("state", STATE.related), arena.not(errors)),
        regions.and(regions.one("state", STATE.new), regions.one("proto", PROTOCOL.tcp), arena.not(bare)),
      ].reduce((a, b) => arena.or(a, b));
      return told("A packet would be sent on", packetIn(pipeline, regions.and(onward(pipeline), wrong, forward)));
    }).map((text) => violated("HF-FLOW-08", text)),
};

const staleIsNew: Invariant = {
  id: "HF-FLOW-09",
  sentence:
    "A flow that the policy in force has not accepted yet is judged like its first packet, and accepting it stamps it with the policy's epoch.",
  why: "So a change of policy cuts exactly what it forbids and nothing else; an accept without a stamp would be judged for ever.",
  example: "A policy that accepts without the stamp, or a rule for established packets alone.",
  fix: "Report it: the ruleset treats old flows otherwise than new ones; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline, half) => {
      const { regions } = pipeline;
      const { arena } = regions;
      const region = onward(pipeline);
      const forward = hookOf(pipeline, "forward");
      const stale = held(pipeline, forward, STALE);
      const unmarked = held(pipeline, forward, { ...STALE, epoch: EPOCH.none });
      const unstamped = where(pipeline, stale, (leaf) => leaf.kind === "next" && writtenBy(leaf) !== STAMPED);
      const found = [
        ...told("It hangs on which older policy it was", apartIn(pipeline, region, stale, unmarked, STALE)),
        ...told("It is accepted without the stamp", packetIn(pipeline, arena.gate(region, unstamped), STALE)),
      ];
      if (half === "reply") return found;
      const first = { ...NEW, flags: SYN };
      const flags = apartIn(pipeline, region, held(pipeline, stale, { flags: SYN }), stale, STALE);
      const other = apartIn(
        pipeline,
        region,
        held(pipeline, stale, { flags: SYN }),
        held(pipeline, forward, first),
        STALE,
      );
      return [
        ...found,
        ...told("It hangs on TCP's flags", flags),
        ...told("It is judged otherwise than its first packet", other),
      ];
    }).map((text) => violated("HF-FLOW-09", text)),
};

export const forwardInvariants: readonly Invariant[] = [closedBetween, currentPasses, nothingElsePasses, staleIsNew];
