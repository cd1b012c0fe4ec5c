/** HF-HOST-04, -05: what the router says, to others and to itself; decided for all packets. */
import { inEveryPart, laneRegion, through, told } from "./invariants-regions.ts";
import { type Invariant, violated } from "./invariants-subject.ts";
import { EPOCH, STATE } from "./verifier/fields.ts";
import {
  acceptedBy,
  apartIn,
  held,
  hookOf,
  NEW,
  OWN_STAMP,
  packetIn,
  type Values,
  where,
  writtenBy,
} from "./verifier/held.ts";

const ESTABLISHED: Values = { state: STATE.established };

const routerSpeaks: Invariant = {
  id: "HF-HOST-04",
  sentence:
    "The router may say what it wants: its own flows carry its mark, answers of current flows pass, and no other chain ever gives a flow the policy's stamp.",
  why: "Updates, time and names must not hang on a policy; a stamp from anywhere else would open what no policy accepted.",
  example: "An output chain that forgets the mark, so that no answer to the router comes in.",
  fix: "Report it: the ruleset gags the router, or stamps what nobody judged; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline, half) => {
      const { regions } = pipeline;
      const { arena } = regions;
      const output = hookOf(pipeline, "output");
      const others = regions.and(
        through(pipeline, "iif", [""]),
        arena.not(through(pipeline, "oif", ["", "lo"])),
        arena.not(laneRegion(pipeline, subject, "leaving")),
      );
      const says = (values: Values, mark: string): readonly string[] => {
        const right = where(
          pipeline,
          held(pipeline, output, values),
          (leaf) => leaf.kind === "next" && writtenBy(leaf) === mark,
        );
        return told("It is not sent as it should be", apartIn(pipeline, others, right, arena.yes, values));
      };
      const marks = (["prerouting", "postrouting"] as const).flatMap((hook) => {
        const stamps = where(pipeline, hookOf(pipeline, hook), (leaf) => /epoch=[12]|origin=1/.test(writtenBy(leaf)));
        return told(`It is stamped in ${hook}`, packetIn(pipeline, stamps));
      });
      const loose = [STATE.related, STATE.invalid, STATE.untracked].flatMap((state) => says({ state }, ""));
      if (half === "reply") return [...marks, ...loose, ...says({ ...ESTABLISHED, epoch: EPOCH.current }, "")];
      return [...marks, ...loose, ...says(NEW, OWN_STAMP), ...says(ESTABLISHED, OWN_STAMP)];
    }).map((text) => violated("HF-HOST-04", text)),
};

const talksToItself: Invariant = {
  id: "HF-HOST-05",
  sentence: "What the router says to itself passes, whatever it is.",
  why: "Services of one machine talk over the loopback; a policy for others must not tear them apart.",
  example: "A check of sources that drops the router's own addresses on the loopback too.",
  fix: "Report it: the ruleset cuts the router from itself; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline) => {
      const { regions } = pipeline;
      const here = through(pipeline, "oif", [""]);
      const [arriving, leaving] = [through(pipeline, "iif", ["lo"]), through(pipeline, "oif", ["lo"])];
      const hooks = [
        ["output", leaving],
        ["prerouting", arriving],
        ["input", regions.and(arriving, here)],
      ] as const;
      return hooks.flatMap(([hook, region]) =>
        told(`It is dropped in ${hook}`, apartIn(pipeline, region, acceptedBy(pipeline, hook), regions.arena.yes)),
      );
    }).map((text) => violated("HF-HOST-05", text)),
};

export const outputInvariants: readonly Invariant[] = [routerSpeaks, talksToItself];
