/** Too few people, and documents of trust that do not follow the ones that are held. */
import type { Root, Roster } from "../../schemas/trust.ts";
import * as bases from "./bases.ts";
import { boxPair, signPair } from "./raw.ts";
import { family, type Vector } from "./vector.ts";
import * as world from "./world.ts";
import { rootOf } from "./written.ts";

const { root1, roster2, signed, after, id } = world;

const threshold = family("E_THRESHOLD", "root");
const next = (change: Partial<Root>, ...names: readonly string[]): Uint8Array =>
  signed("root", { ...after(root1), ...change }, ...(names.length > 0 ? names : ["ann root", "bob root"])).envelope;

/** The role's keys with other holders. */
const keys = (role: Root["keys"][number]["role"], ...names: readonly string[]): Root["keys"] =>
  names.map((name) => ({ role, key: signPair(`${name} ${role}`).publicKey, holder: name.split(" ")[0]! }));
const others = (role: Root["keys"][number]["role"]): Root["keys"] =>
  root1.message.keys.filter((one) => one.role !== role);
/** Root 2 with three new ROOT holders. */
const newHolders = { keys: [...keys("root", "fay", "gil", "hal"), ...others("root")] };

const twoAnns = signed(
  "roster",
  { ...after(roster2), operators: [...roster2.message.operators, world.operator("ann phone")] },
  ...["ann admin", "bob admin"],
);

export const thresholdVectors: readonly Vector[] = [
  family("E_THRESHOLD", "directive")(
    "1-of-2",
    "trust.threshold",
    "A sensitive directive has one of two signatures.",
    bases.signedDirective({}, "ann").envelope,
  ),
  family("E_THRESHOLD", "directive")(
    "two-keys-one-holder",
    "trust.threshold",
    "Two keys of one person signed a sensitive directive.",
    bases.signedDirective({ roster_digest: twoAnns.digest }, "ann", "ann phone").envelope,
    { state: { roster: twoAnns.envelope.toBase64() } },
  ),
  threshold("threshold-0", "wire.shape", "The next root has a ROOT threshold of 0.", rootOf({ root_threshold: 0 })),
  threshold(
    "threshold-above-n",
    "trust.thresholds",
    "The next root has an ADMIN threshold of 4 with three holders.",
    next({ admin_threshold: 4 }),
  ),
  threshold(
    "disjoint-quorums-2k-le-n",
    "trust.thresholds",
    "The next root has four ADMIN holders and threshold 2, so two pairs could part ways.",
    next({ keys: [...others("admin"), ...keys("admin", "ann", "bob", "cyd", "fay")] }),
  ),
  threshold(
    "solo-flag-absent",
    "trust.solo",
    "The next root has an ADMIN threshold of 1 and no solo flag.",
    next({ keys: [...others("admin"), ...keys("admin", "ann")], admin_threshold: 1 }),
  ),
  threshold(
    "rotation-old-only",
    "trust.threshold",
    "The next root has new ROOT holders and is signed by the old ones only.",
    next(newHolders),
  ),
  threshold(
    "rotation-new-only",
    "trust.threshold",
    "The next root has new ROOT holders and is signed by them only.",
    next(newHolders, "fay root", "gil root"),
  ),
  threshold(
    "rotation-old-threshold-lowered-first",
    "trust.threshold",
    "The next root lowers the ROOT threshold to 1 and is signed by one.",
    next({ keys: [...others("root"), ...keys("root", "ann")], root_threshold: 1, solo: true }, "ann root"),
  ),
];

// ---- chains ----

const chain = family("E_TRUST_CHAIN", "root");
const rosterChain = family("E_TRUST_CHAIN", "roster");
const nextRoster = (change: Partial<Roster>): Uint8Array =>
  signed("roster", { ...after(roster2), ...change }, "ann admin", "bob admin").envelope;
const view = family("E_TRUST_VIEW", "directive");

/** A state in which the router is its second unit, from generation 100 on. */
const replaced = signed(
  "roster",
  {
    ...after(roster2),
    routers: [
      { ...world.routerEntry, status: "superseded" },
      {
        ...world.routerEntry,
        ...{ incarnation: 2, generation_floor: 100n },
        ...{ sign_key: signPair("router 2").publicKey, seal_key: boxPair("router 2").publicKey },
      },
    ],
  },
  ...["ann admin", "bob admin"],
);
const second = replaced.message.routers[1]!;
const afterReplaced = (routers: Roster["routers"]): Uint8Array =>
  signed("roster", { ...after(replaced), routers }, "ann admin", "bob admin").envelope;
const inSecond = { state: { roster: replaced.envelope.toBase64(), incarnation: 2 } };

const submitWith = (document: Uint8Array): Uint8Array =>
  signed(
    "request",
    bases.request({ kind: "submit", directive: bases.directiveBase.envelope, trust: [document] }),
    "ann",
  ).envelope;

