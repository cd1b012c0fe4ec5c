/**
 * The risk class of a change, derived by who has to carry it out: the directive must claim at least that much, so an
 * understated class cannot spare the people who should have signed. What has piled up since enough people last signed
 * counts as well: a sensitive change cut into routine slices stays one.
 */
import type { Desired } from "../../schemas/desired.ts";
import { equalBytes, toHex } from "../../schemas/digest.ts";
import type { Intent } from "../../schemas/intent.ts";
import type { Inventory } from "../../schemas/inventory.ts";
import type { RiskClass } from "../../schemas/trust.ts";
import { encode } from "../../schemas/wire.ts";
import { desiredState, diffStates } from "./diff.ts";
import { sameStructure } from "./nft-text.ts";
import { laneChanges } from "./plan.ts";
import type { Plan, Step } from "./step.ts";
import type { TrustView } from "./trust.ts";

const ORDER: readonly RiskClass[] = ["routine", "sensitive", "trust", "recovery"];

/** Above this share of what the quorum signed, going or changing is no routine. */
const SHARE = 0.25;

/** What a generation means, as far as risk is concerned. Documents are canonical. */
export type Meaning = { readonly desired: Desired; readonly intent: Intent; readonly inventory: Inventory };

/** A generation of the past that a change is held against. */
export type Past = Meaning & { readonly generation: bigint };

export type RiskInput = {
  readonly plan: Pick<Plan, "apply" | "afterConfirm" | "lanes">;
  readonly kept: Desired | null; // null: the first generation
  readonly next: Meaning;
  /** The kept generation, and the newest one that enough people for a sensitive change signed; the same one or two. */
  readonly past: readonly Past[];
  /** Of `past`, the one that enough people signed. */
  readonly signed: Past | null;
  /** What should be there to compare with and is not: nobody can say that nothing of it changes. */
  readonly unreadable: readonly string[];
  /** Trust documents that the kept generation was made under; null: the first generation. */
  readonly trustBefore: TrustView | null;
  readonly trust: TrustView;
  readonly routerId: Uint8Array;
  readonly accepts: readonly string[]; // lanes that need not be proven
};

export type Reason = { readonly riskClass: RiskClass; readonly text: string };

export type Risk = { readonly riskClass: RiskClass; readonly reasons: readonly Reason[] };

const sensitive = (text: string): Reason => ({ riskClass: "sensitive", text });

// ---- what the kernel would see ----

const words: Readonly<Record<Step["kind"], string>> = {
  "sysctl.set": "sysctls",
  "link.add": "links",
  "link.mtu": "links",
  "link.up": "links",
  "link.remove": "links",
  "wg.device": "links",
  "wg.peers": "operators on the rescue lane",
  "wg.remove": "operators on the rescue lane",
  "address.add": "addresses",
  "address.remove": "addresses",
  "route.add": "routes",
  "route.remove": "routes",
  "rule.add": "routing rules",
  "rule.remove": "routing rules",
  "nft.load": "firewall rules",
};

const listed = (names: readonly string[]): string => [...new Set(names)].join(", ");

/**
 * Routine: peers and set elements come and go under the rules that stand. Everything else is said: a link, address,
 * route, rule, sysctl, chain or set, a peer of the rescue lane, a lane that must be proven, a first generation.
 */
function effects({ plan, kept, next }: RiskInput): readonly Reason[] {
  if (kept === null) return [sensitive("it is the first generation")];
  const sameRules = sameStructure(kept.nft, next.desired.nft);
  const rescue = next.desired.links.filter((link) => link.network === "rescue").map((link) => link.name);
  const isRoutine = (step: Step): boolean =>
    step.kind === "wg.peers" || step.kind === "wg.remove"
      ? !rescue.includes(step.name)
      : step.kind === "nft.load" && sameRules;
  const steps = [...plan.apply, ...plan.afterConfirm].filter((step) => !isRoutine(step));
  const lanes = plan.lanes.filter((lane) => lane.changed).map((lane) => lane.name);
  return [
    ...(steps.length > 0 ? [sensitive(`the kernel gets other ${listed(steps.map((step) => words[step.kind]))}`)] : []),
    ...(lanes.length > 0 ? [sensitive(`lanes work differently: ${listed(lanes)}`)] : []),
  ];
}

/** The same between two generations, whatever the kernel holds now. */
function piledUp(past: Past, next: Desired): readonly Reason[] {
  const since = `since generation ${past.generation}`;
  const rescue = next.links.filter((link) => link.network === "rescue").map((link) => link.name);
  const kinds = diffStates(desiredState(past.desired), desiredState(next)).flatMap((one) =>
    one.kind !== "peer" ? [`${one.kind}s`] : rescue.includes(one.link) ? ["operators on the rescue lane"] : [],
  );
  const rules = sameStructure(past.desired.nft, next.nft) ? [] : ["firewall rules"];
  const lanes = laneChanges(past.desired, next).flatMap((lane) => (lane.changed ? [lane.name] : []));
  const found = listed([...kinds, ...rules, ...lanes]);
  return found === "" ? [] : [sensitive(`${since} the kernel gets other ${found}`)];
}

// ---- what the documents mean ----

type Part = readonly [name: string, pick: (intent: Intent, router: string) => unknown];

