/** Which changes an operator may call routine: what the kernel sees, what documents mean, what piled up, who decides. */
import { describe, expect, test } from "bun:test";
import { planChange } from "../../agent/core/plan.ts";
import { coversClass, deriveRisk, type Meaning, type Past, type Risk, type RiskInput } from "../../agent/core/risk.ts";
import type { Desired, WgPeer } from "../../schemas/desired.ts";
import { canonicalIntent, type IntentInput } from "../../schemas/intent.ts";
import type { Inventory } from "../../schemas/inventory.ts";
import { baseIntent, intentOf, inventoryOf } from "../agent/bundles.ts";
import { after, operator, root1, roster1, routerEntry, routerId, signed, view } from "../trust/documents.ts";
import { clients, keyOf, nothing, observedOf, peer, sampleDesired } from "./desireds.ts";

const LISTING = "table inet holdfast {\n\tchain b_input {\n\t\tdrop\n\t}\n}\n";

const few = sampleDesired(clients(8));

const meaning = (
  desired: Desired,
  intent: Partial<IntentInput> = {},
  inventory: Inventory = inventoryOf(),
): Meaning => ({
  ...{ desired, intent: canonicalIntent(intentOf(intent)), inventory },
});
const past = (generation: bigint, ...of: Parameters<typeof meaning>): Past => ({ ...meaning(...of), generation });

/** The risk of a change from `kept`, which enough people signed, unless `more` says otherwise. */
function riskOf(kept: Past | null, next: Meaning, more: Partial<RiskInput> = {}): Risk {
  const lkg = kept?.desired ?? null;
  const seen = lkg === null ? nothing : observedOf(lkg, LISTING);
  const expectedLkgListing = lkg === null ? null : LISTING;
  const plan = planChange({ lkg, next: next.desired, observed: seen, lkgEpoch: 5, expectedLkgListing });
  if (!plan.ok) throw new Error(JSON.stringify(plan.problems));
  return deriveRisk({
    ...{ plan: plan.value, kept: lkg, next, past: kept === null ? [] : [kept], signed: kept, unreadable: [] },
    ...{ trustBefore: kept === null ? null : view, trust: view, routerId, accepts: [] },
    ...more,
  });
}

const texts = (risk: Risk): readonly string[] => risk.reasons.map((one) => one.text);
const routine: Risk = { riskClass: "routine", reasons: [] };

describe("what the kernel sees", () => {
  const kept = past(7n, few);
  const classOf = (next: Desired): string => riskOf(kept, meaning(next)).riskClass;

  test("clients come and go by routine", () => {
    expect(riskOf(kept, meaning(sampleDesired(clients(9))))).toEqual(routine);
    expect(riskOf(kept, meaning(sampleDesired(clients(6))))).toEqual(routine);
    expect(riskOf(kept, meaning(few))).toEqual(routine);
  });

  test("a first generation is sensitive", () => {
    expect(riskOf(null, meaning(few))).toEqual({
      riskClass: "sensitive",
      reasons: [{ riskClass: "sensitive", text: "it is the first generation" }],
    });
  });

  test("the ground that lanes stand on is sensitive", () => {
    expect(classOf({ ...few, sysctls: [] })).toBe("sensitive");
    expect(texts(riskOf(kept, meaning({ ...few, routes: few.routes.slice(1) })))).toEqual([
      "the kernel gets other routes",
    ]);
    const lanes = few.lanes.map((lane) => ({ ...lane, fingerprint: "z" }));
    expect(texts(riskOf(kept, meaning({ ...few, lanes })))).toEqual(["lanes work differently: rescue, wg:office"]);
    const chains = few.nft.chains.map((chain) => ({ ...chain, rules: [...chain.rules, "counter"] }));
    expect(classOf({ ...few, nft: { ...few.nft, chains } })).toBe("sensitive");
    const [office, rescue] = few.links;
    const links = [office!, { ...rescue!, peers: [...rescue!.peers, peer(60_001)] }];
    expect(texts(riskOf(kept, meaning({ ...few, links })))).toEqual([
      "the kernel gets other operators on the rescue lane",
      "lanes work differently: rescue",
    ]);
  });
});

