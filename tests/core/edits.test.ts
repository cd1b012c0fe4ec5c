/** The smallest edit that would decide otherwise: each is applied here once more, and the whole proof is run over it. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { CompileInput } from "../../agent/core/compile.ts";
import { applied, type Change, pathOf } from "../../agent/core/edits.ts";
import { smallestEdit } from "../../agent/core/edits-try.ts";
import { prove } from "../../agent/core/prove.ts";
import { contractOf, contractSubject } from "./contracts-sites.ts";

setDefaultTimeout(60_000); // many proofs

// What the type of contracts' subjects leaves out is there all the same.
const input = contractSubject([]) as unknown as CompileInput;

const withContracts = (texts: readonly string[]): CompileInput => ({
  ...input,
  intent: { ...input.intent, contracts: texts.map((text, n) => contractOf(text, `c${n}`)) },
});

const textOf = (change: Change): string => {
  const value = change.value === null ? "" : ` ${JSON.stringify(change.value).replaceAll('"', "")}`;
  return `${pathOf(input, change)}: ${change.op}${value}`;
};

/** Changes as texts, after a proof that with them the contract holds and everything else as well. */
function edited(text: string, others: readonly string[] = []): readonly string[] {
  const site = withContracts(others);
  const wanted = contractOf(text, "wanted");
  const ask = (one: CompileInput) =>
    prove({ ...one, intent: { ...one.intent, contracts: [...one.intent.contracts, wanted] } });
  const edit = smallestEdit(site, wanted);
  if (edit === null) throw new Error(`nothing was found for ${text}`);
  const after = ask({ ...site, ...applied(site, edit.changes) });
  if (edit.breaks.length === 0) expect(after).toMatchObject({ ok: true });
  else expect(after).toMatchObject({ ok: false, problems: edit.breaks.map(() => ({ code: "contract.violated" })) });
  return [...edit.changes.map(textOf), ...edit.breaks.map((one) => `breaks ${one}`)];
}

describe("what is accepted is closed where it comes from", () => {
  const cases: readonly (readonly [contract: string, ...changes: readonly string[]])[] = [
    ["deny: lan -> zone lab", "policies[3]: remove"],
    // One way after the other, until none is left.
    ["deny: internet -> 10.0.0.10", "port_forwards[0]: remove", "port_forwards[1]: remove"],
    [
      "deny: client ann -> lan",
      "profiles[0].reach[0]: remove {zone:lan,v4:true,v6:true}",
      "profiles[0].dns.v4: set false",
    ],
  ];
  for (const [contract, ...changes] of cases) test(contract, () => expect(edited(contract)).toEqual(changes));
});

describe("what is dropped is let in by the narrowest way", () => {
  const web = "services: add {id:tcp-80,addresses:[],ports:[{protocol:tcp,from:80,to:80}]}";
  const policy = (service: string): string =>
    `policies: add {id:desk-lan,from:desk,to:lan,services:[${service}],v4:true,v6:true}`;
  const cases: readonly (readonly [contract: string, ...changes: readonly string[]])[] = [
    ["allow: desk -> lan: [web]", policy("web")],
    ["allow: desk -> lan: [tcp/80]", web, policy("tcp-80")],
    [
      "allow: desk -> 10.0.0.10 tcp/80",
      web.replace("tcp-80", "tcp-80-10").replace("[]", "[10.0.0.10]"),
      policy("tcp-80-10"),
    ],
    [
      "allow: internet -> 10.0.0.11: [tcp/22]",
      "port_forwards: add {id:tcp-22,zone:wan,address:198.51.100.2,protocol:tcp,port:22,to_address:10.0.0.11,to_port:22,count:1}",
    ],
    ["allow: zone lab -> router v4: [dns, ping]", "policies[2].services: add ping"],
  ];
  for (const [contract, ...changes] of cases) test(contract, () => expect(edited(contract)).toEqual(changes));
});

describe("an edit that costs too much", () => {
  const nothing = (text: string): void => expect(smallestEdit(input, contractOf(text, "wanted"))).toBeNull();

  test("of a law or an invariant is none: experiments stay isolated, clients apart, lanes with their zones", () => {
    nothing("allow: zone lab -> lan");
    nothing("allow: home -> exp");
    nothing("allow: zone lab -> router: [tcp/8022]");
  });

  test("of what would pass and not work is none: without a masquerade nothing leaves", () =>
    nothing("allow: desk -> internet v4"));

  test("of another contract is given with that contract's text", () => {
    expect(edited("deny: lan -> zone lab", ["allow: lan -> zone lab: [tcp/80]", "deny: zone lab -> lan"])).toEqual([
      "policies[3]: remove",
      "breaks allow: lan -> zone lab: [tcp/80]",
    ]);
  });

  test("there is none for what holds", () => nothing("deny: zone lab -> lan"));
});
