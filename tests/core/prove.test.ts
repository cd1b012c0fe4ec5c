/** The one proof: laws, then compile, then invariants, then contracts; each stage lists all, later stages wait. */
import { describe, expect, test } from "bun:test";
import type { CompileInput } from "../../agent/core/compile.ts";
import { type Proven, prove } from "../../agent/core/prove.ts";
import { desiredDigest, desiredText } from "../../schemas/desired.ts";
import { toHex } from "../../schemas/digest.ts";
import { canonicalIntent } from "../../schemas/intent.ts";
import { canonicalInventory } from "../../schemas/inventory.ts";
import type { Result } from "../../schemas/problem.ts";
import { makeTrust } from "../site/fixture.ts";
import { exampleInput } from "./invariant-subjects.ts";

const input = exampleInput("homelab");
const contract = {
  id: "no-lab",
  kind: "deny" as const,
  from: "lab",
  to: "lan",
  services: [],
  v4: true,
  v6: true,
  ports: [],
};
const codes = (result: Result<Proven>): readonly string[] =>
  result.ok ? [] : result.problems.map((one) => `${one.code} ${one.path}`);

describe("prove", () => {
  test("gives canonical documents, the generation and its digest", () => {
    const proven = prove(input);
    if (!proven.ok) throw new Error(JSON.stringify(proven.problems));
    const { intent, inventory, desired, digest } = proven.value;
    expect(intent).toEqual(canonicalIntent(input.intent));
    expect(inventory).toEqual(canonicalInventory(input.inventory));
    expect(desired.router).toBe("r1");
    expect(toHex(digest)).toBe(toHex(desiredDigest(desired)));
    expect(desiredText(desired)).not.toContain("undefined");
  });

  test("lists every broken law of both documents, with paths of the documents as they came", () => {
    const broken: CompileInput = {
      ...input,
      intent: { ...input.intent, confirm: { ...input.intent.confirm, cap_s: 30 }, contracts: [contract] },
      inventory: { ...input.inventory, tombstones: [...input.inventory.tombstones, ...input.inventory.tombstones] },
    };
    expect(codes(prove(broken))).toEqual(["intent.window confirm.cap_s", "inventory.duplicate tombstones[1]"]);
  });

  test("lists every contract that does not hold, with a packet, and no generation comes out", () => {
    const open = { ...contract, id: "open", from: "lan", to: "lab" };
    const asked = { ...input, intent: { ...input.intent, contracts: [open, contract, { ...open, id: "again" }] } };
    const result = prove(asked);
    expect(codes(result)).toEqual(["contract.violated contracts[0]", "contract.violated contracts[2]"]);
    const detail = result.ok ? "" : result.problems[0]!.detail;
    expect(detail).toStartWith("deny: lan -> lab: but tcp 10.0.0.10:40000 -> 10.0.30.10:443 is accepted.");
    expect(detail).toEndWith("(policy lan-lab, policies[1]).");
  });

  test("gives a proof of each contract that holds", () => {
    const proven = prove({ ...input, intent: { ...input.intent, contracts: [contract] } });
    if (!proven.ok) throw new Error(JSON.stringify(proven.problems));
    expect(proven.value.contracts).toMatchObject([{ id: "no-lab", state: "holds", text: "deny: lab -> lan" }]);
    expect(proven.value.contracts[0]!.questions).toBeGreaterThan(3);
  });

  test("a contract that cannot be decided never passes", () => {
    const asked = { ...input, intent: { ...input.intent, contracts: [{ ...contract, from: "router", to: "router" }] } };
    expect(codes(prove(asked))).toEqual(["contract.undecided contracts[0]"]);
  });

  test("a contract that names nothing is a broken law", () => {
    const asked = { ...input, intent: { ...input.intent, contracts: [{ ...contract, to: "nowhere" }] } };
    expect(codes(prove(asked))).toEqual(["intent.no_such contracts[0].to"]);
  });

  test("a router that is not in the intent", () => {
    expect(codes(prove({ ...input, router: "r9" }))).toEqual(["intent.no_such routers"]);
  });

  test("a key that the router has not reported", () => {
    const keys = { ...input.keys, keys: input.keys.keys.filter((key) => key.network !== "home") };
    expect(codes(prove({ ...input, keys })).map((one) => one.split(" ")[0])).toEqual(["compile.key_missing"]);
  });

  test("what only the compiled state shows: a network on this site's second rescue port", () => {
    const proven = prove(input);
    if (!proven.ok) throw new Error(JSON.stringify(proven.problems));
    const ports = proven.value.desired.nft.sets.find((set) => set.name === "s_lane_udp")!.elements.map(Number);
    const second = ports.find((port) => port < 51819)!;
    const networks = input.intent.networks.map((one) => (one.id === "lab-v6" ? { ...one, port: second } : one));
    const moved = prove({ ...input, intent: { ...input.intent, networks } });
    expect(codes(moved)).toEqual(["invariant.violated HF-RESC-02"]);
    expect(moved.ok ? "" : moved.problems[0]!.detail).toContain(`lab-v6 uses rescue port ${second}`);
  });

  test("an operator's key that a client has too", () => {
    const trust = makeTrust(["r1"], ["home", "lab-quic", "lab-v6"], { network: "homelab" });
    const operators = trust.roster.operators.map((one) => ({
      ...one,
      lane_key: input.inventory.clients[0]!.grants[0]!.keys[0]!.public_key,
    }));
    const found = prove({ ...input, roster: { ...trust.roster, operators } });
    expect(codes(found)).toEqual(["invariant.violated HF-PEER-01"]);
  });

  test("a roster without an active operator", () => {
    const operators = input.roster.operators.map((one) => ({ ...one, status: "revoked" as const }));
    expect(codes(prove({ ...input, roster: { ...input.roster, operators } }))).toEqual([
      "invariant.violated HF-RESC-01",
    ]);
  });
});
