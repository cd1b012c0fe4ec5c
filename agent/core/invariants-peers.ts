/** HF-PEER, HF-CLNT, HF-SPOF: who is a peer, of what address, and that packet rules say the same. */
import type { NftSet, WgLink } from "../../schemas/desired.ts";
import { keyFingerprint } from "../../schemas/inventory-laws-keys.ts";
import { BITS, formatIp, parsePrefix } from "../../schemas/ip.ts";
import type { Problem } from "../../schemas/problem.ts";
import { splitElement } from "./invariants-packet.ts";
import { type Invariant, networkLinks, packet, type Subject, violated } from "./invariants-subject.ts";
import { walkerOf } from "./invariants-walk.ts";

const keysUnique: Invariant = {
  id: "HF-PEER-01",
  sentence: "A public key is one peer of one device, and no device's own key.",
  why: "WireGuard merges peers with one key silently; one key in two places cannot be revoked in one.",
  example: "One client's key on two networks.",
  fix: "Make a new key for one of them.",
  check: ({ desired }) => {
    const first = new Map<string, string>();
    const uses = desired.links.flatMap((link) => [
      { key: link.publicKey, place: `device ${link.name}` },
      ...link.peers.map((peer) => ({ key: peer.publicKey, place: `a peer of ${link.name}` })),
    ]);
    return uses.flatMap(({ key, place }): readonly Problem[] => {
      const before = first.get(key);
      if (before === undefined) first.set(key, place);
      return before === undefined
        ? []
        : [violated("HF-PEER-01", `Key ${key} is ${before} and ${place}: make a new one.`)];
    });
  },
};

const hostPrefixes: Invariant = {
  id: "HF-PEER-02",
  sentence: "AllowedIPs are host prefixes, and no two peers of the router share one.",
  why: "Adding a prefix to one peer silently takes it from another; a wider one lets a peer speak for its neighbours.",
  example: "The network's own /16 as every peer's AllowedIPs.",
  fix: "Give every client its own address.",
  check: ({ desired }) => {
    const first = new Map<string, string>();
    return desired.links.flatMap((link) =>
      link.peers.flatMap((peer) =>
        peer.allowedIps.flatMap((text): readonly Problem[] => {
          const prefix = parsePrefix(text);
          const who = `${peer.publicKey} of ${link.name}`;
          if (prefix === undefined || prefix.length !== BITS[prefix.family]) {
            return [violated("HF-PEER-02", `${text} of peer ${who} is no host prefix.`)];
          }
          const before = first.get(text);
          if (before === undefined) first.set(text, who);
          return before === undefined
            ? []
            : [violated("HF-PEER-02", `${text} belongs to peer ${before} and to ${who}.`)];
        }),
      ),
    );
  },
};

const textOf = (key: string, psk: string, allowed: readonly string[]): string =>
  `${key} ${psk} ${[...allowed].sort().join(",")}`;

/** What the inventory wants of one network: one line per peer. */
function wantedPeers({ inventory }: Subject, network: string): readonly string[] {
  return inventory.clients
    .filter((client) => client.state === "active")
    .flatMap((client) => client.grants.filter((grant) => grant.network === network))
    .flatMap((grant) =>
      grant.keys
        .filter((key) => key.state !== "burnt")
        .map((key) => {
          const held = grant.addresses.map((address) => `${address}/${address.includes(":") ? 128 : 32}`);
          return textOf(key.public_key, key.psk, key.state === "live" ? held : []);
        }),
    );
}

