/**
 * Questions at random: every answer's packets are walked rule by rule, and the walk ends as the diagram says (ask
 * throws where it does not). What a question narrows, the packets of its answer keep.
 */
import { describe, expect, test } from "bun:test";
import { ask } from "../../../agent/core/verifier/model.ts";
import type { Question, Region, Witness } from "../../../agent/core/verifier/question.ts";
import type { Family } from "../../../schemas/ip.ts";
import { formatIp } from "../../../schemas/ip.ts";
import { readStory } from "../../golden/golden.ts";
import { branch, homelab } from "../invariant-subjects.ts";
import { randomNumbers } from "../nft-tables.ts";
import { modelOf } from "./cross.ts";
import { type Pool, poolOf, type Random } from "./packets.ts";

const PROTOCOLS = [6, 17, 1, 58, 47] as const;

function randomQuestion(random: Random, pool: Pool): Question {
  const one = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const maybe = <T extends object>(percent: number, fields: () => T): T | object =>
    random(100) < percent ? fields() : {};
  const family: Family = one([4, 6] as const);
  const host = (): string => formatIp(one(pool.addresses[family]));
  const way = random(5) === 0 ? "leaving" : "arriving";
  const port = one(pool.ports);
  const region: Region = {
    way,
    ...maybe(50, () => ({ family })),
    ...maybe(way === "arriving" ? 60 : 0, () => ({ iif: [one(pool.interfaces)] })),
    ...maybe(40, () => ({ oif: [one(pool.interfaces)] })),
    ...maybe(40, () => ({ source: { in: [host()] } })),
    ...maybe(40, () => ({ target: { in: [host()] } })),
    ...maybe(40, () => ({ protocol: [one(PROTOCOLS)] })),
    ...maybe(30, () => ({ dport: [[port, Math.min(65535, port + random(50))]] })),
    ...maybe(50, () => ({ flow: one(["first", "later", "reply"] as const) })),
    ...maybe(20, () => ({ state: [one(["new", "established", "related", "invalid", "untracked"] as const)] })),
    ...maybe(30, () => ({ dnat: random(2) === 0 })),
    ...maybe(30, () => ({ snat: random(2) === 0 })),
  };
  return {
    region,
    boxesMax: random(3),
    ...maybe(30, () => ({ routes: "any" as const })),
    ...maybe(20, () => ({ want: one(["router", "onward"] as const) })),
  };
}

/** Whether a packet is one that the question is about. */
function within({ packet }: Witness, { region, want }: Question): boolean {
  const has = <T>(list: readonly T[] | undefined, value: T): boolean => list === undefined || list.includes(value);
  const [from, to] = region.dport?.[0] ?? [0, 65535];
  return (
    has(region.family === undefined ? undefined : [region.family], packet.family) &&
    (region.iif === undefined || region.iif[0] === packet.iif || packet.iif.startsWith("other")) &&
    (region.oif === undefined || region.oif[0] === packet.oif || packet.oif.startsWith("other")) &&
    has(region.source?.in, packet.source) &&
    has(region.target?.in, packet.target) &&
    has(region.protocol, packet.protocol) &&
    packet.dport >= from &&
    packet.dport <= to &&
    has(region.state, packet.state) &&
    (region.dnat ?? packet.dnat) === packet.dnat &&
    (region.snat ?? packet.snat) === packet.snat &&
    (want === undefined || (want === "router") === (packet.oif === ""))
  );
}

describe("random questions", () => {
  const sites = [
    ["two uplinks", readStory("07_two_uplinks").desired],
    ["port forwards", readStory("05_port_forwards").desired],
    ["homelab", homelab.desired],
    ["branch", branch.desired],
  ] as const;
  for (const [name, desired] of sites) {
    test(name, () => {
      const [model, pool] = [modelOf(desired), poolOf(desired)];
      const counts = { none: 0, accepted: 0, dropped: 0, mixed: 0 };
      for (let i = 0; i < 300; i += 1) {
        const question = randomQuestion(randomNumbers(`question ${name}`, 1, i), pool);
        const found = ask(model, question);
        if (!found.ok) throw new Error(`${JSON.stringify(question)}: ${JSON.stringify(found.problems)}`);
        const { verdict, accepted, dropped } = found.value;
        counts[verdict] += 1;
        expect([accepted !== null, dropped !== null]).toEqual([
          verdict === "accepted" || verdict === "mixed",
          verdict === "dropped" || verdict === "mixed",
        ]);
        for (const witness of [accepted, dropped]) {
          if (witness !== null && !within(witness, question)) {
            throw new Error(`${JSON.stringify(question)} is not about ${JSON.stringify(witness.packet)}`);
          }
        }
        if (accepted !== null) expect(accepted.outcome).not.toBe("drop");
      }
      for (const verdict of ["none", "accepted", "dropped", "mixed"] as const)
        expect(counts[verdict]).toBeGreaterThan(0);
    });
  }
});
