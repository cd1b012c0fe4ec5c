/** Contracts: each kind on each kind of side, holding, violated and undecided; and rules that are gone are noticed. */
import { describe, expect, test } from "bun:test";
import { proveContracts } from "../../agent/core/contracts.ts";
import type { Desired } from "../../schemas/desired.ts";
import { type Change, contractSubject, proofsOf, statesOf } from "./contracts-sites.ts";
import { drop, editRules, type Open, set } from "./invariant-subjects.ts";

type Row = readonly [text: string, state: "holds" | "violated" | "undecided" | "idle" | "elsewhere"];

/** What the small site says of each side: zones, networks, clients, profiles, the internet, the router, addresses. */
const rows: readonly Row[] = [
  ["deny: zone lab -> lan", "holds"],
  ["deny: lan -> zone lab", "violated"],
  ["deny: zone lab -> home", "holds"],
  ["deny: home -> exp", "holds"],
  ["deny: home -> lan", "violated"],
  ["deny: client ann -> desk", "holds"],
  ["deny: client ann -> lan", "violated"],
  ["deny: profile split -> lan", "holds"],
  ["deny: profile full -> internet", "violated"],
  ["deny: profile lab -> lan", "holds"],
  ["deny: internet -> desk", "holds"],
  ["deny: internet -> lan", "violated"],
  ["deny: internet -> home", "holds"],
  ["deny: lan -> router", "violated"],
  ["deny: router -> lan", "violated"],
  ["deny: 10.0.30.7 -> lan", "holds"],
  ["deny: 10.0.0.7 -> internet", "violated"],
  ["deny: internet -> 10.0.0.10", "violated"],
  ["deny: internet -> 10.0.0.11", "holds"],
  ["deny: lan -> internet: [dns]", "violated"],
  ["deny: lan -> internet: [web]", "holds"],
  ["deny: internet -> lan: [tcp/22]", "holds"],
  ["allow: lan -> internet v4", "holds"],
  ["allow: zone lab -> lan v4", "violated"],
  ["allow: lan -> zone lab v4", "holds"],
  ["allow: lan -> zone lab: [tcp/22] v4", "holds"],
  ["allow: client ann -> 10.0.0.10 tcp/443", "violated"],
  ["allow: profile full -> lan", "holds"],
  ["allow: profile full -> internet", "holds"],
  ["allow: profile full -> 10.0.0.10 tcp/443", "holds"],
  ["allow: exp -> 10.0.30.10: [lab-web]", "holds"],
  ["allow: exp -> lan v4", "violated"],
  ["allow: lan -> home", "violated"],
  ["allow: lan -> router: [tcp/53] v4", "holds"],
  ["allow: zone lab -> router: [dns] v4", "holds"],
  ["allow: zone lab -> router: [tcp/53] v4", "violated"],
  ["allow: router -> internet v4", "holds"],
  ["allow: router -> zone lab v4", "holds"],
  ["allow: internet -> 10.0.0.10: [tcp/80-89]", "holds"],
  ["allow: internet -> 198.51.100.2: [tcp/8000]", "holds"],
  ["allow: internet -> lan", "holds"],
  ["allow: 10.0.0.7 -> 10.0.30.10 tcp/80", "holds"],
  ["only: wan -> router: [wireguard, rescue]", "holds"],
  ["only: wan -> router: [rescue]", "violated"],
  ["only: wan -> router: [wireguard, rescue, tcp/53]", "violated"],
  ["only: zone lab -> router: [dns, wireguard, rescue]", "holds"],
  ["only: zone lab -> router: [wireguard, rescue]", "violated"],
  ["only: desk -> router: [management, wireguard, rescue, icmp]", "holds"],
  ["only: internet -> lan: [tcp/80-89, udp/8000]", "holds"],
  ["only: internet -> lan: [tcp/80-90, udp/8000]", "undecided"],
  ["only: internet -> 10.0.0.10: [tcp/80-89, udp/8000]", "holds"],
  ["only: internet -> 10.0.0.10: [tcp/80-89]", "violated"],
  ["only: exp -> zone lab: [tcp/80]", "violated"],
  ["allow: internet -> 10.0.0.10: [tcp/22]", "undecided"],
  ["deny: router -> router", "undecided"],
  ["allow: 10.0.0.7 -> fd42:1:1:1::10 tcp/443", "undecided"],
  ["allow: client ben -> lan v4", "idle"],
  ["deny: client ben -> lan", "holds"],
  ["deny: client cat -> lan", "holds"],
  ["allow: profile none -> lan", "idle"],
  ["deny: far -> wan2", "elsewhere"],
];

describe("every kind on every side", () => {
  const proofs = proofsOf(rows.map(([text]) => text));
  for (const [i, [text, state]] of rows.entries()) {
    test(`${text} ${state}`, () => {
      const proof = proofs[i]!;
      expect([proof.text, proof.state, proof.why]).toEqual([proof.text, state, proof.why]);
      expect(proof.witness !== null).toBe(state === "violated");
      expect(proof.why !== "").toBe(state === "undecided" || state === "idle");
    });
  }
});