const peersExact: Invariant = {
  id: "HF-PEER-03",
  sentence:
    "A network's peers are exactly the keys of its active clients: live ones with their addresses, staged ones with none.",
  why: "A peer too many is access that nobody granted; a peer too few is a client without a connection.",
  example: "A suspended client who is still a peer.",
  fix: "Report it: the compiler and the inventory disagree; keep the last confirmed generation.",
  check: (subject) =>
    networkLinks(subject.desired).flatMap((link) => {
      const wanted = new Set(wantedPeers(subject, link.network));
      const found = new Set(link.peers.map((peer) => textOf(peer.publicKey, peer.psk, peer.allowedIps)));
      return [
        ...[...wanted]
          .filter((one) => !found.has(one))
          .map((one) => violated("HF-PEER-03", `${link.name} lacks peer ${one}.`)),
        ...[...found]
          .filter((one) => !wanted.has(one))
          .map((one) => violated("HF-PEER-03", `${link.name} has peer ${one}, which nobody granted.`)),
      ];
    }),
};

const noBurntKey: Invariant = {
  id: "HF-PEER-04",
  sentence: "No key of the burnt-key ledger is a peer, a device's key or an operator's lane key.",
  why: "A burnt key is known to somebody else; once back in use, everything that was revoked is open again.",
  example: "A client added anew with the key of the phone that was lost.",
  fix: "Make a new key; burnt keys never come back.",
  check: ({ inventory, desired }) => {
    const burnt = new Map(
      inventory.ledger.filter((entry) => entry.kind === "wireguard").map((entry) => [entry.fingerprint, entry.reason]),
    );
    const keys = desired.links.flatMap((link) => [link.publicKey, ...link.peers.map((peer) => peer.publicKey)]);
    return keys
      .filter((key) => burnt.has(keyFingerprint(key)))
      .map((key) => violated("HF-PEER-04", `Key ${key} is burnt (${burnt.get(keyFingerprint(key))}): make a new one.`));
  },
};

const devicesKnown: Invariant = {
  id: "HF-PEER-05",
  sentence: "Devices are the router's networks and the rescue lane, each with the key that the router itself reported.",
  why: "A device with a foreign key is one whose private half the router does not have, or somebody else does.",
  example: "A network whose key is that of another router's report.",
  fix: "Fetch the router's key report again, then push.",
  check: ({ intent, keys, router, desired }) => {
    const networks = ["rescue", ...intent.networks.filter((one) => one.router === router).map((one) => one.id)];
    const reported = new Map(keys.keys.map((key) => [key.network, key.public_key]));
    return [
      ...networks
        .filter((network) => desired.links.filter((link) => link.network === network).length !== 1)
        .map((network) => violated("HF-PEER-05", `Network ${network} has not exactly one device.`)),
      ...desired.links
        .filter((link) => !networks.includes(link.network))
        .map((link) => violated("HF-PEER-05", `Device ${link.name} belongs to no network of router ${router}.`)),
      ...desired.links
        .filter((link) => reported.get(link.network) !== link.publicKey)
        .map((link) => violated("HF-PEER-05", `The key of ${link.name} is not the one that the router reported.`)),
    ];
  },
};

/** Addresses that no rule may speak of: suspended and revoked clients', and buried ones. */
function goneAddresses({ inventory }: Subject): ReadonlyMap<string, string> {
  const gone = inventory.clients
    .filter((client) => client.state !== "active")
    .flatMap((client) =>
      client.grants.flatMap((grant) => grant.addresses.map((one): [string, string] => [one, client.id])),
    );
  return new Map([...gone, ...inventory.tombstones.map((stone): [string, string] => [stone.address, stone.client])]);
}

const goneIsGone: Invariant = {
  id: "HF-CLNT-01",
  sentence: "The addresses of suspended, revoked and removed clients are in no peer, set or map.",
  why: "What stays behind is inherited by whoever gets the address next.",
  example: "A revoked client's address that is still in the map of profiles.",
  fix: "Report it: the compiler kept something of a client that is gone.",
  check: (subject) => {
    const { desired, inventory } = subject;
    const active = new Set(
      inventory.clients
        .filter((client) => client.state === "active")
        .flatMap((client) => client.grants.flatMap((grant) => grant.addresses)),
    );
    const gone = new Map([...goneAddresses(subject)].filter(([address]) => !active.has(address)));
    const inSets = desired.nft.sets.flatMap((set) =>
      set.elements.flatMap((element) => {
        const parts = splitElement(set, element).join(" . ").split(" . ");
        return parts.filter((part) => gone.has(part)).map((part) => ({ part, place: set.name }));
      }),
    );
    const inPeers = desired.links.flatMap((link) =>
      link.peers.flatMap((peer) =>
        peer.allowedIps
          .map((prefix) => prefix.slice(0, prefix.indexOf("/")))
          .filter((address) => gone.has(address))
          .map((part) => ({ part, place: link.name })),
      ),
    );
    return [...inSets, ...inPeers].map(({ part, place }) =>
      violated("HF-CLNT-01", `${part} of client ${gone.get(part)}, who is not active, is still in ${place}.`),
    );
  },
};

