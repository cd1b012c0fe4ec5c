/** Generations and observations for tests of the machine core, built like compile() builds them. */
import type { Observed } from "../../agent/core/observed.ts";
import { DESIRED_FORMAT, type Desired, type WgLink, type WgPeer } from "../../schemas/desired.ts";
import { sha256, toBase64 } from "../../schemas/digest.ts";
import { sampleTable } from "./nft-tables.ts";

export const keyOf = (name: string): string => toBase64(sha256(name));

export const clientAddress = (n: number): string => `10.100.${n >> 8}.${n & 255}`;

export const peer = (n: number, more: Partial<WgPeer> = {}): WgPeer => ({
  publicKey: keyOf(`client ${n}`),
  psk: "",
  allowedIps: [`${clientAddress(n)}/32`],
  keepaliveS: 0,
  ...more,
});

const byKey = (a: WgPeer, b: WgPeer): number => (a.publicKey < b.publicKey ? -1 : 1);

export const link = (name: string, port: number, peers: readonly WgPeer[], more: Partial<WgLink> = {}): WgLink => ({
  name,
  network: name.replace(/^hf-/, ""),
  port,
  mtu: 1420,
  fwmark: 0,
  publicKey: keyOf(`device ${name}`),
  peers: [...peers].sort(byKey),
  ...more,
});

/** An office network with clients 1..n, the rescue lane, two routes and a rule. */
export function sampleDesired(clients: readonly WgPeer[], more: Partial<Desired> = {}): Desired {
  const addresses = clients.flatMap((one) => one.allowedIps.map((prefix) => prefix.replace("/32", "")));
  return {
    format: DESIRED_FORMAT,
    router: "r1",
    sysctls: [
      { key: "net.ipv4.ip_forward", value: "1" },
      { key: "net.ipv4.ping_group_range", value: "0 100" },
    ],
    links: [
      link("hf-office", 51820, clients),
      link("hf-rescue", 51819, [peer(60_000, { allowedIps: ["fd12::5/128"] })], { fwmark: 0x51, network: "rescue" }),
    ],
    addresses: [
      { interface: "hf-office", cidr: "10.100.0.1/16" },
      { interface: "hf-rescue", cidr: "fd12::1/64" },
    ],
    routes: [
      { family: 4, to: "0.0.0.0/0", via: "192.0.2.1", interface: "wan0", table: 100, metric: 0 },
      { family: 6, to: "fd12::/64", via: "", interface: "hf-rescue", table: 101, metric: 0 },
    ],
    rules: [{ family: 4, priority: 1000, from: "192.0.2.2/32", fwmark: 0, fwmask: 0, table: 100 }],
    nft: sampleTable(addresses),
    lanes: [
      { name: "rescue", protocol: "udp", port: 51819, address: "", counter: "c_api", fingerprint: "a" },
      { name: "wg:office", protocol: "udp", port: 51820, address: "", counter: "c_api", fingerprint: "b" },
    ],
    api: [{ address: "10.100.0.1", port: 8022, lane: "rescue" }],
    probes: [],
    windowS: 120,
    capS: 300,
    rebootAllowed: false,
    ...more,
  };
}

export const clients = (count: number): readonly WgPeer[] => Array.from({ length: count }, (_, i) => peer(i + 1));

/** A kernel that holds exactly this; `nft` is its listing. */
export function observedOf(desired: Desired, nft: string): Observed {
  return {
    links: desired.links.map(({ network: _, ...device }) => ({
      ...device,
      up: true,
      peers: device.peers.map((one) => ({
        ...one,
        endpoint: "198.51.100.9:4711",
        handshakeUnixS: 7,
        rxBytes: 8,
        txBytes: 9,
      })),
    })),
    addresses: desired.addresses,
    routes: desired.routes,
    rules: desired.rules,
    sysctls: desired.sysctls,
    nft,
    nftGeneration: 1,
  };
}

export const nothing: Observed = {
  links: [],
  addresses: [],
  routes: [],
  rules: [],
  sysctls: [],
  nft: "",
  nftGeneration: 0,
};
