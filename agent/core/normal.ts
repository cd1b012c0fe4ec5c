/**
 * One text for a kernel state, so that "byte-equal" has a meaning: epoch, counters, handles, handshakes,
 * endpoints and lifetimes are left out, lists are sorted, nft is freed of the order in which it was loaded.
 */
import type { Desired, DesiredAddress } from "../../schemas/desired.ts";
import { sha256 } from "../../schemas/digest.ts";
import { addressLine, peerLine, routeLine, ruleLine } from "./lines.ts";
import { normalListing, withoutEpoch } from "./nft-listing.ts";
import type { Observed, Scope } from "./observed.ts";

/** What a comparison may speak of: names to ask for, and addresses of ours on interfaces of others. */
export type OwnScope = Scope & { readonly addresses: readonly DesiredAddress[] };

const unique = (names: readonly string[]): readonly string[] => [...new Set(names)].sort();

/** The union of what some generations own. null stands for the time before the first one. */
export function scopeOf(...generations: readonly (Desired | null)[]): OwnScope {
  const all = generations.filter((one) => one !== null);
  const links = unique(all.flatMap((one) => one.links.map((link) => link.name)));
  const addresses = all.flatMap((one) => one.addresses);
  return {
    links,
    addressInterfaces: unique([...links, ...addresses.map((address) => address.interface)]),
    sysctls: unique(all.flatMap((one) => one.sysctls.map((sysctl) => sysctl.key))),
    addresses,
  };
}

/** Kernel-made link-local addresses belong to nobody. */
const isLinkLocal = (cidr: string): boolean => /^fe[89ab]/.test(cidr);

/**
 * Addresses that count as ours: everything on our own links, and on other interfaces only what some generation in
 * the scope put there.
 */
export function ownAddresses(observed: Observed, scope: OwnScope): readonly DesiredAddress[] {
  const links = new Set(scope.links);
  const known = new Set(scope.addresses.map(addressLine));
  return observed.addresses.filter(
    (address) => known.has(addressLine(address)) || (links.has(address.interface) && !isLinkLocal(address.cidr)),
  );
}

const toText = (lines: readonly string[], nft: string): string =>
  `${[...lines].sort().join("\n")}\n${nft === "" ? "" : `${nft}\n`}`;

type LinkState = { name: string; up: boolean; mtu: number; port: number; fwmark: number; publicKey: string };

const linkState = (link: LinkState): string =>
  `link ${link.name} ${link.up ? "up" : "down"} ${link.mtu} ${link.port} 0x${link.fwmark.toString(16)} ${link.publicKey}`;

/** The state in which `desired` holds; `listing` is its rehearsal under `epoch`. */
export function normalDesired(desired: Desired, listing: string, epoch: number): string {
  return toText(
    [
      ...desired.sysctls.map(({ key, value }) => `sysctl ${key} ${value}`),
      ...desired.links.map((link) => linkState({ ...link, up: true })),
      ...desired.links.flatMap((link) => link.peers.map((peer) => `peer ${peerLine(link.name, peer)}`)),
      ...desired.addresses.map((address) => `address ${addressLine(address)}`),
      ...desired.routes.map((route) => `route ${routeLine(route)}`),
      ...desired.rules.map((rule) => `rule ${ruleLine(rule)}`),
    ],
    withoutEpoch(normalListing(listing), epoch),
  );
}

/** The state that was seen, as far as `scope` reaches; `epoch` is the one in force. */
export function normalObserved(observed: Observed, scope: OwnScope, epoch: number): string {
  const links = observed.links.filter((link) => scope.links.includes(link.name));
  const sysctls = observed.sysctls.filter(({ key }) => scope.sysctls.includes(key));
  return toText(
    [
      ...sysctls.map(({ key, value }) => `sysctl ${key} ${value}`),
      ...links.map(linkState),
      ...links.flatMap((link) => link.peers.map((peer) => `peer ${peerLine(link.name, peer)}`)),
      ...ownAddresses(observed, scope).map((address) => `address ${addressLine(address)}`),
      ...observed.routes.map((route) => `route ${routeLine(route)}`),
      ...observed.rules.map((rule) => `rule ${ruleLine(rule)}`),
    ],
    withoutEpoch(normalListing(observed.nft), epoch),
  );
}

/** SHA-256 of the normal form: equal digests, equal states. */
export function observedDigest(observed: Observed, scope: OwnScope, epoch: number): Uint8Array {
  return sha256(normalObserved(observed, scope, epoch));
}
