/** The contracts of the examples: every one holds, and every one is broken by some change of the intent or inventory. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { type CompileInput, compile } from "../../agent/core/compile.ts";
import { type ContractProof, proveContracts } from "../../agent/core/contracts.ts";
import { readSite } from "../../client/site/site.ts";
import { contractText } from "../../schemas/contract-words.ts";
import type { Desired } from "../../schemas/desired.ts";
import type { Intent } from "../../schemas/intent.ts";
import type { Inventory } from "../../schemas/inventory.ts";
import type { Loose } from "../schemas/sites.ts";
import { editRules, exampleInput, type Open, set } from "./invariant-subjects.ts";

setDefaultTimeout(60_000); // a whole proof of a site

type Documents = { readonly intent: Loose<Intent>; readonly inventory: Loose<Inventory> };
type Mutation = readonly [what: string, contracts: readonly string[], change: (documents: Documents) => unknown];

const byId = <T extends { id: string }>(list: readonly T[], id: string): T => {
  const found = list.find((one) => one.id === id);
  if (found === undefined) throw new Error(`there is no ${id}`);
  return found;
};
const without = (list: { id: string }[], id: string): void => {
  list.splice(list.indexOf(byId(list, id)), 1);
};
const open = (intent: Loose<Intent>, from: string, to: string, services: string[] = []): number =>
  intent.policies.push({ id: `${from}-${to}-x`, from, to, services, v4: true, v6: true });
const forward = (intent: Loose<Intent>, address: string, to: string, port = 2222): number =>
  intent.port_forwards.push({
    id: `x-${port}`,
    zone: "wan",
    address,
    protocol: "tcp",
    port,
    to_address: to,
    to_port: 22,
    count: 1,
  });

const homelab: readonly Mutation[] = [
  [
    "the lab becomes a zone like others, and may speak to the house",
    ["deny: lab -> lan", "deny: lab -> home"],
    ({ intent }) => {
      byId(intent.zones, "lab").kind = "internal";
      open(intent, "lab", "lan");
      open(intent, "lab", "home");
    },
  ],
  [
    "experiments become production, and their profiles reach the house",
    ["deny: lab-quic -> lan", "deny: lab-v6 -> lan"],
    ({ intent }) => {
      for (const id of ["lab-quic", "lab-v6"]) byId(intent.networks, id).class = "production";
      for (const id of ["lab-split", "lab-dual"])
        byId(intent.profiles, id).reach.push({ zone: "lan", v4: true, v6: true });
    },
  ],
  ["a policy between tunnels", ["deny: home -> lab-quic"], ({ intent }) => open(intent, "home", "lab-quic")],
  [
    "port-forwards to a shell (wireguard.md: open service ports)",
    ["deny: internet -> lan", "deny: internet -> lab"],
    ({ intent }) => {
      forward(intent, "198.51.100.2", "10.0.0.10");
      forward(intent, "198.51.100.2", "10.0.30.10", 2223);
    },
  ],
  [
    "services open to the world",
    ["deny: internet -> home", "only: wan -> router: [wireguard, rescue, management, ping]"],
    ({ intent }) => {
      open(intent, "wan", "home");
      byId(intent.policies, "wan-router").services.push("dns");
    },
  ],
  [
    "policies to the router that open everything",
    [
      "only: lab -> router: [dns, ntp, wireguard, rescue]",
      "only: lan -> router: [dns, ntp, ping, dhcp, wireguard, rescue, management]",
    ],
    ({ intent }) => {
      for (const id of ["lab-router", "lan-router"]) byId(intent.policies, id).services = [];
    },
  ],
  [
    "policies that are gone",
    ["allow: lan -> internet", "allow: lan -> lab"],
    ({ intent }) => {
      without(intent.policies, "lan-out");
      without(intent.policies, "lan-lab");
    },
  ],
  [
    "a profile that lost a family",
    ["allow: profile full -> lan", "allow: profile full -> internet"],
    ({ intent }) => {
      const full = byId(intent.profiles, "full");
      full.reach[0]!.v6 = false;
      full.internet.v6 = false;
    },
  ],
  [
    "a route that is gone",
    ["allow: client alice-phone -> 10.0.1.5: [tcp/443]"],
    ({ intent }) => (intent.routers[0]!.routes = []),
  ],
  [
    "a masquerade that is gone",
    ["allow: profile friends -> internet v4"],
    ({ intent }) => (intent.masquerade = intent.masquerade.filter((one) => one.from !== "home")),
  ],
  [
    "profiles that give more than they are for",
    ["only: profile friends -> lan v4: [nas-dns]", "deny: profile split -> internet"],
    ({ intent }) => {
      byId(intent.profiles, "friends").reach.push({ zone: "lan", v4: true, v6: false });
      byId(intent.profiles, "split").internet.v4 = true;
    },
  ],
  [
    "clients that were given more",
    [
      "only: client erin-laptop -> lan: [nas-web]",
      "only: client offsite-box -> lan: [nas-rsync]",
      "deny: client lost-phone -> lan",
    ],
    ({ inventory }) => {
      byId(inventory.clients, "erin-laptop").grants[0]!.profile = "split";
      byId(inventory.clients, "offsite-box").services.push("dns");
      const lost = byId(inventory.clients, "lost-phone");
      lost.state = "active";
      lost.grants[0]!.keys[0]!.state = "live";
    },
  ],
];

const branch: readonly Mutation[] = [
  [
    "one more port of each server",
    [
      "only: internet -> 10.20.1.10: [tcp/8443]",
      "only: internet -> 10.20.1.20: [udp/30000-30099]",
      "deny: internet -> zone office",
    ],
    ({ intent }) => {
      forward(intent, "203.0.113.10", "10.20.1.10");
      forward(intent, "203.0.113.10", "10.20.1.20", 2223);
      forward(intent, "203.0.113.10", "10.20.0.9", 2224);
    },
  ],
  [
    "tunnels open to the world",
    ["deny: internet -> staff", "deny: internet -> care", "only: wan -> router: [wireguard, rescue, management]"],
    ({ intent }) => {
      for (const to of ["staff", "care"]) open(intent, "wan", to);
      open(intent, "wan", "router", ["dns"]);
    },
  ],
  [
    "servers and the office see more of each other",
    [
      "only: dmz -> zone office: [dns]",
      "only: zone office -> dmz: [web, ping]",
      "only: dmz -> router: [ping, wireguard, rescue]",
    ],
    ({ intent }) => {
      byId(intent.policies, "dmz-dns").services = [];
      byId(intent.policies, "office-web").services.push("dns");
      open(intent, "dmz", "router", ["dns"]);
    },
  ],
  [
    "NAT that is gone",
    ["allow: dmz -> internet v4", "allow: zone office -> internet v4", "allow: profile travel -> internet v4"],
    ({ intent }) => (intent.masquerade = []),
  ],
  [
    "policies between the tunnels, and from care to everything",
    ["deny: staff -> care", "deny: care -> staff", "deny: care -> internet", "deny: client press-care -> dmz"],
    ({ intent }) => {
      open(intent, "staff", "care");
      open(intent, "care", "staff");
      open(intent, "care", "wan");
      intent.masquerade.push({ from: "care", to: "wan" }); // else the leak guard holds it
      open(intent, "care", "dmz");
    },
  ],
  [
    "a profile that lost its service, a service that lost its addresses (open service ports)",
    [
      "allow: client press-care -> 10.20.2.70: [tcp/5900]",
      "only: client press-care -> zone office: [machine-care]",
      "only: client grace-laptop -> dmz: [web]",
      "deny: profile office -> internet",
    ],
    ({ intent }) => {
      byId(intent.profiles, "machines").services = ["dns"];
      byId(intent.profiles, "travel").services = ["web", "dns"];
      byId(intent.profiles, "office").internet.v4 = true;
    },
  ],
  [
    "port-forwards that are gone",
    ["allow: internet -> 203.0.113.10: [tcp/443]", "allow: internet -> 192.0.2.10: [tcp/443]"],
    ({ intent }) => (intent.port_forwards = []),
  ],
];

/** An example with its contracts, or with those of them that are named; `spoil` what it compiles to. */
function decided(
  name: "homelab" | "branch",
  only: readonly string[] | null,
  change: Mutation[2],
  spoil: (desired: Open<Desired>) => void = () => undefined,
): readonly ContractProof[] {
  const site = readSite(join(import.meta.dir, "../../docs/examples", name));
  if (!site.ok) throw new Error(JSON.stringify(site.problems));
  const documents = structuredClone({ intent: site.value.intent, inventory: site.value.inventory }) as Documents;
  documents.intent.contracts = documents.intent.contracts.filter((one) => only?.includes(contractText(one)) ?? true);
  change(documents);
  const input: CompileInput = { ...exampleInput(name), ...(documents as Pick<CompileInput, "intent" | "inventory">) };
  const compiled = compile(input);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  const desired = structuredClone(compiled.value) as Open<Desired>;
  spoil(desired);
  return proveContracts({ ...input, desired: desired as Desired }).proofs;
}

