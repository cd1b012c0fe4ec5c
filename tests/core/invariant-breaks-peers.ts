/** Per invariant of peers, what breaks it. */
import type { Subject } from "../../agent/core/invariants.ts";
import type { Desired } from "../../schemas/desired.ts";
import { keyFingerprint } from "../../schemas/inventory-laws-keys.ts";
import { type Break, chain, drop, homelab, link, type Open, rules, set } from "./invariant-subjects.ts";

type Client = Subject["inventory"]["clients"][number];

/** The inventory changed behind the compiler's back: the generation is still the old one. */
function withClient(id: string, edit: (client: Client) => Client): Subject {
  const clients = homelab.inventory.clients.map((client) => (client.id === id ? edit(client) : client));
  return { ...homelab, inventory: { ...homelab.inventory, clients } };
}

function withBurnt(key: string): Subject {
  const entry = {
    fingerprint: keyFingerprint(key),
    kind: "wireguard" as const,
    reference: "",
    reason: "leaked",
    since: "",
  };
  return { ...homelab, inventory: { ...homelab.inventory, ledger: [...homelab.inventory.ledger, entry] } };
}

export const peerBreaks: Readonly<Record<string, readonly Break[]>> = {
  "HF-PEER-01": [
    [
      "a client's key on two networks",
      () => rules((d) => (link(d, "lab-v6").peers[0]!.publicKey = link(d, "home").peers[0]!.publicKey)),
    ],
    [
      "a key twice on one device",
      () => rules((d) => (link(d, "home").peers[1]!.publicKey = link(d, "home").peers[0]!.publicKey)),
    ],
    ["the device's own key", () => rules((d) => (link(d, "home").peers[0]!.publicKey = link(d, "home").publicKey))],
    [
      "an operator's lane key",
      () => rules((d) => (link(d, "home").peers[0]!.publicKey = link(d, "rescue").peers[0]!.publicKey)),
    ],
  ],
  "HF-PEER-02": [
    [
      "the network's own prefix for a peer (D1)",
      () => rules((d) => (link(d, "home").peers[0]!.allowedIps = ["10.100.0.0/16"])),
    ],
    [
      "one address for two peers",
      () => rules((d) => (link(d, "home").peers[0]!.allowedIps = link(d, "home").peers[1]!.allowedIps)),
    ],
    [
      "one address on two devices",
      () => rules((d) => (link(d, "lab-v6").peers[0]!.allowedIps = link(d, "home").peers[0]!.allowedIps)),
    ],
    ["a default route", () => rules((d) => (link(d, "home").peers[0]!.allowedIps = ["0.0.0.0/0"]))],
  ],
  "HF-PEER-03": [
    [
      "a suspended client is a peer",
      () => withClient("alice-phone", (client) => ({ ...client, state: "suspended" as const })),
    ],
    ["a peer is missing", () => rules((d) => link(d, "home").peers.pop())],
    [
      "a staged key has the address",
      () =>
        rules(
          (d) => (link(d, "home").peers.find((peer) => peer.allowedIps.length === 0)!.allowedIps = ["10.100.99.1/32"]),
        ),
    ],
    [
      "a peer without its preshared key",
      () => rules((d) => (link(d, "home").peers.find((peer) => peer.psk !== "")!.psk = "")),
    ],
    [
      "a peer that nobody granted",
      () =>
        rules((d) =>
          link(d, "lab-v6").peers.push({ ...link(d, "lab-v6").peers[0]!, publicKey: link(d, "home").publicKey }),
        ),
    ],
  ],
  "HF-PEER-04": [
    [
      "a client's key is in the ledger (D3)",
      () => withBurnt(link(homelab.desired as Open<Desired>, "home").peers[0]!.publicKey),
    ],
    ["a device's key is", () => withBurnt(link(homelab.desired as Open<Desired>, "home").publicKey)],
    [
      "an operator's lane key is",
      () => withBurnt(link(homelab.desired as Open<Desired>, "rescue").peers[0]!.publicKey),
    ],
  ],
  "HF-PEER-05": [
    [
      "another key than the router's",
      () => rules((d) => (link(d, "home").publicKey = link(d, "lab-v6").peers[0]!.publicKey)),
    ],
    ["a device of no network", () => rules((d) => d.links.push({ ...link(d, "home"), name: "wg9", network: "other" }))],
    ["a network without a device", () => rules((d) => (d.links = d.links.filter((one) => one.network !== "lab-v6")))],
    ["two devices of a network", () => rules((d) => d.links.push({ ...link(d, "home"), name: "wg9" }))],
  ],
  "HF-CLNT-01": [
    [
      "a revoked client in the map of profiles (D5)",
      () => rules((d) => set(d, "m_prof4").elements.push("10.100.99.1 : goto p_o_full")),
    ],
    [
      "a suspended client in the anti-spoof set",
      () => rules((d) => set(d, "s_src4").elements.push('10.100.61.2 . "wgs1"')),
    ],
    [
      "a removed client in the grants",
      () => rules((d) => set(d, "s_grant4").elements.push("10.100.17.5 . 10.0.0.10 . tcp . 22")),
    ],
    [
      "a revoked client as a peer",
      () =>
        rules(
          (d) => (link(d, "home").peers.find((peer) => peer.allowedIps.length === 0)!.allowedIps = ["10.100.99.1/32"]),
        ),
    ],
  ],
  "HF-SPOF-01": [
    ["a client missing from the set", () => rules((d) => drop(set(d, "s_src4").elements, '10.100.17.4 . "wgs1"'))],
    ["a client at another device", () => rules((d) => set(d, "s_src4").elements.push('10.100.17.4 . "hf-lab-quic"'))],
    [
      "the check is gone",
      () =>
        rules(
          (d) =>
            (chain(d, "b_prerouting").rules = chain(d, "b_prerouting").rules.filter(
              (rule) => !rule.includes("@s_src4"),
            )),
        ),
    ],
    [
      "an accept before the check",
      () => rules((d) => chain(d, "b_prerouting").rules.splice(4, 0, 'iifname "wgs1" accept')),
    ],
    ["a device that is not checked", () => rules((d) => drop(set(d, "s_tunnel").elements, '"hf-lab-v6"'))],
  ],
};
