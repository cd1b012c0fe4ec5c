/**
 * Differences between two states of what Holdfast owns: last confirmed to next (what operators change), last
 * confirmed to observed (drift), observed to next (what has to be done). Unchanged objects make no difference.
 */
import type { Desired, DesiredAddress, DesiredRoute, DesiredRule, WgPeer } from "../../schemas/desired.ts";
import { addressLine, peerLine, routeKey, routeLine, ruleLine } from "./lines.ts";
import { type OwnScope, ownAddresses } from "./normal.ts";
import type { Observed } from "./observed.ts";

export type LinkState = {
  readonly name: string;
  readonly up: boolean;
  readonly mtu: number;
  readonly port: number;
  readonly fwmark: number;
  readonly publicKey: string;
  readonly peers: readonly WgPeer[];
};

export type Sysctl = { readonly key: string; readonly value: string };

/** Everything but nft, in one shape for desired and observed. */
export type State = {
  readonly sysctls: readonly Sysctl[];
  readonly links: readonly LinkState[];
  readonly addresses: readonly DesiredAddress[];
  readonly routes: readonly DesiredRoute[];
  readonly rules: readonly DesiredRule[];
};

type Sides<T> = { readonly from: T | null; readonly to: T | null };

/** One object that is on one side only, or differs. `id` is unique within a kind. */
export type Difference =
  | ({ readonly kind: "sysctl"; readonly id: string } & Sides<Sysctl>)
  | ({ readonly kind: "link"; readonly id: string } & Sides<LinkState>)
  | ({ readonly kind: "peer"; readonly id: string; readonly link: string } & Sides<WgPeer>)
  | ({ readonly kind: "address"; readonly id: string } & Sides<DesiredAddress>)
  | ({ readonly kind: "route"; readonly id: string } & Sides<DesiredRoute>)
  | ({ readonly kind: "rule"; readonly id: string } & Sides<DesiredRule>);

const EMPTY: State = { sysctls: [], links: [], addresses: [], routes: [], rules: [] };

/** null: the time before the first generation, when nothing is ours. */
export function desiredState(desired: Desired | null): State {
  if (desired === null) return EMPTY;
  return { ...desired, links: desired.links.map((link) => ({ ...link, up: true })) };
}

/** What was seen, cut down to the scope. */
export function observedState(observed: Observed, scope: OwnScope): State {
  return {
    sysctls: observed.sysctls.filter(({ key }) => scope.sysctls.includes(key)),
    links: observed.links.filter(({ name }) => scope.links.includes(name)),
    addresses: ownAddresses(observed, scope),
    routes: observed.routes,
    rules: observed.rules,
  };
}

/** Joins two lists by key: "from" in its order, then what only "to" has. Equal pairs are left out. */
function join<T>(
  from: readonly T[],
  to: readonly T[],
  keyOf: (item: T) => string,
  textOf: (item: T) => string,
): readonly ({ readonly id: string } & Sides<T>)[] {
  const next = new Map(to.map((item) => [keyOf(item), item]));
  const old = new Set(from.map(keyOf));
  const before = from.flatMap((item) => {
    const id = keyOf(item);
    const match = next.get(id) ?? null;
    return match !== null && textOf(match) === textOf(item) ? [] : [{ id, from: item, to: match }];
  });
  const after = to.filter((item) => !old.has(keyOf(item)));
  return [...before, ...after.map((item) => ({ id: keyOf(item), from: null, to: item }))];
}

const deviceText = ({ up, mtu, port, fwmark, publicKey }: LinkState): string =>
  `${up} ${mtu} ${port} ${fwmark} ${publicKey}`;

function diffPeers(from: State, to: State): readonly Difference[] {
  const old = new Map(from.links.map((link) => [link.name, link.peers]));
  // A link that goes takes its peers along.
  return to.links.flatMap((link) =>
    join(
      old.get(link.name) ?? [],
      link.peers,
      (peer) => `${link.name} ${peer.publicKey}`,
      (peer) => peerLine(link.name, peer),
    ).map((sides) => ({ kind: "peer" as const, link: link.name, ...sides })),
  );
}

/** Every difference, kinds in the order in which a router is built up. */
export function diffStates(from: State, to: State): readonly Difference[] {
  const sysctls = join(
    from.sysctls,
    to.sysctls,
    ({ key }) => key,
    ({ value }) => value,
  );
  return [
    ...sysctls.map((sides) => ({ kind: "sysctl" as const, ...sides })),
    ...join(from.links, to.links, ({ name }) => name, deviceText).map((sides) => ({ kind: "link" as const, ...sides })),
    ...join(from.addresses, to.addresses, addressLine, addressLine).map((sides) => ({
      kind: "address" as const,
      ...sides,
    })),
    ...diffPeers(from, to),
    ...join(from.routes, to.routes, routeKey, routeLine).map((sides) => ({ kind: "route" as const, ...sides })),
    ...join(from.rules, to.rules, ruleLine, ruleLine).map((sides) => ({ kind: "rule" as const, ...sides })),
  ];
}