describe("the defects of the systems before this one (reference/wireguard.md 1.4), in the ruleset itself", () => {
  const states = (contract: string, spoil: (desired: Open<Desired>) => void): readonly string[] =>
    decided("homelab", [contract], () => undefined, spoil).map((one) => one.state);

  test("D5: a revoked peer keeps its accepts", () => {
    const found = states("deny: client lost-phone -> lan", (desired) => {
      set(desired, "m_prof4").elements.push("10.100.99.1 : goto p_o_full");
      set(desired, "s_src4").elements.push('10.100.99.1 . "wgs1"');
      desired.links.find((one) => one.network === "home")!.peers[0]!.allowedIps.push("10.100.99.1/32");
    });
    expect(found).toEqual(["violated"]);
  });

  test("D5: a rule for the internet without an output interface", () => {
    const found = states("only: profile friends -> lan v4: [nas-dns]", (desired) =>
      editRules(desired, "p_o_friends", "oifname @s_uplink", (rule) => rule.replace("oifname @s_uplink ", "")),
    );
    expect(found).toEqual(["violated"]);
  });

  test("a service port that is open to whoever finds it", () => {
    const found = states("only: wan -> router: [wireguard, rescue, management, ping]", (desired) =>
      desired.nft.chains.find((one) => one.name === "z_i_wan")!.rules.unshift("tcp dport 22 goto c_stamp"),
    );
    expect(found).toEqual(["violated"]);
  });
});

for (const [name, mutations] of [["homelab", homelab] as const, ["branch", branch] as const]) {
  describe(name, () => {
    test("at least twenty contracts, each of them holds, and each is broken below", () => {
      const proofs = decided(name, null, () => undefined);
      expect(proofs.length).toBeGreaterThanOrEqual(20);
      expect(
        proofs.filter((one) => one.state !== "holds").map((one) => `${one.text}: ${one.state} ${one.why}`),
      ).toEqual([]);
      const broken = mutations.flatMap(([, contracts]) => contracts);
      expect([...broken].sort()).toEqual(proofs.map((one) => one.text).sort());
    });

    for (const [what, contracts, change] of mutations) {
      test(`${what} is noticed`, () => {
        const proofs = decided(name, contracts, change);
        expect(proofs.map((one) => `${one.state} ${one.text}`).sort()).toEqual(
          contracts.map((one) => `violated ${one}`).sort(),
        );
      });
    }
  });
}
