/** What the planner does and, above all, what it leaves alone. */
import { describe, expect, test } from "bun:test";
import type { Observed } from "../../agent/core/observed.ts";
import { isEmptyPlan, laneChanges, planChange } from "../../agent/core/plan.ts";
import { surplusOf } from "../../agent/core/read-back.ts";
import type { Plan, Step } from "../../agent/core/step.ts";
import type { Desired } from "../../schemas/desired.ts";
import { clients, keyOf, link, nothing, observedOf, peer, sampleDesired } from "./desireds.ts";
import { base } from "./nft-tables.ts";

const LISTING = "table inet holdfast {\n\tchain b_input {\n\t\tdrop\n\t}\n}\n";

function plan(lkg: Desired | null, next: Desired, observed?: Observed, lkgEpoch = 5): Plan {
  const seen = observed ?? (lkg === null ? nothing : observedOf(lkg, LISTING));
  const result = planChange({ lkg, next, observed: seen, lkgEpoch, expectedLkgListing: lkg === null ? null : LISTING });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

function refusal(lkg: Desired | null, next: Desired, observed?: Observed): readonly string[] {
  const seen = observed ?? (lkg === null ? nothing : observedOf(lkg, LISTING));
  const result = planChange({ lkg, next, observed: seen, lkgEpoch: 5, expectedLkgListing: LISTING });
  return result.ok ? [] : result.problems.map((one) => one.code);
}

const kinds = (steps: readonly Step[]): readonly string[] => steps.map((step) => step.kind);

const few = sampleDesired(clients(3));
const [office, rescue] = [few.links[0]!, few.links[1]!];

describe("growing by one client", () => {
  const before = sampleDesired(clients(1000));
  const after = sampleDesired(clients(1001));
  const grown = plan(before, after);

  test("writes one peer and the elements of that client, under the same epoch", () => {
    expect(kinds(grown.apply)).toEqual(["nft.load", "wg.peers"]);
    const [nft, peers] = grown.apply as [Extract<Step, { kind: "nft.load" }>, Extract<Step, { kind: "wg.peers" }>];
    expect(peers.peers).toEqual([
      { publicKey: keyOf("client 1001"), psk: null, allowedIps: ["10.100.3.233/32"], keepaliveS: null, endpoint: null },
    ]);
    expect(nft.mode).toBe("delta");
    const elements = nft.text.match(/10\.\d+\.\d+\.\d+/g);
    expect(new Set(elements)).toEqual(new Set(["10.100.3.233"]));
    expect(grown.epoch).toBe(5);
    expect(grown.afterConfirm).toEqual([]);
  });

  test("says so", () => {
    expect(grown.text).toContain(`  + peer hf-office ${keyOf("client 1001")} 10.100.3.233/32\n`);
    expect(grown.text).toContain(
      "Prediction: 0 sessions reset, 1 peer written, ruleset by elements, open flows go on\n",
    );
    expect(grown.text).toMatch(
      /\nPlan: 1 add, 2 change, 0 remove\. Reverts in 120 s unless confirmed\. sha256:[0-9a-f]{64}\n$/,
    );
  });

  test("going back denies at once, judges flows anew and removes the peer only after the confirm", () => {
    const shrunk = plan(after, before);
    expect(kinds(shrunk.apply)).toEqual(["nft.load"]);
    expect(shrunk.apply[0]).toMatchObject({ mode: "full" });
    expect(shrunk.epoch).toBe(6);
    expect(shrunk.afterConfirm).toEqual([{ kind: "wg.remove", name: "hf-office", publicKeys: [keyOf("client 1001")] }]);
    expect([...surplusOf(shrunk)]).toEqual([`peer hf-office ${keyOf("client 1001")}`]);
  });
});

describe("nothing to do", () => {
  test("when the kernel already holds the generation", () => {
    const same = plan(few, few);
    expect(isEmptyPlan(same)).toBe(true);
    expect(same.epoch).toBe(5);
    expect(same.text).toBe("The router already holds this generation. Nothing to do.\n");
  });

  test("but a generation that differs only in name gets its marker", () => {
    const other = plan(few, { ...few, windowS: 60 });
    expect(kinds(other.apply)).toEqual(["nft.load"]);
    expect(other.apply[0]).toMatchObject({ mode: "delta" });
    expect(other.epoch).toBe(5);
    expect(other.text).toContain("Changes: only the name of the generation.");
  });
});

describe("order", () => {
  test("from nothing: sysctls, links, addresses, up, ruleset, peers, routes, rules", () => {
    const first = plan(null, few, nothing, 0);
    expect(kinds(first.apply)).toEqual([
      ...["sysctl.set", "sysctl.set", "link.add", "wg.device", "link.add", "wg.device", "address.add", "address.add"],
      ...["link.up", "link.up", "nft.load", "wg.peers", "wg.peers", "route.add", "route.add", "rule.add"],
    ]);
    expect(first.epoch).toBe(1);
    expect(first.afterConfirm).toEqual([]);
  });

  test("to nothing but the rescue lane: everything goes after the confirm, users before what they use", () => {
    const bare = { ...few, links: [rescue], addresses: [few.addresses[1]!], routes: [few.routes[1]!], rules: [] };
    const going = plan(few, { ...bare, sysctls: [] });
    expect(kinds(going.apply)).toEqual(["nft.load"]);
    expect(kinds(going.afterConfirm)).toEqual([
      ...["rule.remove", "route.remove", "address.remove", "link.remove", "sysctl.set", "sysctl.set"],
    ]);
    expect(going.afterConfirm.at(-1)).toEqual({ kind: "sysctl.set", key: "net.ipv4.ping_group_range", value: "" });
  });

  test("an address that moves to another client is written to the gainer first, whoever sorts first", () => {
    for (const [giver, taker] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const [a, b] = [peer(giver, { allowedIps: ["10.100.0.1/32", "10.100.0.2/32"] }), peer(taker, { allowedIps: [] })];
      const next = [peer(giver, { allowedIps: ["10.100.0.1/32"] }), peer(taker, { allowedIps: ["10.100.0.2/32"] })];
      const before = sampleDesired([a, b]);
      const moved = { ...before, links: [link("hf-office", 51820, next), rescue] };
      const writes = plan(before, moved).apply.find((step) => step.kind === "wg.peers");
      expect(writes).toMatchObject({
        peers: [next[1], next[0]].map((one) => ({ ...one!, psk: null, keepaliveS: null })),
      });
    }
  });

  test("a route to the same target through another gateway is replaced in the trial", () => {
    const routes = [{ ...few.routes[0]!, via: "192.0.2.254" }, few.routes[1]!];
    const moved = plan(few, { ...few, routes });
    expect(kinds(moved.apply)).toEqual(["nft.load", "route.add"]);
    expect(moved.afterConfirm).toEqual([]);
    expect(moved.text).toContain(
      "  ~ route 0.0.0.0/0 via 192.0.2.1 dev wan0 table 100 to 0.0.0.0/0 via 192.0.2.254 dev wan0 table 100\n",
    );
  });
});

describe("devices in use", () => {
  const withLink = (more: Partial<typeof office>): Desired => ({ ...few, links: [{ ...office, ...more }, rescue] });

  test("keep their key and port", () => {
    expect(refusal(few, withLink({ publicKey: keyOf("other") }))).toEqual(["plan.key_in_place"]);
    expect(refusal(few, withLink({ port: 51999 }))).toEqual(["plan.port_in_place"]);
  });

  test("change mtu and mark in place, without touching key, port or peers", () => {
    const changed = plan(few, withLink({ mtu: 1380, fwmark: 0x77 }));
    expect(changed.apply.slice(0, 2)).toEqual([
      { kind: "wg.device", name: "hf-office", publicKey: null, port: null, fwmark: 0x77 },
      { kind: "link.mtu", name: "hf-office", mtu: 1380 },
    ]);
    expect(kinds(changed.apply)).not.toContain("wg.peers");
  });

  test("are replaced by a twin on another port, not on the same one", () => {
    const twin = (port: number): Desired => ({ ...few, links: [link("hf-office2", port, office.peers), rescue] });
    expect(refusal(few, twin(51820))).toEqual(["plan.port_taken"]);
    const change = plan(few, twin(51821));
    expect(kinds(change.apply)).toEqual(["link.add", "wg.device", "link.up", "nft.load", "wg.peers"]);
    expect(change.afterConfirm).toContainEqual({ kind: "link.remove", name: "hf-office" });
  });

  test("of a foreign server are taken over with its key and port, otherwise refused", () => {
    const foreign = { ...nothing, links: observedOf(few, "").links.filter((one) => one.name === "hf-office") };
    expect(kinds(plan(null, few, foreign, 0).apply).filter((kind) => kind === "link.add")).toHaveLength(1);
    const [device] = foreign.links;
    expect(refusal(null, few, { ...foreign, links: [{ ...device!, publicKey: keyOf("x") }] })).toEqual([
      "plan.key_in_place",
    ]);
    // Left behind by an apply that was interrupted before the key was set.
    const half = { ...foreign, links: [{ ...device!, publicKey: "", port: 0, peers: [], up: false }] };
    expect(kinds(plan(null, few, half, 0).apply).slice(2, 4)).toEqual(["wg.device", "link.add"]);
  });
});

describe("drift", () => {
  const seen = observedOf(few, LISTING);

  test("is repaired and shown first, under a fresh epoch when the ruleset was touched", () => {
    const foreignPeer = { ...seen.links[0]!.peers[0]!, publicKey: keyOf("intruder"), allowedIps: ["10.100.9.9/32"] };
    const drifted: Observed = {
      ...seen,
      links: [{ ...seen.links[0]!, mtu: 1300, peers: [...seen.links[0]!.peers, foreignPeer] }, seen.links[1]!],
      addresses: [few.addresses[1]!],
      nft: `${LISTING}# touched\ntable inet holdfast {\n\tchain z_x {\n\t}\n}\n`,
    };
    const repair = plan(few, few, drifted);
    expect(kinds(repair.apply)).toEqual(["link.mtu", "address.add", "nft.load"]);
    expect(kinds(repair.afterConfirm)).toEqual(["wg.remove"]);
    expect(repair.epoch).toBe(6);
    expect(repair.changes).toEqual([]);
    expect(repair.text).toStartWith(
      [
        "Changed on the router without Holdfast:",
        "  ~ link hf-office: mtu 1420 to 1300",
        "  - address hf-office 10.100.0.1/16",
        `  + peer hf-office ${keyOf("intruder")} 10.100.9.9/32`,
        "  ~ nft table",
        "",
        "Legend: + add  ~ change  - remove",
      ].join("\n"),
    );
  });

  test("of a device that lost its key gets the same key back", () => {
    const drifted = { ...seen, links: [{ ...seen.links[0]!, publicKey: "" }, seen.links[1]!] };
    const repair = plan(few, few, drifted);
    expect(repair.apply).toEqual([
      { kind: "wg.device", name: "hf-office", publicKey: office.publicKey, port: null, fwmark: null },
    ]);
    expect(repair.text).toContain("3 sessions reset");
  });

  test("is not what only the next generation speaks of", () => {
    const next = { ...few, sysctls: [...few.sysctls, { key: "net.core.somaxconn", value: "9" }] };
    const more = { ...seen, sysctls: [...seen.sysctls, { key: "net.core.somaxconn", value: "4" }] };
    const change = plan(few, next, more);
    expect(change.drift).toEqual([]);
    expect(change.apply[0]).toEqual({ kind: "sysctl.set", key: "net.core.somaxconn", value: "9" });
  });
});

describe("epoch", () => {
  test("never 0 and never the rescue ruleset's", () => {
    const narrower = { ...few, nft: { ...few.nft, sets: few.nft.sets.map((one) => ({ ...one, elements: [] })) } };
    expect(plan(few, narrower, undefined, 0xfffd).epoch).toBe(0xfffe);
    const wrapped = plan(few, narrower, undefined, 0xfffe);
    expect(wrapped.epoch).toBe(1);
    expect(wrapped.disruptive).toHaveLength(1);
  });

  test("a base chain that moves is announced", () => {
    const chains = few.nft.chains.map((one) =>
      one.name === "b_input" ? base("b_input", "input", 10, one.rules) : one,
    );
    const moved = plan(few, { ...few, nft: { ...few.nft, chains } });
    expect(moved.disruptive[0]).toContain("b_input leaves filter input 0 for filter input 10");
    expect(moved.text).toContain("Disruptive: ");
  });
});

test("the digest is over the steps: equal inputs, equal digests; other steps, another digest", () => {
  const one = plan(few, sampleDesired(clients(4)));
  expect(plan(few, sampleDesired(clients(4))).digest).toEqual(one.digest);
  expect(plan(few, sampleDesired(clients(5))).digest).not.toEqual(one.digest);
});

describe("an operator's lane key", () => {
  const bob = peer(60_001, { allowedIps: ["fd12::6/128"] });
  const both: Desired = { ...few, links: [office, { ...rescue, peers: [...rescue.peers, bob] }] };

  test("that is not listed any more goes after the confirm", () => {
    const gone = plan(both, few);
    expect(gone.apply.flatMap((step) => (step.kind === "wg.remove" ? step.publicKeys : []))).toEqual([]);
    expect(gone.afterConfirm).toEqual([{ kind: "wg.remove", name: "hf-rescue", publicKeys: [bob.publicKey] }]);
    expect([...surplusOf(gone)]).toEqual([`peer hf-rescue ${bob.publicKey}`]);
  });

  test("that was stolen goes in the trial, before its holder's new key takes the address", () => {
    const next: Desired = {
      ...few,
      links: [office, { ...rescue, peers: [...rescue.peers, peer(60_002, { allowedIps: ["fd12::6/128"] })] }],
    };
    const input = { lkg: both, next, observed: observedOf(both, LISTING), lkgEpoch: 5, expectedLkgListing: LISTING };
    const planned = planChange({ ...input, stolen: [bob.publicKey] });
    if (!planned.ok) throw new Error(JSON.stringify(planned.problems));
    const onLane = planned.value.apply.filter((step) => "name" in step && step.name === "hf-rescue");
    expect(kinds(onLane)).toEqual(["wg.remove", "wg.peers"]);
    expect(planned.value.afterConfirm).toEqual([]);
    expect([...surplusOf(planned.value)]).toEqual([]);
    const kept = planChange(input);
    expect(kept.ok && kinds(kept.value.afterConfirm)).toEqual(["wg.remove"]);
    expect(kept.ok && kept.value.digest).not.toEqual(planned.value.digest);
  });
});

describe("lanes that need a proof", () => {
  const changed = (lkg: Desired | null, next: Desired): readonly string[] =>
    laneChanges(lkg, next).flatMap((lane) => (lane.changed ? [lane.name] : []));
  const lane = (name: string, fingerprint: string): Desired["lanes"][number] => ({
    ...few.lanes[0]!,
    name,
    fingerprint,
  });
  const withLanes = (...lanes: Desired["lanes"]): Desired => ({ ...few, lanes });

  test("are those that existed and work differently", () => {
    expect(changed(few, withLanes(few.lanes[0]!, { ...few.lanes[1]!, fingerprint: "c" }))).toEqual(["wg:office"]);
    expect(changed(few, few)).toEqual([]);
  });

  test("and new management addresses, but no other new lane", () => {
    const next = withLanes(...few.lanes, lane("api:10.0.0.1", "x"), lane("wg:lab", "y"));
    expect(changed(few, next)).toEqual(["api:10.0.0.1"]);
  });

  test("and the rescue lane when a key on it is new, not when one goes", () => {
    const withPeers = (...peers: Desired["links"][number]["peers"]): Desired => ({
      ...few,
      links: [office, { ...rescue, peers }],
    });
    const [ann, bob] = [rescue.peers[0]!, peer(60_001, { allowedIps: ["fd12::6/128"] })];
    expect(changed(few, withPeers(ann, bob))).toEqual(["rescue"]);
    expect(changed(few, withPeers(bob))).toEqual(["rescue"]);
    expect(changed(withPeers(ann, bob), withPeers(bob))).toEqual([]);
    expect(changed(null, withPeers(ann, bob))).toEqual([]);
  });

  test("and none in a first generation", () => {
    expect(changed(null, withLanes(...few.lanes, lane("api:10.0.0.1", "x")))).toEqual([]);
  });
});