describe("what the intent means", () => {
  const kept = past(7n, few);
  const [router] = baseIntent.routers;
  const changed: Readonly<Record<string, Partial<IntentInput>>> = {
    contracts: { contracts: [{ id: "c", kind: "deny", from: "wan", to: "lan" }] },
    probes: { probes: [{ id: "p", router: "r1", kind: "ping", target: "192.0.2.2" }] },
    "the confirm policy": { confirm: { window_s: 11, cap_s: 60 } },
    constraints: { constraints: [] },
    management: { routers: [{ ...router!, management: { addresses: ["10.0.0.1"], zones: ["lan"], port: 8023 } }] },
    "network ports and endpoints": { networks: [{ ...baseIntent.networks![0]!, endpoint: "vpn2.example.net:51820" }] },
    NAT66: { nat66: [{ from: "lan", to: "wan" }] },
    "experimental networks": { networks: [{ ...baseIntent.networks![0]!, class: "experimental" }] },
  };
  for (const [name, intent] of Object.entries(changed)) {
    test(`${name} are sensitive even where the kernel sees nothing`, () => {
      const risk = riskOf(kept, meaning(few, intent));
      expect(risk.riskClass).toBe("sensitive");
      expect(texts(risk)).toEqual([`the intent changes ${name} since generation 7`]);
    });
  }

  test("a management zone that reaches further is sensitive", () => {
    const zones = baseIntent.zones!.map((zone) =>
      zone.id === "lan" ? { ...zone, interfaces: [...zone.interfaces, "lan1"] } : zone,
    );
    expect(texts(riskOf(kept, meaning(few, { zones })))).toEqual(["the intent changes management since generation 7"]);
  });

  test("policies, services and the order of lists are not", () => {
    const intent = {
      policies: [{ id: "lan-out", from: "lan", to: "wan", v6: false }],
      zones: baseIntent.zones!.toReversed(),
    };
    expect(riskOf(kept, meaning(few, intent))).toEqual(routine);
  });
});

