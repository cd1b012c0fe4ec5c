/**
 * Compiled = intent: nothing differs on what the compiler makes of the golden cases and of random sites; and the
 * scenarios of the verifier's design, a change to the compiled text each, come back as a packet, a rule and a line.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { CompileInput } from "../../agent/core/compile.ts";
import { checkEquivalence } from "../../agent/core/equivalence.ts";
import { checkInvariants, type Subject } from "../../agent/core/invariants.ts";
import { sameVerdicts } from "../../agent/core/verifier/compare.ts";
import type { Desired } from "../../schemas/desired.ts";
import { canonicalIntent } from "../../schemas/intent.ts";
import { canonicalInventory } from "../../schemas/inventory.ts";
import { randomOf } from "../campaigns/campaign.ts";
import { siteAtRandom } from "../fuzz/sites.ts";
import { readStory, storyNames } from "../golden/golden.ts";
import { clientOf, inputOf, smallIntent } from "./compile-sites.ts";
import { exchange } from "./invariant-breaks-equivalence.ts";
import { broken, chain, drop, editRules, type Open, set, subjectOf } from "./invariant-subjects.ts";

// Pure work, but the processor may be shared.
setDefaultTimeout(240_000);

const SITES = 12;
const SEED = 5;

const canonical = (input: CompileInput): Subject => {
  const [intent, inventory] = [canonicalIntent(input.intent), canonicalInventory(input.inventory)];
  return subjectOf({ ...input, intent, inventory });
};

const details = (subject: Subject): readonly string[] => checkEquivalence(subject).map((one) => one.detail);

/** Files that a room's files lead to, itself first; types too. */
function reached(...start: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (path: string): void => {
    if (found.has(path)) return;
    found.add(path);
    for (const [, to] of readFileSync(path, "utf8").matchAll(/from "(\.[^"]+)"/g)) visit(join(dirname(path), to!));
  };
  start.forEach(visit);
  return found;
}

test("the two readings share neither a line nor a table", () => {
  const core = join(import.meta.dir, "../../agent/core");
  const files = (room: string) => readdirSync(join(core, room)).map((name) => join(core, room, name));
  const [spec, compiler] = [files("spec"), [...files("compile"), join(core, "compile.ts")]];
  expect(spec.length).toBeGreaterThan(5);
  expect([...reached(...spec)].filter((path) => compiler.includes(path))).toEqual([]);
  expect([...reached(...compiler)].filter((path) => spec.includes(path) || path.includes("verifier"))).toEqual([]);
});

describe("nothing differs", () => {
  for (const name of storyNames()) {
    test(`golden ${name}`, () => {
      expect(details(canonical(readStory(name).input))).toEqual([]);
    });
  }
});

/** Rules and elements of a generation, each as the change that takes it out. */
function cuts(desired: Desired): readonly ((desired: Open<Desired>) => unknown)[] {
  const rules = desired.nft.chains.flatMap(({ name, rules: list }) =>
    list.map((_, i) => (d: Open<Desired>) => chain(d, name).rules.splice(i, 1)),
  );
  const elements = desired.nft.sets.flatMap(({ name, elements: list }) =>
    list.map((_, i) => (d: Open<Desired>) => set(d, name).elements.splice(i, 1)),
  );
  return [...rules, ...elements];
}

describe("random sites", () => {
  for (let k = 0; k < SITES; k += 1) {
    test(`site ${k}, and one rule or element less`, () => {
      const random = randomOf("equivalence", SEED, k);
      // Proven on its way out of the generator; a site with a difference is none.
      const { input, desired } = siteAtRandom(random);
      const subject = canonical(input);
      const all = cuts(desired);
      for (let round = 0; round < 3; round += 1) {
        const less = broken(subject, all[random(all.length)]!);
        const same = sameVerdicts(desired, desired.nft, less.desired.nft);
        const found = details(less);
        // Many do nothing that others do not: two readings of the text must agree on which.
        expect(found.length === 0).toBe(same.ok && same.value === null);
      }
    });
  }
});

