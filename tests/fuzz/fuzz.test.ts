/** The slice of the campaign finds faults of an oracle, and calls none wrong that is right. Real kernel, real packets. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { stayOnOneProcessor } from "../../client/replay/libc.ts";
import { randomOf } from "../campaigns/campaign.ts";
import { ORACLES, planOf } from "./case.ts";
import { plants } from "./plants.ts";
import { leaveYard, type Oracle, runSite } from "./run.ts";

setDefaultTimeout(300_000);

/** As in .ci/test.ts. */
const SLICE = { seed: 2, sites: 3 } as const;

afterAll(leaveYard);

test("every planted fault is found within the slice, in each oracle, and nothing else", async () => {
  stayOnOneProcessor();
  const faulty = ORACLES.flatMap((oracle) =>
    plants.map(({ name, told }): Oracle => ({ ...oracle, name: `${oracle.name}: ${name}`, told })),
  );
  const found = new Set<string>();
  for (let index = 0; index < SLICE.sites; index += 1) {
    const random = randomOf("fuzz", SLICE.seed, index);
    const plan = planOf({ index, random }, [...ORACLES, ...faulty]);
    await runSite({ ...plan, wrong: (disagreement) => found.add(disagreement.oracle) }, random);
  }
  expect([...found].sort()).toEqual(faulty.map((oracle) => oracle.name).sort());
});
