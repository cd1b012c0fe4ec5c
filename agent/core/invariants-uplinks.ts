/** HF-UPLK-01: flows are answered through the uplink that they came in by. */
import { about, inEveryPart, laneRegion, namesOf, through, told } from "./invariants-regions.ts";
import { type Invariant, type Subject, violated } from "./invariants-subject.ts";
import { EPOCH, LEVEL, STATE } from "./verifier/fields.ts";
import { apartIn, held, hookOf, packetIn, type Values, where } from "./verifier/held.ts";
import type { Leaf } from "./verifier/leaves.ts";

const NEW: Values = { state: STATE.new, epoch: EPOCH.none, origin: 0, low: 0 };
type Marked = { readonly name: string; readonly mark: number; readonly mask: number };

/** Uplinks that answers must find again, with the mark whose rule leads out by them; mark 0 where there is none. */
function marksOf({ intent, router, desired }: Subject): readonly Marked[] {
  const { uplinks } = intent.routers.find((one) => one.id === router)!;
  if (uplinks.length < 2) return [];
  const own = new Set(desired.links.map((link) => link.fwmark));
  const rules = desired.rules.filter((rule) => rule.fwmark !== 0 && !own.has(rule.fwmark));
  return uplinks
    .filter((uplink) => !uplink.dynamic && uplink.gateways.length > 0)
    .map(({ interface: name }) => {
      const out = desired.routes.filter((route) => route.interface === name && route.to.endsWith("/0"));
      const rule = rules.find((one) => out.some((route) => route.table === one.table && route.table !== 254));
      return { name, mark: rule?.fwmark ?? 0, mask: rule?.fwmask ?? 0 };
    });
}

const lowOf = ({ effect }: Leaf): number | undefined => effect.sets.find(([level]) => level === LEVEL.low)?.[1];

const answersFindBack: Invariant = {
  id: "HF-UPLK-01",
  sentence:
    "Where a router has several uplinks, a flow carries the mark of the one that it came in by, and its answers from inside are routed by that mark; nothing else is marked.",
  why: "An answer that leaves by another uplink has a source that the provider there drops: port-forwards die silently.",
  example: "A map of marks that lacks an uplink, or leads to the other one.",
  fix: "Report it: the ruleset sends answers astray; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline, half) => {
      const { regions } = pipeline;
      const { arena } = regions;
      const marks = marksOf(subject);
      const node = hookOf(pipeline, "prerouting");
      const others = regions.and(
        arena.not(through(pipeline, "iif", ["", "lo"])),
        arena.not(laneRegion(pipeline, subject, "arriving")),
      );
      const values: Values = half === "reply" ? { state: STATE.established } : NEW;
      const first = held(pipeline, node, values);
      const passed = where(pipeline, first, (leaf) => leaf.kind === "next");
      const within = arena.gate(others, passed);
      const routedByMark = where(pipeline, first, ({ effect }) => effect.markMask >= 0);
      if (half === "reply") {
        const outer = through(
          pipeline,
          "iif",
          namesOf(subject, (place) => place.kind === "uplink"),
        );
        // Nobody has this source yet, so nothing that it says is an answer of a flow.
        const inner = regions.and(arena.not(outer), arena.not(about(pipeline, "saddr", ["0.0.0.0"])));
        const strays = told(
          "It is routed by a mark",
          packetIn(pipeline, regions.and(others, outer, routedByMark), values),
        );
        return [
          ...strays,
          ...marks.flatMap(({ mark, mask }) => {
            const low: Values = { ...values, low: mark };
            const found = where(
              pipeline,
              held(pipeline, first, { low: mark }),
              ({ effect }) => effect.markMask >= 0 && (effect.markMask & mark & mask) === mark,
            );
            const region = regions.and(
              others,
              inner,
              where(pipeline, held(pipeline, first, { low: mark }), (leaf) => leaf.kind === "next"),
            );
            return [...told("An answer is not routed by its mark", apartIn(pipeline, region, found, arena.yes, low))];
          }),
        ];
      }
      const strange = arena.gate(
        within,
        arena.not(
          through(
            pipeline,
            "iif",
            marks.map(({ name }) => name),
          ),
        ),
      );
      const marked = where(pipeline, first, (leaf) => (lowOf(leaf) ?? 0) !== 0);
      const late = [STATE.established, STATE.related].flatMap((state) => {
        const known = held(pipeline, node, { state });
        const rewritten = where(pipeline, known, (leaf) => lowOf(leaf) !== undefined || leaf.effect.markMask >= 0);
        return told("A known flow is marked anew", packetIn(pipeline, arena.gate(others, rewritten), { state }));
      });
      return [
        ...late,
        ...told("It is routed by a mark", packetIn(pipeline, arena.gate(others, routedByMark), NEW)),
        ...told("It is marked", packetIn(pipeline, arena.gate(strange, marked), NEW)),
        ...marks.flatMap(({ name, mark }) => {
          const right = where(pipeline, first, (leaf) => mark !== 0 && lowOf(leaf) === mark);
          const region = arena.gate(within, through(pipeline, "iif", [name]));
          return told(`It has not the mark of ${name}`, apartIn(pipeline, region, right, arena.yes, NEW));
        }),
      ];
    }).map((text) => violated("HF-UPLK-01", text)),
};

export const uplinkInvariants: readonly Invariant[] = [answersFindBack];
