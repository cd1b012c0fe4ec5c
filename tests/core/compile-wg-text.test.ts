/** Texts for clients and operators: what a client routes follows from what it may reach. */
import { describe, expect, test } from "bun:test";
import { type ClientConfigInput, clientConfig, laneConfig } from "../../agent/core/wg-text.ts";
import type { IntentInput } from "../../schemas/intent.ts";
import { contains, parseIp, parsePrefix } from "../../schemas/ip.ts";
import { type ClientInput, clientOf, grantOf, inputOf, keyOf, NETWORK_ID, smallIntent } from "./compile-sites.ts";

const small = smallIntent();
const intent: IntentInput = {
  ...small,
  services: [
    { id: "web", addresses: ["10.1.0.5"], ports: [{ protocol: "tcp", from: 443 }] },
    { id: "cloud", addresses: ["198.51.100.0/28", "2001:db8:5::5"], ports: [{ protocol: "tcp", from: 443 }] },
  ],
  profiles: [
    ...small.profiles!,
    { id: "lan4", reach: [{ zone: "lan" }] },
    { id: "internet4", internet: { v4: true } },
    { id: "service", services: ["cloud"], dns: { v4: true } },
  ],
};

function textOf(client: ClientInput, more: Partial<ClientConfigInput> = {}): string {
  const input = inputOf(intent, { version: 1, clients: [client] });
  const result = clientConfig({
    intent: input.intent,
    inventory: input.inventory,
    keys: input.keys,
    client: client.id,
    network: "home",
    privateKey: null,
    psk: null,
    ...more,
  });
  if (!result.ok) throw new Error(result.problems.map((one) => one.code).join(" "));
  return result.value;
}

const field = (text: string, name: string): readonly string[] =>
  new RegExp(`^${name} = (.*)$`, "m").exec(text)?.[1]?.split(", ") ?? [];
const allowed = (client: ClientInput): readonly string[] => field(textOf(client), "AllowedIPs");
const withProfile = (profile: string, more: Partial<ClientInput> = {}): ClientInput =>
  clientOf(2, { grants: [grantOf(2, { profile })], ...more });

test("the whole text", () => {
  const text = textOf(withProfile("split"), { privateKey: "PRIVATE", psk: "SHARED" });
  expect(text).toBe(`# c2 on home
[Interface]
PrivateKey = PRIVATE
Address = 10.100.0.2/32, fd00:100::2/128
DNS = 10.100.0.1, fd00:100::1
MTU = 1420

[Peer]
PublicKey = ${keyOf("device r1 home")}
PresharedKey = SHARED
Endpoint = vpn.example.net:51820
AllowedIPs = 10.1.0.0/24, 10.100.0.1/32, fd00:1::/64, fd00:100::1/128
PersistentKeepalive = 25
`);
});

test("a key that was made on the device leaves only its place (U9)", () => {
  const text = textOf(withProfile("split"));
  expect(text).toContain("# PrivateKey = the key that was made on this device\n");
  expect(text).not.toMatch(/^PrivateKey/m);
  expect(text).not.toContain("PresharedKey");
});

describe("AllowedIPs by profile (U5, U6)", () => {
  const cases: Record<string, readonly string[]> = {
    split: ["10.1.0.0/24", "10.100.0.1/32", "fd00:1::/64", "fd00:100::1/128"],
    full: ["0.0.0.0/0", "::/0"],
    lan4: ["10.1.0.0/24", "10.100.0.1/32", "fd00:100::1/128"],
    internet4: ["0.0.0.0/0", "fd00:100::1/128"],
    none: ["10.100.0.1/32", "fd00:100::1/128"],
    service: ["10.100.0.1/32", "198.51.100.0/28", "2001:db8:5::5/128", "fd00:100::1/128"],
  };
  for (const [profile, wanted] of Object.entries(cases)) {
    test(profile, () => expect(allowed(withProfile(profile))).toEqual([...wanted]));
  }

  test("services of the client itself", () => {
    expect(allowed(withProfile("none", { services: ["web"] }))).toEqual([
      "10.1.0.5/32",
      "10.100.0.1/32",
      "fd00:100::1/128",
    ]);
  });

  test("a client without an address of a family routes nothing of it", () => {
    const client = clientOf(2, { grants: [grantOf(2, { profile: "full", addresses: ["10.100.0.2"] })] });
    expect(allowed(client)).toEqual(["0.0.0.0/0"]);
    expect(field(textOf(client), "DNS")).toEqual(["10.100.0.1"]);
  });
});