/** Parts of the intent that decide how a change is judged, undone and confirmed, or how a router is reached. */
const PARTS: readonly Part[] = [
  ["contracts", (intent) => intent.contracts],
  ["probes", (intent, router) => intent.probes.filter((one) => one.router === router)],
  ["the confirm policy", (intent) => intent.confirm],
  ["constraints", (intent) => intent.constraints],
  [
    "management",
    (intent, router) => [
      intent.routers.find((one) => one.id === router)?.management,
      intent.zones.filter((zone) => zone.router === router && zone.kind === "management"),
    ],
  ],
  [
    "network ports and endpoints",
    (intent, router) =>
      intent.networks
        .filter((one) => one.router === router)
        .map((one) => [one.id, one.interface, one.port, one.endpoint]),
  ],
  ["NAT66", (intent) => intent.nat66],
  [
    "experimental networks",
    (intent, router) => [
      intent.networks.filter((one) => one.router === router && one.class === "experimental"),
      intent.zones.filter((one) => one.router === router && one.kind === "experimental"),
    ],
  ],
];

function intentReasons(past: Past, next: Meaning): readonly Reason[] {
  const { router } = next.desired;
  const text = (value: unknown): string => JSON.stringify(value) ?? "";
  const changed = PARTS.filter(([, pick]) => text(pick(past.intent, router)) !== text(pick(next.intent, router)));
  if (changed.length === 0) return [];
  return [sensitive(`the intent changes ${listed(changed.map(([name]) => name))} since generation ${past.generation}`)];
}

/** Peers that carry traffic, by network and key; operators are not among them. */
const peersOf = (desired: Desired): readonly string[] =>
  desired.links
    .filter((link) => link.network !== "rescue")
    .flatMap((link) =>
      link.peers.filter((peer) => peer.allowedIps.length > 0).map((peer) => `${link.network} ${peer.publicKey}`),
    );

/** What each grant lets its client do. */
const grantsOf = (inventory: Inventory): ReadonlyMap<string, string> =>
  new Map(
    inventory.clients.flatMap((client) =>
      client.grants.map((grant) => [
        `${client.id} ${grant.network}`,
        [grant.profile, ...[...client.services].sort()].join(" "),
      ]),
    ),
  );

/** A quarter of the peers gone, or of the grants meaning something else. */
function shares(signed: Past, next: Meaning): readonly Reason[] {
  const over = (part: number, all: number): boolean => part > SHARE * all;
  const since = `of generation ${signed.generation}`;
  const peers = peersOf(signed.desired);
  const left = new Set(peersOf(next.desired));
  const gone = peers.filter((peer) => !left.has(peer)).length;
  const grants = grantsOf(signed.inventory);
  const after = grantsOf(next.inventory);
  const other = [...grants].filter(([name, means]) => after.has(name) && after.get(name) !== means).length;
  return [
    ...(over(gone, peers.length) ? [sensitive(`${gone} of ${peers.length} peers ${since} go`)] : []),
    ...(over(other, grants.size) ? [sensitive(`${other} of ${grants.size} grants ${since} change`)] : []),
  ];
}

// ---- who decides ----

/** Who may sign, or what this unit is, changes; other routers and used tokens in a roster do not matter here. */
function trustReasons({ trustBefore, trust, routerId }: RiskInput): readonly Reason[] {
  if (trustBefore === null) return [];
  const text = ({ roster }: TrustView) => ({
    operators: listed(roster.message.operators.map((one) => toHex(encode("Operator", one))).sort()),
    own: listed(
      roster.message.routers
        .filter((one) => equalBytes(one.router_id, routerId))
        .map((one) => toHex(encode("RosterRouter", one)))
        .sort(),
    ),
  });
  const [before, after] = [text(trustBefore), text(trust)];
  const found = [
    ...(equalBytes(trustBefore.root.digest, trust.root.digest) ? [] : ["another root"]),
    ...(before.operators === after.operators ? [] : ["other operators"]),
    ...(before.own === after.own ? [] : ["another entry of this router"]),
  ];
  return found.length === 0 ? [] : [{ riskClass: "trust", text: `it brings ${listed(found)}` }];
}

/** The class with every reason for it; "routine" has none. */
export function deriveRisk(input: RiskInput): Risk {
  const { next, past, signed, accepts, unreadable } = input;
  const reasons = [
    ...trustReasons(input),
    ...effects(input),
    ...past.flatMap((one) => intentReasons(one, next)),
    ...past.filter((one) => one === signed && past.length > 1).flatMap((one) => piledUp(one, next.desired)),
    ...(signed === null ? [] : shares(signed, next)),
    ...(accepts.length > 0 ? [sensitive(`it accepts lanes unproven: ${listed(accepts)}`)] : []),
    ...unreadable.map((what) => sensitive(`${what} cannot be read, so everything may have changed`)),
  ];
  const highest = reasons.reduce((most, { riskClass }) => Math.max(most, ORDER.indexOf(riskClass)), 0);
  return { riskClass: ORDER[highest] ?? "recovery", reasons };
}

/** True when `claimed` is at least `needed`. */
export function coversClass(claimed: RiskClass, needed: RiskClass): boolean {
  return ORDER.indexOf(claimed) >= ORDER.indexOf(needed);
}