export const chainVectors: readonly Vector[] = [
  chain("root-skip-version", "trust.chain", "Root 3 comes after root 1.", next({ version: 3 })),
  chain(
    "root-same-version-other-bytes",
    "trust.chain",
    "A second root 1 with another safe-mode port, signed by its holders.",
    signed("root", { ...world.rootMessage, safe_mode: { api_port: 8023, allow_icmp: true } }, "ann root", "bob root")
      .envelope,
  ),
  chain("root-prev-digest", "trust.chain", "Root 2 follows another root 1.", next({ prev_digest: id(32, "other") })),
  family("E_TRUST_VIEW", "roster")(
    "roster-other-root",
    "trust.view",
    "The next roster was made under a root that is not held.",
    nextRoster({ root_digest: id(32, "other root") }),
  ),
  view(
    "other-root-cited",
    "trust.view",
    "The directive was made under another root.",
    bases.signedDirective({ root_digest: id(32, "other root") }).envelope,
  ),
  view(
    "other-keys-cited",
    "trust.keys_digest",
    "The directive was made for another key report.",
    bases.signedDirective({ keys_digest: id(32, "other keys") }).envelope,
  ),
  family("E_TRUST_VIEW", "request")(
    "root-without-roster",
    "trust.view",
    "A submit brings the next root and no roster made under it.",
    submitWith(bases.root2.envelope),
  ),
  family("E_TRUST_VIEW", "request")(
    "directive-among-documents",
    "trust.wrong_kind",
    "A submit brings a directive among the documents of trust.",
    submitWith(bases.directiveBase.envelope),
  ),
  family("E_AUD_INCARNATION", "directive")(
    "unit-superseded",
    "trust.router_retired",
    "The roster says that this unit was replaced.",
    bases.signedDirective({ roster_digest: replaced.digest }).envelope,
    { state: { roster: replaced.envelope.toBase64() } },
  ),
  rosterChain(
    "unit-missing",
    "trust.decreases",
    "The next roster leaves the router out instead of marking it superseded.",
    nextRoster({ routers: [] }),
  ),
  rosterChain(
    "unit-with-other-keys",
    "trust.router_changed",
    "The next roster has another sign key for the same unit.",
    nextRoster({ routers: [{ ...world.routerEntry, sign_key: signPair("swapped").publicKey }] }),
  ),
  view(
    "stale-roster-cited",
    "trust.view",
    "The directive was made under the roster before.",
    bases.signedDirective({ roster_digest: world.roster1.digest }).envelope,
  ),
  view(
    "newer-roster-not-attached",
    "trust.view",
    "The directive was made under the next roster, which it does not bring.",
    bases.signedDirective({ roster_digest: bases.roster3.digest }).envelope,
  ),
  rosterChain(
    "incarnation-decreases",
    "trust.decreases",
    "The next roster has the first unit active again, beside the second.",
    afterReplaced([world.routerEntry, { ...second, status: "superseded" }]),
    inSecond,
  ),
  rosterChain(
    "seq-floor-decreases",
    "trust.decreases",
    "The next roster lowers the generation floor of the second unit.",
    afterReplaced([replaced.message.routers[0]!, { ...second, generation_floor: 99n }]),
    inSecond,
  ),
  chain(
    "recovery-set-emptied",
    "trust.thresholds",
    "The next root has no RECOVERY key.",
    next({ keys: others("recovery") }),
  ),
  rosterChain(
    "recovery-key-is-operator-key",
    "trust.key_reused",
    "An operator's sign key is a RECOVERY key of the root.",
    nextRoster({
      operators: [
        ...roster2.message.operators,
        { ...world.operator("eve"), sign_key: signPair("cyd recovery").publicKey },
      ],
    }),
  ),
  rosterChain(
    "roster-fork-same-version",
    "trust.chain",
    "A second roster 2 without the router, signed by its holders.",
    signed("roster", after(world.roster1), "ann admin", "bob admin").envelope,
  ),
  family("E_ENROL", "roster")(
    "token-reused",
    "trust.repeated",
    "The next roster adds a unit by a token that was used before.",
    nextRoster({ consumed_tokens: [world.token.token_id, world.token.token_id] }),
  ),
  family("E_ENROL", "roster")(
    "token-race-two-routers",
    "trust.chain",
    "A second roster 2 adds another router by the same token, after the first won.",
    signed(
      "roster",
      {
        ...after(world.roster1),
        routers: [
          { ...world.routerEntry, sign_key: signPair("racer").publicKey, seal_key: boxPair("racer").publicKey },
        ],
        consumed_tokens: [world.token.token_id],
      },
      ...["ann admin", "bob admin"],
    ).envelope,
  ),
];