describe("a violation", () => {
  const detail = (text: string, change: Change = {}): string =>
    proveContracts(contractSubject([text], change))
      .problems.map((one) => `${one.code} ${one.path}: ${one.detail}`)
      .join();

  test("names the packet, its way, the deciding rule and what of the intent that is", () => {
    expect(detail("deny: lan -> zone lab")).toBe(
      'contract.violated contracts[0]: deny: lan -> zone lab: but tcp 10.0.0.10:40000 -> 10.0.30.10:443 is accepted. Way: lan (lan0) > b_prerouting_raw > b_prerouting > b_dstnat > b_mss > b_forward > z_o_lan > c_stamp > b_srcnat > b_postrouting > lab (lab0). Decided by chain z_o_lan, rule 0: oifname "lab0" ip daddr @s_net4_lab goto c_stamp [10.0.30.0/24] (policy lan-lab, policies[3]).',
    );
  });

  test("of a port-forward shows what the packet becomes", () => {
    const said = detail("deny: internet -> 10.0.0.10");
    expect(said).toContain("tcp 203.0.113.200:40000 -> 198.51.100.2:8000 is accepted");
    expect(said).toContain("lan (lan0), target becomes 10.0.0.10:80.");
    expect(said).toEndWith("(port-forward web, port_forwards[0]).");
  });

  test("of a profile and of a client's own services names them", () => {
    expect(detail("deny: client ann -> lan v4")).toContain("(profile full, profiles[0])");
    const active: Change = { inventory: (i) => (i.clients[1]!.state = "active") };
    expect(detail("deny: client ben -> desk v4", active)).toEndWith("(the services of the client itself).");
  });

  test("of what is missing says that it is dropped, and why", () => {
    expect(detail("allow: zone lab -> lan v4")).toMatch(
      /-> 10\.0\.0\.\d+:\d+ is dropped\. .*\(experiments are isolated\)\.$/,
    );
  });

  test("of an answer says so: both rules for answers are gone", () => {
    const change: Change = {
      desired: (desired) => {
        drop(desired.nft.chains.find((one) => one.name === "b_forward")!.rules, CURRENT);
        const mirrors = set(desired, "v_reply").elements;
        mirrors.splice(0, mirrors.length);
      },
    };
    expect(detail("allow: lan -> zone lab v4", change)).toContain("is an answer, and is dropped");
  });

  test("of a route that leads elsewhere says so", () => {
    const astray: Change = {
      desired: (desired) =>
        desired.routes.push({
          ...desired.routes[0]!,
          to: "10.0.30.128/25",
          via: "",
          interface: "desk0",
          table: 254,
          family: 4,
          metric: 0,
        }),
    };
    expect(detail("allow: lan -> zone lab v4", astray)).toContain("lab v4: but ");
    expect(statesOf(["allow: lan -> zone lab v4"], astray)).toEqual(["violated allow: lan -> zone lab v4"]);
  });
});

const CURRENT = "ct state established ct mark & 0xffff0000 == $HF_EPOCH accept";

/** Rules that a generation could lack, the contract that notices, and what it says of the whole ruleset. */
const missingRules: readonly (readonly [what: string, contract: string, change: (desired: Open<Desired>) => void])[] = [
  [
    "anti-spoofing of a LAN",
    "deny: client ben -> zone lab",
    (desired) =>
      (desired.nft.chains.find((one) => one.name === "b_prerouting")!.rules = without(
        desired,
        "b_prerouting",
        "@s_walled",
      )),
  ],
  [
    "the isolation of experiments and a rule that opens one",
    "deny: zone lab -> lan",
    (desired) => {
      drop(set(desired, "s_lab").elements, '"lab0"');
      desired.nft.chains.find((one) => one.name === "z_o_lab")!.rules.unshift('oifname "lan0" accept');
    },
  ],
  [
    "the last drop of a zone",
    "deny: internet -> desk",
    (desired) => editRules(desired, "z_o_wan", "c_drop_forward", () => "accept"),
  ],
  [
    "the drop between tunnels",
    "deny: home -> 10.8.0.2",
    (desired) => editRules(desired, "z_o_home", "oifname @s_tunnel", () => "oifname @s_tunnel accept"),
  ],
  [
    "the lanes' own list of interfaces",
    "only: wan -> router: [wireguard, rescue]",
    (desired) => set(desired, "s_manage").elements.push('"wan0"'),
  ],
  [
    "the target of a port-forward",
    "deny: internet -> 10.0.0.11",
    (desired) => {
      const one = set(desired, "m_pf4").elements;
      one[0] = one[0]!.replace(/: 10\.0\.0\.10 /, ": 10.0.0.11 ");
      const two = set(desired, "s_pf4").elements;
      for (const [i, text] of two.entries()) two[i] = text.replace(/^10\.0\.0\.10 /, "10.0.0.11 ");
    },
  ],
];

function without(desired: Open<Desired>, chain: string, text: string): string[] {
  const rules = desired.nft.chains.find((one) => one.name === chain)!.rules;
  const left = rules.filter((rule) => !rule.includes(text));
  if (left.length === rules.length) throw new Error(`no rule of ${chain} has ${text}`);
  return left;
}

describe("a ruleset that lost something", () => {
  for (const [what, contract, desired] of missingRules) {
    test(`${what}: ${contract}`, () => {
      expect(statesOf([contract])).toEqual([`holds ${contract}`]);
      expect(statesOf([contract], { desired })).toEqual([`violated ${contract}`]);
    });
  }

  test("what the verifier cannot read leaves every contract undecided", () => {
    const change: Change = { desired: (desired) => desired.nft.chains[0]!.rules.push("meta skuid 0 accept") };
    const { proofs, problems } = proveContracts(
      contractSubject(["deny: zone lab -> lan", "deny: home -> exp"], change),
    );
    expect(proofs).toEqual([]);
    expect(problems.map((one) => `${one.code} ${one.path}`)).toEqual([
      "contract.undecided contracts[0]",
      "contract.undecided contracts[1]",
    ]);
    expect(problems[0]!.detail).toContain("meta skuid");
  });

  test("a site without contracts does not open the verifier", () => {
    const change: Change = { desired: (desired) => desired.nft.chains[0]!.rules.push("meta skuid 0 accept") };
    expect(proveContracts(contractSubject([], change))).toEqual({ proofs: [], problems: [] });
  });
});
