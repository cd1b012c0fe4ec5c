/** compile() as a function: refusals, one digest whatever the order or the machine, and nothing in conflict. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { renderArtifacts } from "../../agent/core/artifacts.ts";
import { rescuePorts } from "../../agent/core/compile/rescue.ts";
import { type CompileInput, compile, networksOf } from "../../agent/core/compile.ts";
import { indexNft } from "../../agent/core/nft-diff.ts";
import { ask, openModel } from "../../agent/core/verifier/model.ts";
import { desiredDigest, desiredText } from "../../schemas/desired.ts";
import { toHex } from "../../schemas/digest.ts";
import { readStory, storyNames } from "../golden/golden.ts";
import {
  clientOf,
  clients,
  desiredOf,
  grantOf,
  inputOf,
  intentOf,
  keyOf,
  NETWORK_ID,
  operatorOf,
  reportOf,
  rosterOf,
  smallIntent,
} from "./compile-sites.ts";
import { randomNumbers } from "./nft-tables.ts";

// Pure work, but the processor may be shared.
setDefaultTimeout(240_000);

const codes = (input: CompileInput): readonly string[] => {
  const result = compile(input);
  return result.ok ? [] : result.problems.map((one) => `${one.code} ${one.path}`);
};

/** The same value with every list in another order, and every object with its keys in another order. */
function shuffled<T>(value: T, random: (below: number) => number): T {
  if (value instanceof Uint8Array || value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) {
    const list = value.map((item) => shuffled(item, random));
    for (let i = list.length - 1; i > 0; i -= 1) {
      const j = random(i + 1);
      [list[i], list[j]] = [list[j], list[i]];
    }
    return list as T;
  }
  const keys = shuffled(Object.keys(value), random);
  return Object.fromEntries(keys.map((key) => [key, shuffled((value as never)[key], random)])) as T;
}

describe("refusals", () => {
  test("a router that the intent does not have", () => {
    const input = { ...inputOf(smallIntent(), clients(1)), router: "r9" };
    expect(codes(input)).toEqual(["compile.router_unknown r9"]);
  });

  test("every network whose key the router has not reported, and the rescue lane's", () => {
    const input = inputOf(smallIntent(), clients(1));
    expect(codes({ ...input, keys: { ...input.keys, keys: [] } })).toEqual([
      "compile.key_missing home",
      "compile.key_missing rescue",
    ]);
  });

  test("networks that have both ports of the rescue lane", () => {
    const [first, second] = rescuePorts(NETWORK_ID);
    const home = smallIntent().networks![0]!;
    const networks = [
      { ...home, port: first },
      { ...home, id: "twin", port: second, subnets: ["10.101.0.0/16"] },
    ];
    const intent = smallIntent({ networks });
    expect(codes(inputOf(intent, { version: 1 }))).toEqual(["compile.rescue_ports_taken r1"]);
    const one = desiredOf(smallIntent({ networks: networks.slice(0, 1) }), { version: 1 });
    expect(one.links.map((link) => [link.network, link.port])).toEqual([
      ["home", first],
      ["rescue", second],
    ]);
    expect(one.lanes.find((lane) => lane.name === "rescue")?.port).toBe(second);
  });
});

describe("one digest", () => {
  const inputs = ["03_clients", "07_two_uplinks", "08_experimental", "02_zones"].map((name) => readStory(name).input);

  test("for a hundred orders of every list and key", () => {
    const digests = new Map(inputs.map((input) => [input, new Set<string>()]));
    for (let k = 0; k < 100; k += 1) {
      const random = randomNumbers("compile-order", 1, k);
      const input = inputs[k % inputs.length]!;
      const { intent, inventory, roster, keys } = input;
      const other = shuffled({ intent, inventory, roster, keys }, random);
      const result = compile({ ...input, ...other });
      if (!result.ok) throw new Error(JSON.stringify(result.problems));
      digests.get(input)!.add(desiredText(result.value));
    }
    for (const [input, found] of digests) {
      const straight = compile(input);
      expect([...found]).toEqual([straight.ok ? desiredText(straight.value) : ""]);
    }
  });

  test("probes too, whose fields are handed through", () => {
    const probes = [
      { id: "gw", router: "r1", kind: "ping" as const, target: "192.0.2.1" },
      { id: "dns", router: "r1", kind: "tcp" as const, target: "10.1.0.5", port: 53 },
    ];
    const input = inputOf(smallIntent({ probes }), { version: 1 });
    const other = { ...input, intent: shuffled(input.intent, randomNumbers("probes", 1, 1)) };
    const [a, b] = [compile(input), compile(other)];
    expect(a.ok && b.ok && desiredText(a.value) === desiredText(b.value)).toBe(true);
    expect(a.ok && a.value.probes.map((probe) => probe.id)).toEqual(["dns", "gw"]);
  });

  test("under every time zone and language", async () => {
    const script = `
      import { desiredDigest } from "./schemas/desired.ts";
      import { readStory } from "./tests/golden/golden.ts";
      console.log(desiredDigest(readStory("03_clients").desired).toHex());`;
    const wanted = toHex(desiredDigest(readStory("03_clients").desired));
    for (const env of [
      { TZ: "Asia/Kathmandu", LANG: "tr_TR.UTF-8", LC_ALL: "tr_TR.UTF-8" },
      { TZ: "America/St_Johns", LANG: "C", LC_ALL: "C" },
    ]) {
      const child = Bun.spawn([process.execPath, "-e", script], {
        cwd: join(import.meta.dir, "../.."),
        env: { ...process.env, ...env },
        stdout: "pipe",
      });
      expect((await child.stdout.text()).trim()).toBe(wanted);
    }
  });

  test("the same object never changes its inputs", () => {
    const input = readStory("03_clients").input;
    const before = JSON.stringify([input.intent, input.inventory], (_key, value) =>
      typeof value === "bigint" ? `${value}` : value,
    );
    compile(input);
    const after = JSON.stringify([input.intent, input.inventory], (_key, value) =>
      typeof value === "bigint" ? `${value}` : value,
    );
    expect(after).toBe(before);
  });
});