/** Three clients: one with two services of its own, on two ports of one host. */
const grants = canonical(
  inputOf(
    smallIntent({
      services: [
        { id: "web", addresses: ["10.1.0.5"], ports: [{ protocol: "tcp", from: 443 }] },
        { id: "shell", addresses: ["10.1.0.6"], ports: [{ protocol: "tcp", from: 22 }] },
      ],
    }),
    {
      version: 1,
      clients: [
        clientOf(2, { services: ["web"], grants: clientOf(2).grants!.map((one) => ({ ...one, profile: "none" })) }),
        clientOf(3, { services: ["shell"], grants: clientOf(3).grants!.map((one) => ({ ...one, profile: "none" })) }),
        clientOf(4),
      ],
    },
  ),
);
const changed = (change: (desired: Open<Desired>) => unknown): Subject => broken(grants, change);
const idsOf = (subject: Subject): readonly string[] => checkInvariants(subject).map((one) => one.path);

describe("scenarios", () => {
  test("as compiled, nothing differs", () => {
    expect(checkInvariants(grants)).toEqual([]);
  });

  test("2: one client's profile is another in the text: client, rule and line are named", () => {
    const flipped = changed((d) =>
      exchange(set(d, "m_prof4").elements, "10.100.0.4 : goto p_o_split", "10.100.0.4 : goto p_o_full"),
    );
    const [found, ...more] = details(flipped);
    expect(more).toEqual([]);
    expect(found).toContain("10.100.0.4:40000");
    expect(found).toContain("(client c4) from home (hf-home) to wan (wan0), new");
    expect(found).toContain("in forward the ruleset lets it pass (its flow current) (chain p_o_full, rule");
    expect(found).toContain("oifname @s_uplink goto c_stamp");
    expect(found).toContain("the intent drops it (nothing allows it).");
  });

  test("3: one source less in the anti-spoof set: the client is named, and the other invariants stand", () => {
    const less = changed((d) => drop(set(d, "s_src4").elements, '10.100.0.3 . "hf-home"'));
    const found = details(less);
    expect(found.length).toBeGreaterThan(0);
    for (const one of found) {
      expect(one).toContain("(client c3) from home (hf-home)");
      expect(one).toContain("in prerouting the ruleset drops it (chain b_prerouting, rule");
      expect(one).toContain("!= @s_src4 counter name c_spoof drop");
    }
    expect(idsOf(less).filter((id) => id.startsWith("HF-FLOW"))).toEqual([]);
  });

  test("4: the ports of two grants exchanged: something is missing and something is too much", () => {
    const swapped = changed((d) => {
      const { elements } = set(d, "s_grant4");
      exchange(elements, "10.100.0.2 . 10.1.0.5 . tcp . 443", "10.100.0.2 . 10.1.0.5 . tcp . 22");
      exchange(elements, "10.100.0.3 . 10.1.0.6 . tcp . 22", "10.100.0.3 . 10.1.0.6 . tcp . 443");
    });
    const first = details(swapped).filter((one) => one.includes(", new, flags syn:"));
    expect(first).toHaveLength(2);
    expect(first[0]).toContain("10.100.0.3:40000 -> 10.1.0.6:443 (client c3)");
    expect(first[0]).toContain("the ruleset lets it pass (its flow current) (chain z_o_home, rule");
    expect(first[0]).toContain("[10.100.0.3 . 10.1.0.6 . tcp . 443]");
    expect(first[0]).toContain("the intent drops it");
    expect(first[1]).toContain("10.100.0.3:40000 -> 10.1.0.6:22 (client c3)");
    expect(first[1]).toContain("the ruleset drops it (chain p_o_none, rule");
    expect(first[1]).toContain("the intent lets it pass (its flow current) (services of the client itself).");
    // And the same for their answers, once the policy changes.
    expect(details(swapped).filter((one) => one.includes("established, reply"))).toHaveLength(2);
  });

  test("5: established without the epoch", () => {
    const open = changed((d) => chain(d, "b_forward").rules.splice(3, 0, "ct state established accept"));
    const found = details(open);
    expect(found.length).toBeGreaterThan(0);
    expect(found.some((one) => one.includes("established, original, that no policy judged"))).toBe(true);
    for (const one of found) expect(one).toContain("chain b_forward, rule 3: ct state established accept");
    expect(idsOf(open)).toContain("HF-FLOW-04");
  });

  test("6: a mirror that is none: only answers differ", () => {
    const blind = changed((d) => editRules(d, "p_r_split", "ip saddr", (rule) => rule.replace("ip saddr", "ip daddr")));
    const found = details(blind);
    expect(found.length).toBeGreaterThan(0);
    for (const one of found) expect(one).toContain("established, reply");
    expect(found.some((one) => one.includes("the ruleset drops it") && one.includes("(profile split)"))).toBe(true);
  });
});