/** `address "device"` of every element of the two anti-spoof sets. */
function sourcesInSets(sets: readonly NftSet[]): readonly string[] {
  return sets
    .filter((set) => set.name === "s_src4" || set.name === "s_src6")
    .flatMap((set) => set.elements.map((element) => element.split(" . ").join(" ")));
}

const sourcesOf = (links: readonly WgLink[]): readonly string[] =>
  links.flatMap((link) =>
    link.peers.flatMap((peer) =>
      peer.allowedIps.map((prefix) => `${prefix.slice(0, prefix.indexOf("/"))} "${link.name}"`),
    ),
  );

/** A source that a device must refuse: an address of nobody, and one that belongs to a peer of another device. */
function spoofed({ desired }: Subject, link: WgLink): readonly string[] {
  const others = desired.links.filter((one) => one.name !== link.name).flatMap((one) => one.peers);
  const foreign = ([4, 6] as const).flatMap((family) => {
    const prefix = others.flatMap((peer) => peer.allowedIps).find((text) => text.includes(":") === (family === 6));
    return prefix === undefined ? [] : [prefix];
  });
  return ["192.0.2.99/32", "2001:db8:ffff::99/128", ...foreign];
}

const antiSpoof: Invariant = {
  id: "HF-SPOF-01",
  sentence:
    "The anti-spoof sets hold exactly the AllowedIPs, and any other source on a tunnel is dropped before routing.",
  why: "AllowedIPs and packet rules are compiled from one source; a difference is a hole in one of them.",
  example: "A client's address in AllowedIPs that is not in s_src4.",
  fix: "Report it: the compiler let the two forms of a grant drift apart.",
  check: (subject) => {
    const { desired } = subject;
    const inSets = new Set(sourcesInSets(desired.nft.sets));
    const inPeers = new Set(sourcesOf(desired.links));
    const walker = walkerOf(desired.nft);
    const target = parsePrefix("192.0.2.1/32")!;
    const passes = (iif: string, text: string): boolean => {
      const source = parsePrefix(text)!;
      const to = source.family === 4 ? target : parsePrefix("2001:db8:ffff::1/128")!;
      return walker.hook("prerouting", packet({ iif, source, target: to })).some((way) => way.verdict === "accept");
    };
    return [
      ...[...inPeers]
        .filter((one) => !inSets.has(one))
        .map((one) => violated("HF-SPOF-01", `${one} is allowed to its peer, but would be dropped.`)),
      ...[...inSets]
        .filter((one) => !inPeers.has(one))
        .map((one) => violated("HF-SPOF-01", `${one} is let in, but belongs to no peer.`)),
      ...desired.links.flatMap((link) =>
        spoofed(subject, link)
          .filter((text) => passes(link.name, text))
          .map((text) =>
            violated("HF-SPOF-01", `A packet from ${formatIp(parsePrefix(text)!)} on ${link.name} is not dropped.`),
          ),
      ),
    ];
  },
  reads: () => [{ set: "s_src4" }, { set: "s_src6" }],
};

export const peerInvariants: readonly Invariant[] = [
  keysUnique,
  hostPrefixes,
  peersExact,
  noBurntKey,
  devicesKnown,
  goneIsGone,
  antiSpoof,
];