describe("what has piled up since enough people signed", () => {
  const signedPast = past(3n, sampleDesired(clients(100)));
  const without = (count: number): Desired => sampleDesired(clients(100 - count));
  /** From a generation that one person signed, over the one that enough people signed. */
  const since = (kept: Past, next: Meaning): Risk =>
    riskOf(kept, next, { past: [kept, signedPast], signed: signedPast });

  test("a quarter of the peers may go, one more is sensitive, in one step or in many", () => {
    expect(riskOf(signedPast, meaning(without(25)))).toEqual(routine);
    expect(texts(riskOf(signedPast, meaning(without(26))))).toEqual(["26 of 100 peers of generation 3 go"]);
    expect(since(past(4n, without(13)), meaning(without(25)))).toEqual(routine);
    expect(texts(since(past(4n, without(13)), meaning(without(26))))).toEqual(["26 of 100 peers of generation 3 go"]);
  });

  test("peers that came since are not counted as gone, and others in their place do not make up", () => {
    const swapped = [...clients(74), ...clients(140).slice(114)] as readonly WgPeer[];
    expect(since(past(4n, sampleDesired(clients(140))), meaning(sampleDesired(clients(100))))).toEqual(routine);
    expect(texts(since(past(4n, without(20)), meaning(sampleDesired(swapped))))).toEqual([
      "26 of 100 peers of generation 3 go",
    ]);
  });

  test("grants that mean something else count the same way", () => {
    const people = (profile: string, changed: number): Inventory => {
      const inventory = inventoryOf(
        Array.from({ length: 8 }, (_, i) => ({ id: `c${i}`, key: keyOf(`c${i}`), address: `10.99.0.${i + 2}` })),
      );
      const regranted = inventory.clients.map((client, i) => ({
        ...client,
        grants: client.grants.map((grant) => (i < changed ? { ...grant, profile } : grant)),
      }));
      return { ...inventory, clients: regranted };
    };
    const before = past(3n, few, {}, people("", 0));
    expect(riskOf(before, meaning(few, {}, people("full", 2)))).toEqual(routine);
    expect(texts(riskOf(before, meaning(few, {}, people("full", 3))))).toEqual([
      "3 of 8 grants of generation 3 change",
    ]);
    const services = people("", 0).clients.map((client) => ({ ...client, services: ["printer"] }));
    expect(texts(riskOf(before, meaning(few, {}, { ...people("", 0), clients: services })))).toEqual([
      "8 of 8 grants of generation 3 change",
    ]);
  });

  test("an intent or a kernel that drifted away from what they signed is sensitive", () => {
    const constraints = { constraints: [] };
    const text = "the intent changes constraints since generation 3";
    expect(texts(since(past(4n, signedPast.desired, constraints), meaning(without(1), constraints)))).toEqual([text]);
    const fewer = { ...signedPast.desired, routes: signedPast.desired.routes.slice(1) };
    expect(texts(since(past(4n, fewer), meaning(fewer)))).toEqual(["since generation 3 the kernel gets other routes"]);
  });

  test("what cannot be read may have changed", () => {
    const risk = riskOf(past(7n, few), meaning(few), { past: [], signed: null, unreadable: ["the kept generation"] });
    expect(risk.riskClass).toBe("sensitive");
    expect(texts(risk)).toEqual(["the kept generation cannot be read, so everything may have changed"]);
  });
});

describe("who decides", () => {
  const kept = past(7n, few);
  const under = (change: Parameters<typeof after<typeof roster1.message>>[1], root = root1): RiskInput["trust"] => ({
    root,
    roster: signed("roster", after(roster1, change), "ada-admin"),
  });
  const { operators } = roster1.message;
  const cases: Readonly<Record<string, readonly [RiskInput["trust"], readonly string[]]>> = {
    "the same documents": [view, []],
    "another router and a used token": [
      under({ routers: [routerEntry("router"), routerEntry("r2", { id: "r2", router_id: new Uint8Array(16) })] }),
      [],
    ],
    "an operator more": [under({ operators: [...operators, operator("zoe")] }), ["it brings other operators"]],
    "another lane key": [
      under({ operators: [operator("ada", { lane_key: keyOf("typo") }), ...operators.slice(1)] }),
      ["it brings other operators"],
    ],
    "another floor for this router": [
      under({ routers: [routerEntry("router", { generation_floor: 99n })] }),
      ["it brings another entry of this router"],
    ],
    "another root": [{ root: signed("root", after(root1), "ada-root"), roster: roster1 }, ["it brings another root"]],
  };
  for (const [name, [trust, reasons]] of Object.entries(cases)) {
    test(`${name}: ${reasons.length === 0 ? "routine" : "trust"}`, () => {
      const risk = riskOf(kept, meaning(few), { trust });
      expect(risk.riskClass).toBe(reasons.length === 0 ? "routine" : "trust");
      expect(texts(risk)).toEqual(reasons);
    });
  }

  test("lanes that need not be proven are sensitive", () => {
    const risk = riskOf(kept, meaning(few), { accepts: ["rescue"] });
    expect(risk.riskClass).toBe("sensitive");
    expect(texts(risk)).toEqual(["it accepts lanes unproven: rescue"]);
  });
});

test("a class covers itself and what is below", () => {
  expect(coversClass("routine", "sensitive")).toBe(false);
  expect(["sensitive", "trust", "recovery"].every((one) => coversClass(one as "trust", "sensitive"))).toBe(true);
});
