/** `diff`: what the site says now and a pushed generation did not, value by value; no router is asked. */
import { refuse } from "../../schemas/problem.ts";
import { usageProblem } from "../args.ts";
import { changeLines, changesBetween } from "../changes.ts";
import { keptContent } from "../content.ts";
import { type Ending, finished, refused } from "../out.ts";
import { stateFolder } from "../places.ts";
import { pushedGenerations } from "../receipts-file.ts";
import { type Context, chooseRouter, openHome } from "../session.ts";

/** `holdfast diff [GENERATION]` */
export async function diff(context: Context): Promise<Ending> {
  const [text] = context.args.operands;
  if (text !== undefined && !/^[1-9][0-9]{0,17}$/.test(text)) {
    return refused([usageProblem("diff takes the number of a generation.")]);
  }
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const { site, network } = home.value;
  if (!site.ok) return refused(site.problems);
  const router = chooseRouter(home.value, context.args.one("router"));
  if (!router.ok) return refused(router.problems);
  const folder = stateFolder(network, router.value.id, router.value.incarnation);
  const generation = text === undefined ? pushedGenerations(folder).at(-1) : BigInt(text);
  if (generation === undefined) {
    return refused(refuse("cli.no_generation", router.value.id, "nothing was pushed from this machine yet").problems);
  }
  const kept = keptContent(folder, generation);
  if (!kept.ok) return refused(kept.problems);
  const { intent, inventory } = changesBetween(kept.value, site.value);
  const changes = [...intent, ...inventory].sort((a, b) => (a.path < b.path ? -1 : 1));
  const lines = changeLines(changes).map((line) => `${line}\n`);
  const answer = lines.length === 0 ? `The site is what generation ${generation} was pushed from.\n` : lines.join("");
  return finished(answer, { router: router.value.id, generation, changes });
}
