/** Samples of intent and inventory; see samples.ts. */
import type { Messages } from "../../schemas/wire.ts";
import { bytes } from "./bytes.ts";

const wgKey = btoa(String.fromCharCode(...bytes(32, 0x40)));
const hex = "ab".repeat(32);

const ClientKey: Messages["ClientKey"] = {
  generation: 3,
  public_key: wgKey,
  psk: hex,
  state: "staged",
  origin: "imported",
};
const Grant: Messages["Grant"] = {
  network: "home",
  profile: "split",
  addresses: ["10.80.0.2", "fd00:80::2"],
  keys: [ClientKey],
  configs: ["c-1"],
};
const Hints: Messages["Hints"] = {
  os: "linux",
  dns: ["10.80.0.1"],
  mtu: 1380,
  keepalive_s: 20,
  excludes: ["192.0.2.0/24"],
};
const Client: Messages["Client"] = {
  id: "laptop",
  owner: "Ada",
  state: "suspended",
  grants: [Grant],
  services: ["printer"],
  hints: Hints,
  expires: "2027-01-31",
};
const Tombstone: Messages["Tombstone"] = {
  network: "home",
  address: "10.80.0.9",
  client: "old-phone",
  since: "2026-01-02",
};
const BurntKey: Messages["BurntKey"] = {
  fingerprint: hex,
  kind: "ssh",
  reference: "host key",
  reason: "disk lost",
  since: "2026-03-04",
};
const Uplink: Messages["Uplink"] = {
  interface: "wan0",
  addresses: ["198.51.100.2/24"],
  gateways: ["198.51.100.1"],
  mtu: 1492,
  dynamic: true,
};
const Management: Messages["Management"] = {
  addresses: ["10.0.0.1"],
  zones: ["lan"],
  port: 8022,
  accept_foreign: ["inet fw4"],
  reassert: true,
};
const Address: Messages["Address"] = { interface: "lan0", cidr: "10.0.0.1/24" };
const Route: Messages["Route"] = { to: "10.9.0.0/16", via: "10.0.0.2", interface: "lan0", metric: 100 };
const Router: Messages["Router"] = {
  id: "r1",
  uplinks: [Uplink],
  management: Management,
  addresses: [Address],
  routes: [Route],
  forward_v6: true,
};
const Zone: Messages["Zone"] = {
  id: "lan",
  router: "r1",
  kind: "management",
  interfaces: ["lan0"],
  subnets: ["10.0.0.0/24"],
  dhcp: true,
};
const Network: Messages["Network"] = {
  id: "home",
  router: "r1",
  interface: "hf-home",
  port: 51820,
  endpoint: "vpn.example.net:51820",
  subnets: ["10.80.0.0/24", "fd00:80::/64"],
  mtu: 1400,
  class: "experimental",
  dns: ["10.80.0.1"],
  keepalive_s: 25,
};
const PortRange: Messages["PortRange"] = { protocol: "udp", from: 53, to: 54 };
const Service: Messages["Service"] = { id: "printer", addresses: ["10.0.0.20"], ports: [PortRange] };
const Families: Messages["Families"] = { v4: true, v6: true };
const Reach: Messages["Reach"] = { zone: "lan", v4: true, v6: true };
const Profile: Messages["Profile"] = {
  id: "split",
  reach: [Reach],
  services: ["printer"],
  internet: Families,
  dns: Families,
};
const Constraint: Messages["Constraint"] = { network: "home", profiles: ["split"] };
const Policy: Messages["Policy"] = { id: "p1", from: "lan", to: "home", services: ["printer"], v4: true, v6: true };
const PortForward: Messages["PortForward"] = {
  id: "web",
  zone: "wan",
  address: "198.51.100.2",
  protocol: "tcp",
  port: 443,
  to_address: "10.0.0.30",
  to_port: 8443,
  count: 1,
};
const Nat: Messages["Masquerade"] = { from: "lan", to: "wan" };
const Probe: Messages["Probe"] = {
  id: "gateway",
  router: "r1",
  kind: "tcp",
  target: "198.51.100.1",
  port: 443,
  timeout_ms: 500,
  attempts: 2,
};
const Contract: Messages["Contract"] = {
  id: "no-guests",
  kind: "deny",
  from: "guest",
  to: "lan",
  services: ["printer"],
  v4: true,
  v6: true,
  ports: [{ protocol: "tcp", from: 443, to: 443 }],
};
const ConfirmPolicy: Messages["ConfirmPolicy"] = { window_s: 60, cap_s: 300, reboot_allowed: true };
const Intent: Messages["Intent"] = {
  version: 1,
  site: "homelab",
  routers: [Router],
  zones: [Zone],
  networks: [Network],
  services: [Service],
  profiles: [Profile],
  constraints: [Constraint],
  policies: [Policy],
  port_forwards: [PortForward],
  masquerade: [Nat],
  nat66: [Nat],
  probes: [Probe],
  contracts: [Contract],
  confirm: ConfirmPolicy,
  ula_prefix: "fd00:80::/48",
};

const Inventory: Messages["Inventory"] = { version: 1, clients: [Client], tombstones: [Tombstone], ledger: [BurntKey] };

export const siteSamples = {
  ClientKey,
  Grant,
  Hints,
  Client,
  Tombstone,
  BurntKey,
  Uplink,
  Management,
  Address,
  Route,
  Router,
  Zone,
  Network,
  PortRange,
  Service,
  Families,
  Reach,
  Profile,
  Constraint,
  Policy,
  PortForward,
  Probe,
  Contract,
  ConfirmPolicy,
  Intent,
  Inventory,
  Masquerade: Nat,
  Nat66: Nat,
};