describe("excludes are cut out of a full tunnel as a complement (D10)", () => {
  test("a /24 leaves 24 prefixes, and every address is on its side", () => {
    const client = withProfile("internet4", { hints: { excludes: ["192.168.7.0/24"] } });
    const prefixes = allowed(client).filter((text) => !text.includes(":"));
    expect(prefixes).toHaveLength(24);
    const inside = (text: string): boolean => prefixes.some((prefix) => contains(parsePrefix(prefix)!, parseIp(text)!));
    expect(["192.168.6.255", "192.168.8.0", "0.0.0.0", "255.255.255.255"].map(inside)).toEqual(Array(4).fill(true));
    expect(["192.168.7.0", "192.168.7.255"].map(inside)).toEqual([false, false]);
  });

  test("the router and its DNS stay reachable inside of what is cut out", () => {
    const list = allowed(withProfile("full", { hints: { excludes: ["10.0.0.0/8", "fd00::/8"] } }));
    expect(list).toContain("10.100.0.1/32");
    expect(list).toContain("fd00:100::1/128");
    expect(list.some((text) => contains(parsePrefix(text)!, parseIp("10.1.0.5")!))).toBe(false);
  });

  test("a split tunnel has nothing to cut", () => {
    expect(allowed(withProfile("split", { hints: { excludes: ["10.1.0.0/24"] } }))).toContain("10.1.0.0/24");
  });
});

test("hints say how, never what (U2)", () => {
  const hints = { dns: ["9.9.9.9"], mtu: 1300, keepalive_s: 7, os: "ios" };
  const text = textOf(withProfile("split", { hints }));
  expect(field(text, "DNS")).toEqual(["9.9.9.9"]);
  expect(field(text, "MTU")).toEqual(["1300"]);
  expect(field(text, "PersistentKeepalive")).toEqual(["7"]);
  expect(field(text, "AllowedIPs")).toEqual(field(textOf(withProfile("split")), "AllowedIPs"));
});

test("a network without keepalive has no line for it, and a profile without DNS neither", () => {
  const input = inputOf(
    { ...intent, networks: [{ ...small.networks![0]!, keepalive_s: 0 }] },
    { version: 1, clients: [withProfile("none")] },
  );
  const { intent: parsed, inventory, keys } = input;
  const result = clientConfig({
    intent: parsed,
    inventory,
    keys,
    client: "c2",
    network: "home",
    privateKey: null,
    psk: null,
  });
  expect(result.ok && result.value).not.toMatch(/PersistentKeepalive|DNS/);
});

describe("refusals", () => {
  test("compile.no_grant: an unknown client, and a network that it has no grant on", () => {
    expect(() => textOf(withProfile("split"), { client: "nobody" })).toThrow("compile.no_grant");
    expect(() => textOf(withProfile("split"), { network: "lab" })).toThrow("compile.no_grant");
  });

  test("compile.key_missing: a report without the network", () => {
    const keys = { ...inputOf(intent, { version: 1 }).keys, keys: [] };
    expect(() => textOf(withProfile("split"), { keys })).toThrow("compile.key_missing");
  });
});

test("the operator's end of the rescue lane", () => {
  const lane = {
    ...{ networkId: NETWORK_ID, holder: "ann", laneKey: "ann", privateKey: null },
    ...{ router: "r1", routerKey: "KEY", port: 51819 },
  };
  expect(laneConfig({ ...lane, endpoint: "vpn.example.net" })).toBe(`# ann, rescue lane of r1
[Interface]
# PrivateKey = the key that was made on this device
Address = fd10:d50c:80b0:8080:7f74:2369:c391:7fd4/128
MTU = 1280

[Peer]
PublicKey = KEY
Endpoint = vpn.example.net:51819
AllowedIPs = fd10:d50c:80b0:8080:9040:a3c6:d51a:46c5/128
PersistentKeepalive = 25
`);
  expect(laneConfig({ ...lane, endpoint: "2001:db8::2" })).toContain("Endpoint = [2001:db8::2]:51819\n");
});
