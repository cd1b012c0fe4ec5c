/** The first intent of a site, as text that people will edit: comments say what each part is for. */
import {
  formatIp,
  formatPrefix,
  lastOf,
  networkOf,
  overlaps,
  type Prefix,
  parseCidr,
  parsePrefix,
} from "../schemas/ip.ts";

export type Starter = {
  readonly site: string;
  readonly router: string;
  readonly uplink: string; // interface
  readonly address: string; // address/length, or "" for DHCP
  readonly gateway: string; // address or ""
  readonly lan: string; // interface
  readonly lanSubnet: string;
  readonly endpoint: string; // host:port that clients dial
};

const NETWORK_SUBNETS = ["10.99.0.0/24", "172.29.99.0/24", "192.168.99.0/24"];

/** The router's own address in the LAN: its first host. Undefined when the text is no IPv4 or IPv6 subnet. */
export function lanAddress(subnet: string): string | undefined {
  const prefix = parsePrefix(subnet);
  if (prefix === undefined || lastOf(prefix) - prefix.value < 2n) return undefined;
  return formatIp({ family: prefix.family, value: prefix.value + 1n });
}

/** A subnet for the first WireGuard network that nothing else here uses. */
function networkSubnet(taken: readonly Prefix[]): string {
  const free = NETWORK_SUBNETS.find((text) => !taken.some((one) => overlaps(parsePrefix(text)!, one)));
  return free ?? NETWORK_SUBNETS[0]!;
}

function uplinkLines({ uplink, address, gateway }: Starter): readonly string[] {
  if (address === "") return [`      - interface: ${uplink}`, "        dynamic: true # address and gateway by DHCP"];
  return [
    `      - interface: ${uplink}`,
    `        addresses: [${quoted(address)}]`,
    ...(gateway === "" ? [] : [`        gateways: [${quoted(gateway)}]`]),
  ];
}

const quoted = (text: string): string => (text.includes(":") ? JSON.stringify(text) : text);

/** intent.yaml of a router with one uplink, one LAN and one WireGuard network for clients. */
export function starterIntent(starter: Starter): string {
  const { site, router, uplink, address, lan, lanSubnet, endpoint } = starter;
  const lanCidr = parsePrefix(lanSubnet);
  const own = lanAddress(lanSubnet) ?? "";
  const wan = parseCidr(address);
  const taken = [...(lanCidr === undefined ? [] : [lanCidr]), ...(wan === undefined ? [] : [networkOf(wan)])];
  const subnet = networkSubnet(taken);
  const wanAddress = wan === undefined ? [] : [formatIp(wan)];
  const management = [...wanAddress, own].map(quoted).join(", ");
  const family = lanCidr?.family === 6 ? "v6" : "v4";
  return `# What should exist. Reference: docs/intent.md. After every edit: holdfast check, then holdfast push.
version: 1
site: ${site}

routers:
  - id: ${router}
    uplinks:
${uplinkLines(starter).join("\n")}
    addresses:
      - { interface: ${lan}, cidr: ${quoted(`${own}/${lanCidr === undefined ? 24 : lanCidr.length}`)} }
    management:
      # The agent answers at these addresses, for whoever comes from these zones. What it accepts is
      # decided by signatures, so the uplink may be among them.
      addresses: [${management}]
      zones: [${wan === undefined ? "lan" : "wan, lan"}]

zones:
  - { id: wan, router: ${router}, kind: uplink, interfaces: [${uplink}] }
  - { id: lan, router: ${router}, kind: internal, interfaces: [${lan}], subnets: [${quoted(lanCidr === undefined ? lanSubnet : formatPrefix(lanCidr))}] }

# A WireGuard network for clients. The router makes its key; clients come from inventory.yaml.
networks:
  - id: home
    router: ${router}
    port: ${endpoint.slice(endpoint.lastIndexOf(":") + 1)}
    endpoint: ${JSON.stringify(endpoint)} # what clients dial; a DNS name is fine
    subnets: [${subnet}]
    dns: []

# What a client may reach. Every client has one profile on each of its networks.
profiles:
  - id: split # the LAN, nothing else through the tunnel
    reach:
      - { zone: lan, ${family}: true${family === "v6" ? ", v4: false" : ""} }
  - id: full # the LAN and the internet
    reach:
      - { zone: lan, ${family}: true${family === "v6" ? ", v4: false" : ""} }
    internet: { v4: true }

# Zone to zone; what is not named is dropped.
policies:
  - { id: lan-out, from: lan, to: wan }

masquerade:
  - { from: lan, to: wan }
  - { from: home, to: wan }

confirm:
  window_s: 120 # a push that nobody confirms in this time undoes itself
`;
}

/** inventory.yaml without clients. */
export const starterInventory = `# Who the clients are. Reference: docs/inventory.md. holdfast client add writes here and keeps your comments.
version: 1
clients: []
tombstones: []
ledger: []
`;

/** Files that must never be committed. */
export const starterIgnore = `# Bearer secrets and private keys.
*.token
*.conf
*.key
`;
