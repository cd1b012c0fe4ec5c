/** One client more is one peer and its elements: no rule, no chain, no epoch, nothing of anybody else. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { widensOnly } from "../../agent/core/epoch.ts";
import { rulesetText } from "../../agent/core/nft-text.ts";
import { planChange } from "../../agent/core/plan.ts";
import type { Step } from "../../agent/core/step.ts";
import type { Desired } from "../../schemas/desired.ts";
import { type ClientInput, clientOf, clients, desiredOf, grantOf, keyOf, smallIntent } from "./compile-sites.ts";
import { observedOf } from "./desireds.ts";

// Pure work, but the processor may be shared.
setDefaultTimeout(240_000);

/** A plan from a kernel that holds `from` exactly. */
function planned(from: Desired, to: Desired) {
  const listing = rulesetText(from.nft, "0x00000001");
  const result = planChange({
    lkg: from,
    next: to,
    observed: observedOf(from, listing),
    lkgEpoch: 7,
    expectedLkgListing: listing,
  });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

const nftStep = (steps: readonly Step[]) => steps.find((step) => step.kind === "nft.load");

/** Elements that only `to` has, as "set element". */
function newElements(from: Desired, to: Desired): readonly string[] {
  const before = new Map(from.nft.sets.map((set) => [set.name, new Set(set.elements)]));
  return to.nft.sets.flatMap((set) =>
    set.elements.filter((element) => before.get(set.name)?.has(element) !== true).map((one) => `${set.name} ${one}`),
  );
}

const intent = smallIntent();

describe("one client more among 1,000", () => {
  const thousand = clients(1000);
  const before = desiredOf(intent, thousand);
  const added = clientOf(2000, { services: ["web"] });
  const after = desiredOf(intent, { ...thousand, clients: [...(thousand.clients ?? []), added] });

  test("the plan writes one peer and the elements of that client, under the same epoch", () => {
    const plan = planned(before, after);
    expect(plan.epoch).toBe(7);
    expect(plan.apply.map((step) => step.kind)).toEqual(["nft.load", "wg.peers"]);
    expect(nftStep(plan.apply)?.mode).toBe("delta");
    const peers = plan.apply.flatMap((step) => (step.kind === "wg.peers" ? step.peers : []));
    expect(peers.map((peer) => [peer.publicKey, peer.allowedIps])).toEqual([
      [keyOf("client 2000"), ["10.100.7.208/32", "fd00:100::7d0/128"]],
    ]);
    expect(plan.afterConfirm).toEqual([]);
    expect(plan.lanes.every((lane) => !lane.changed)).toBe(true);
  });

  test("exactly that client's elements are new", () => {
    expect(newElements(before, after)).toEqual([
      "m_prof4 10.100.7.208 : goto p_o_split",
      "m_prof4_reply 10.100.7.208 : goto p_r_split",
      "m_prof6 fd00:100::7d0 : goto p_o_split",
      "m_prof6_reply fd00:100::7d0 : goto p_r_split",
      "s_dns_client4 10.100.7.208",
      "s_dns_client6 fd00:100::7d0",
      "s_grant4 10.100.7.208 . 10.1.0.5 . tcp . 443",
      's_src4 10.100.7.208 . "hf-home"',
      's_src6 fd00:100::7d0 . "hf-home"',
    ]);
    expect(newElements(after, before)).toEqual([]);
  });

  test("taking the client out again narrows: a full text and a new epoch", () => {
    const plan = planned(after, before);
    expect(plan.epoch).toBe(8);
    expect(nftStep(plan.apply)?.mode).toBe("full");
    expect(plan.afterConfirm).toEqual([{ kind: "wg.remove", name: "hf-home", publicKeys: [keyOf("client 2000")] }]);
  });
});

describe("the first and the last of a kind leave the structure alone", () => {
  const one = desiredOf(intent, { version: 1, clients: [] });
  const cases: Record<string, ClientInput> = {
    "the first client at all": clientOf(2),
    "the first client of a profile": clientOf(3, {
      grants: [grantOf(3, { profile: "none" })],
    }),
    "the first client with a service of its own": clientOf(4, { services: ["web"] }),
    "the first client without IPv6": clientOf(5, {
      grants: [grantOf(5, { addresses: ["10.100.0.5"] })],
    }),
  };
  for (const [name, client] of Object.entries(cases)) {
    test(name, () => {
      const next = desiredOf(intent, { version: 1, clients: [client] });
      expect(next.nft.chains).toEqual(one.nft.chains);
      expect(next.nft.counters).toEqual(one.nft.counters);
      expect(next.nft.sets.map((set) => set.name)).toEqual(one.nft.sets.map((set) => set.name));
      expect(widensOnly(one.nft, next.nft)).toBe(true);
    });
  }
});

describe("what narrows is never taken for widening", () => {
  const base = clients(3);
  const before = desiredOf(intent, base);
  const change = (edit: (list: ClientInput[]) => void): Desired => {
    const copy = structuredClone(base);
    edit(copy.clients!);
    return desiredOf(intent, copy);
  };
  test("a client that is suspended", () => {
    expect(widensOnly(before.nft, change((list) => Object.assign(list[0]!, { state: "suspended" })).nft)).toBe(false);
  });
  test("a client with another profile", () => {
    const next = change((list) => Object.assign(list[0]!.grants![0]!, { profile: "none" }));
    expect(widensOnly(before.nft, next.nft)).toBe(false);
  });
  test("an address that moves to another client", () => {
    const next = change((list) => Object.assign(list[0]!.grants![0]!, { addresses: ["10.100.0.77", "fd00:100::77"] }));
    expect(widensOnly(before.nft, next.nft)).toBe(false);
  });
});
