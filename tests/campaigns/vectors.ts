/**
 * `npm run vectors -- --seed N --vectors M`: the whole negative corpus by the library, the compiled program and a real
 * agent over HTTP, each vector under three wall clocks. The seed only shuffles, so that a small size is a fair slice.
 */

import { sha256Hex } from "../../schemas/digest.ts";
import { freshProgram } from "../netns/program.ts";
import { startAgent, type VectorAgent } from "../vectors/agent.ts";
import { readCorpus } from "../vectors/corpus.ts";
import { byHttp, byLibrary, byProgram, clocks, isForHttp } from "../vectors/run.ts";
import { type Campaign, Miss, runCampaign } from "./campaign.ts";

const corpus = readCorpus();
const shuffled = new Map<number, typeof corpus>();

function orderOf(seed: number): typeof corpus {
  const known = shuffled.get(seed);
  if (known !== undefined) return known;
  const key = (name: string): string => sha256Hex(`vectors ${seed} ${name}`);
  const order = [...corpus].sort((a, b) => (key(a.name) < key(b.name) ? -1 : 1));
  shuffled.set(seed, order);
  return order;
}

let agent: VectorAgent | undefined;

const campaign: Campaign = {
  name: "vectors",
  size: "vectors",
  cases: clocks.length * corpus.length,
  async setUp() {
    freshProgram();
    agent = await startAgent();
    return agent.close;
  },
  async one({ index, seed }) {
    const order = orderOf(seed);
    const [place, round] = [index % order.length, Math.floor(index / order.length)];
    const [vector, unixS] = [order[place]!, clocks[(place + round) % clocks.length]!];
    if (agent === undefined) throw new Error("no agent");
    const library = byLibrary(vector, unixS);
    const program = await byProgram(freshProgram().cli, vector, unixS);
    const overHttp = isForHttp(vector);
    const http = overHttp ? await byHttp(agent, vector, unixS) : undefined;
    const wrong = [library, program, http].filter((told) => told !== undefined);
    const counts = { library: 1, program: 1, http: overHttp ? 1 : 0, wrong: wrong.length };
    if (wrong.length > 0) throw new Miss(`${vector.name} at ${unixS}: ${wrong.join("; ")}`, counts);
    return counts;
  },
  line: ({ library = 0, program = 0, http = 0, wrong = 0 }) => ({
    ...{ total: library + program + http, library, program, http },
    wrong,
  }),
};

if (import.meta.main) process.exit(await runCampaign(campaign, process.argv.slice(2)));
