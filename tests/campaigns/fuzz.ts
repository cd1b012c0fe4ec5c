/**
 * `npm run fuzz -- --seed N --sites M [--only k]`: random sites, compiled, loaded into the kernel, and packets put in at
 * every interface. What the kernel does with each is held against what the oracles say (tests/fuzz/oracle.ts). Every
 * third site's ruleset is bent (tests/fuzz/bend.ts), because the compiler's own leave much of nft unused.
 */

import { stayOnOneProcessor } from "../../client/replay/libc.ts";
import { fuzzCase } from "../fuzz/case.ts";
import { leaveYard } from "../fuzz/run.ts";
import { runCampaign } from "./campaign.ts";

const code = await runCampaign(
  {
    name: "fuzz",
    size: "sites",
    cases: 200,
    setUp: () => {
      stayOnOneProcessor();
      return Promise.resolve(leaveYard);
    },
    one: fuzzCase,
    line: (
      { packets = 0, six = 0, forwarded = 0, delivered = 0, translated = 0, refused = 0, open = 0, disagreements = 0 },
      sites,
    ) => ({
      sites,
      packets,
      v6: six,
      forwarded,
      delivered,
      translated,
      refused,
      open,
      disagreements,
    }),
  },
  process.argv.slice(2),
);
process.exit(code);