describe("nothing in conflict", () => {
  for (const name of storyNames()) {
    test(`${name}: names, texts, lists and artifacts are legal`, () => {
      const { desired } = readStory(name);
      expect(indexNft(desired.nft).size).toBeGreaterThan(50);
      expect(renderArtifacts(desired)).toHaveLength(9);
      const sorted = (list: readonly string[]): void => expect(list).toEqual([...new Set(list)].sort());
      sorted(desired.links.map((link) => link.name));
      sorted(desired.lanes.map((lane) => lane.name));
      sorted(desired.nft.sets.map((set) => set.name));
      sorted(desired.nft.counters);
      for (const set of desired.nft.sets) sorted(set.elements);
      const routes = desired.routes.map((route) => `${route.family} ${route.to} ${route.table} ${route.metric}`);
      expect(new Set(routes).size).toBe(routes.length);
      expect(new Set(desired.links.map((link) => link.port)).size).toBe(desired.links.length);
      for (const lane of desired.lanes) expect(desired.nft.counters).toContain(lane.counter);
    });

    test(`${name}: every set is looked into, and every look finds its set and chain`, () => {
      const { nft } = readStory(name).desired;
      const rules = nft.chains.flatMap((chain) => chain.rules).join("\n");
      const used = new Set([...rules.matchAll(/@(\w+)/g)].map((found) => found[1]!));
      const known = new Set(nft.sets.map((set) => set.name));
      expect([...used].filter((one) => !known.has(one))).toEqual([]);
      const chains = new Set(nft.chains.map((chain) => chain.name));
      const targets = [
        ...rules.matchAll(/goto (\w+)/g),
        ...nft.sets.flatMap((set) => [...set.elements.join("\n").matchAll(/goto (\w+)/g)]),
      ];
      expect(targets.map((found) => found[1]!).filter((one) => !chains.has(one))).toEqual([]);
      const counters = [...rules.matchAll(/counter name (\w+)/g)].map((found) => found[1]!);
      expect(counters.filter((one) => !nft.counters.includes(one))).toEqual([]);
    });
  }

  test("callees stand before callers", () => {
    const { nft } = readStory("08_experimental").desired;
    const seen = new Set<string>();
    for (const chain of nft.chains) {
      for (const rule of chain.rules) {
        const target = /goto (\w+)$/.exec(rule)?.[1];
        if (target !== undefined) expect(seen).toContain(target);
      }
      seen.add(chain.name);
    }
  });
});

