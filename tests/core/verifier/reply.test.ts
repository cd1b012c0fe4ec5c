/** What is let through is answered: the reply of each kind of accepted flow passes on the way back. */
import { describe, expect, test } from "bun:test";
import { ask } from "../../../agent/core/verifier/model.ts";
import type { Region, Witness } from "../../../agent/core/verifier/question.ts";
import { replyOf } from "../../../agent/core/verifier/reply.ts";
import { readStory } from "../../golden/golden.ts";
import { base } from "../nft-tables.ts";
import { modelOf } from "./cross.ts";
import { ACROSS, answerOf, desiredWith } from "./tables.ts";

/** The accepted packet of a question on a story, and what becomes of its answer, now and after another policy. */
function there(name: string, region: Region): { readonly accepted: Witness; readonly back: readonly string[] } {
  const model = modelOf(readStory(name).desired);
  const first = ask(model, { region });
  const accepted = first.ok ? first.value.accepted : null;
  if (accepted === null) throw new Error(`${name}: nothing is accepted`);
  const reply = replyOf(accepted)!;
  const verdict = (one: Region): string => {
    const found = ask(model, { region: one });
    return found.ok ? found.value.verdict : JSON.stringify(found.problems);
  };
  return { accepted, back: [verdict(reply), verdict({ ...reply, epoch: ["stale"] })] };
}

const first = { way: "arriving", flow: "first", family: 4 } as const;

describe("replies", () => {
  test("of a masqueraded flow to the internet", () => {
    const { accepted, back } = there("02_zones", {
      ...first,
      iif: ["lan0"],
      source: { in: ["10.1.0.9"] },
      target: { in: ["203.0.113.9"] },
      protocol: [6],
    });
    expect(replyOf(accepted)).toMatchObject({ iif: ["wan0"], oif: ["lan0"], target: { in: ["10.1.0.9"] }, snat: true });
    expect(back).toEqual(["accepted", "accepted"]);
  });

  test("of a forwarded port, under the address that was asked", () => {
    const { desired } = readStory("05_port_forwards");
    const [address] = desired.nft.sets.find((one) => one.name === "m_pf4")!.elements[0]!.split(" . ");
    const { accepted, back } = there("05_port_forwards", {
      ...first,
      iif: ["wan0"],
      source: { in: ["203.0.113.9"] },
      target: { in: [address!] },
      protocol: [6],
    });
    expect(replyOf(accepted)).toMatchObject({ dnat: true, original: { in: [address] } });
    expect(back).toEqual(["accepted", "accepted"]);
  });

  test("of the router itself, also on a lane that conntrack does not follow", () => {
    const { accepted, back } = there("01_lanes", {
      ...first,
      iif: ["lan0"],
      source: { in: ["10.1.0.9"] },
      target: { in: ["10.1.0.1"] },
      protocol: [6],
      dport: [[8022, 8022]],
    });
    expect(accepted.egress).toBe("router");
    expect(replyOf(accepted)).toMatchObject({ way: "leaving", oif: ["lan0"], sport: [[8022, 8022]] });
    expect(back).toEqual(["accepted", "accepted"]);
  });

  test("an answer that a rule stops is seen", () => {
    const site = desiredWith({
      forward: ["ct direction original accept", "ct direction reply tcp sport 443 drop"],
      bases: [base("b_late", "forward", 5, ["tcp dport 1 drop"], "accept")],
    });
    const { accepted } = answerOf(site, ACROSS);
    expect(answerOf(site, replyOf(accepted!)!).dropped?.decided.text).toContain("tcp sport 443 drop");
  });

  test("echoes have answers, errors have none", () => {
    const site = desiredWith({ forward: ["accept"] });
    const ping = { ...first, iif: ["lan0"], source: { in: ["10.1.0.5"] }, target: { in: ["10.2.0.7"] }, protocol: [1] };
    const request = answerOf(site, { ...ping, icmpType: [8] }).accepted!;
    expect(replyOf(request)).toMatchObject({ icmpType: [0] });
    expect(replyOf(answerOf(site, { ...ping, icmpType: [3] }).accepted!)).toBeNull();
  });
});