test("the base chains of the rescue ruleset are a part of every generation, at the same hooks", () => {
  const text = readFileSync(join(import.meta.dir, "../../agent/scripts/rescue.nft"), "utf8");
  const numbers: Record<string, number> = { raw: -300, filter: 0 };
  const rescue = [...text.matchAll(/chain (\w+) \{\s+type (\w+) hook (\w+) priority (\w+);/g)].map(
    ([, name, type, hook, priority]) => `${name} ${type} ${hook} ${numbers[priority!]}`,
  );
  const own = desiredOf(smallIntent(), { version: 1 }).nft.chains.flatMap(({ name, base }) =>
    base === null ? [] : [`${name} ${base.type} ${base.hook} ${base.priority}`],
  );
  expect(rescue).toHaveLength(5);
  expect(rescue.filter((chain) => !own.includes(chain))).toEqual([]);
});

test("the base chains are the same for every intent", () => {
  const bases = storyNames().map((name) =>
    readStory(name)
      .desired.nft.chains.flatMap(({ name: chain, base }) => (base === null ? [] : [chain, JSON.stringify(base)]))
      .join(" "),
  );
  expect(new Set(bases).size).toBe(1);
});

test("networks whose key the router must have", () => {
  const intent = intentOf(readStory("13_twin_network").input.intent);
  expect(networksOf(intent, "r1")).toEqual(["home", "home2"]);
  expect(networksOf(intent, "r2")).toEqual([]);
});

test("an operator's address comes out of the rescue lane, and from nowhere else", () => {
  const ssh = { id: "ssh", ports: [{ protocol: "tcp" as const, from: 22 }] };
  const { services = [], policies = [] } = smallIntent();
  const open = smallIntent({
    services: [...services, ssh],
    policies: [...policies, { id: "in", from: "wan", to: "router", services: ["ssh"] }],
  });
  const desired = desiredOf(open, clients(1));
  const operator = desired.links
    .find((link) => link.network === "rescue")!
    .peers[0]!.allowedIps[0]!.replace("/128", "");
  const model = openModel(desired);
  if (!model.ok) throw new Error(JSON.stringify(model.problems));
  const from = (source: string) => {
    const target = { in: ["2001:db8::2"] };
    const region = {
      way: "arriving",
      flow: "first",
      iif: ["wan0"],
      source: { in: [source] },
      target,
      protocol: [6],
    } as const;
    const answer = ask(model.value, { region: { ...region, dport: [[22, 22]] } });
    return answer.ok ? answer.value.verdict : answer.problems;
  };
  expect([from("2001:db8:1::7"), from(operator)]).toEqual(["accepted", "dropped"]);
});

describe("dhcp", () => {
  test("answers to the router's own questions come in only where it asks, and in their family", () => {
    const intent = smallIntent();
    const [router] = intent.routers;
    const mixed = smallIntent({
      routers: [{ ...router!, uplinks: [...router!.uplinks!, { interface: "ppp0", dynamic: true }] }],
      zones: intent.zones!.map((zone) => (zone.id === "wan" ? { ...zone, interfaces: ["wan0", "ppp0"] } : zone)),
    });
    const rules = desiredOf(mixed, clients(1)).nft.chains.find((one) => one.name === "z_i_wan")!.rules;
    expect(rules.filter((rule) => rule.includes("sport"))).toEqual([
      'iifname "ppp0" meta nfproto ipv4 udp sport 67 udp dport 68 goto c_stamp',
      'iifname "ppp0" ip6 saddr fe80::/10 udp sport 547 udp dport 546 goto c_stamp',
    ]);
  });
});

describe("peers", () => {
  const states = desiredOf(smallIntent(), {
    version: 1,
    clients: [
      clientOf(2),
      clientOf(3, { state: "suspended" }),
      clientOf(4, {
        state: "revoked",
        grants: [grantOf(4, { keys: [{ generation: 1, public_key: keyOf("x"), state: "burnt" }] })],
      }),
      clientOf(5, {
        grants: [
          grantOf(5, {
            keys: [
              { generation: 1, public_key: keyOf("old"), state: "burnt" },
              { generation: 2, public_key: keyOf("now"), psk: "ab".repeat(32) },
              { generation: 3, public_key: keyOf("soon"), state: "staged" },
            ],
          }),
        ],
      }),
    ],
  });
  const home = states.links.find((link) => link.network === "home")!;

  test("only live keys of active clients hold addresses, and only host prefixes (V10)", () => {
    expect(home.peers.map((peer) => [peer.publicKey, peer.allowedIps, peer.psk]).sort()).toEqual(
      [
        [keyOf("client 2"), ["10.100.0.2/32", "fd00:100::2/128"], ""],
        [keyOf("now"), ["10.100.0.5/32", "fd00:100::5/128"], "ab".repeat(32)],
        [keyOf("soon"), [], ""],
      ].sort(),
    );
  });

  test("addresses of peers and of the anti-spoof sets are the same ones", () => {
    const many = desiredOf(smallIntent(), clients(500));
    for (const desired of [many, states]) {
      const held = desired.links.flatMap((link) =>
        link.peers.flatMap((peer) => peer.allowedIps.map((ip) => `${ip.replace(/\/(32|128)$/, "")} . "${link.name}"`)),
      );
      const sets = desired.nft.sets.filter((set) => /^s_src[46]$/.test(set.name)).flatMap((set) => set.elements);
      expect(held.sort()).toEqual([...sets].sort());
      expect(new Set(held).size).toBe(held.length);
    }
  });

  test("the rescue lane has the active operators, and no other client", () => {
    const roster = rosterOf([operatorOf("ann"), operatorOf("bob", { status: "revoked" })]);
    const intent = smallIntent();
    const desired = desiredOf(intent, clients(3), { roster, keys: reportOf(intentOf(intent), "r1") });
    const rescue = desired.links.find((link) => link.network === "rescue")!;
    expect(rescue.peers.map((peer) => peer.publicKey)).toEqual([keyOf("lane ann")]);
    expect(rescue.peers[0]!.allowedIps).toEqual([expect.stringMatching(/^fd[0-9a-f:]+\/128$/)]);
    expect(rescue.fwmark).not.toBe(0);
    expect(desired.rules.some((rule) => rule.fwmark === rescue.fwmark)).toBe(true);
  });
});

test("ten thousand clients are compiled in a second or so of processor time", () => {
  const input = inputOf(smallIntent(), clients(10_000));
  const before = process.cpuUsage();
  expect(compile(input).ok).toBe(true);
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1e6).toBeLessThan(5); // several times what it takes, so that only a quadratic one fails
});
