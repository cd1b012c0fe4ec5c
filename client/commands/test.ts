/** `test`: contracts replayed with real packets, on a router that is built in a namespace of this machine. */
import { compile } from "../../agent/core/compile.ts";
import { prove } from "../../agent/core/prove.ts";
import { done, type Problem, type Result, refuse } from "../../schemas/problem.ts";
import { printable } from "../args.ts";
import { type Ending, type ExitCode, finished, refused } from "../out.ts";
import type { Replayed } from "../replay/replay.ts";
import type { Context } from "../session.ts";
import type { Site } from "../site/site.ts";
import { openSubjects, type SiteSubject } from "../subject.ts";

const TOOLS = ["ip", "nft", "sh", "sysctl"];

type RouterReplay = { readonly router: string; readonly contracts: readonly Replayed[] };
type Fields = { readonly routers?: readonly RouterReplay[]; readonly problems?: readonly Problem[] };

function linesOf({ router, contracts }: RouterReplay): string {
  const lines = contracts.map(({ text, packets, accepted, mismatches }) => {
    if (mismatches.length > 0) return `${text}: ${mismatches.length} of ${packets} packets not as proven`;
    if (packets === 0) return `${text}: no packet to send`;
    return `${text}: replayed: ${packets} packets as proven, ${accepted} of them accepted`;
  });
  return lines.map((line) => `${router}: ${line}\n`).join("");
}

/** How it ended, from what was replayed: here, or by this program as the root of a user namespace. */
function ending(routers: readonly RouterReplay[], problems: readonly Problem[]): Ending {
  const text = routers.map(linesOf).join("");
  if (problems.length > 0) return { ...refused(problems, { routers }), answer: text };
  const packets = routers.flatMap((one) => one.contracts).reduce((sum, one) => sum + one.packets, 0);
  return finished(`${text}Good: ${packets} packets as proven.\n`, { routers, packets });
}

/** The same command once more, with the rights of root over namespaces of its own. */
async function inUserNamespace(context: Context): Promise<Ending> {
  const { again, missingTools } = await import("../replay/tools.ts");
  const root = "neither root nor able to make a user namespace (unshare -Ur)";
  if (process.getuid?.() === 0 || missingTools(["unshare"]).length > 0) {
    return refused(refuse("replay.unavailable", "", root).problems);
  }
  const stop = context.voice.progress("Replaying packets");
  const { exit, stdout } = await again(process.argv.slice(2).filter((word) => word !== "--json"));
  stop();
  if (!stdout.startsWith("{")) return refused(refuse("replay.unavailable", "", root).problems);
  const { routers = [], problems = [] } = JSON.parse(stdout) as Fields;
  return { ...ending(routers, problems), exit: exit as ExitCode };
}

type Room = typeof import("../replay/replay.ts");
type Done = { readonly contracts: readonly Replayed[] } | { readonly problems: readonly Problem[] } | "no rights";

/** What sends packets; it looks for the C library as it is loaded. */
async function loadRoom(): Promise<Result<Room>> {
  try {
    return done(await import("../replay/replay.ts"));
  } catch (error) {
    return refuse("replay.unavailable", "", printable(error instanceof Error ? error.message : ""));
  }
}

async function replayRouter(site: Site, { input }: SiteSubject, replay: Room["replay"]): Promise<Done> {
  const proven = prove(input);
  if (!proven.ok) return { problems: proven.problems.map(site.locate) };
  const desired = compile(input);
  if (!desired.ok) return desired;
  const replayed = await replay({ ...input, desired: desired.value });
  if (replayed === undefined) return "no rights";
  return replayed.ok ? { contracts: replayed.value } : replayed;
}

/** `holdfast test` */
export async function testContracts(context: Context): Promise<Ending> {
  const opened = await openSubjects(context);
  if (!opened.ok) return refused(opened.problems);
  const { site, routers } = opened.value;
  const { missingTools } = await import("../replay/tools.ts");
  const missing = process.platform === "linux" ? missingTools(TOOLS) : [`Linux (this is ${process.platform})`];
  if (missing.length > 0) {
    return refused(refuse("replay.unavailable", "", `missing here: ${printable(missing.join(", "))}`).problems);
  }
  const room = await loadRoom();
  if (!room.ok) return refused(room.problems);
  const { mismatchProblems, replay } = room.value;
  const good: RouterReplay[] = [];
  const problems: Problem[] = [];
  for (const subject of routers) {
    const { router } = subject.input;
    const stop = context.voice.progress(`Replaying packets on ${router}`);
    const found = await replayRouter(site, subject, replay);
    stop();
    if (found === "no rights") return inUserNamespace(context);
    if ("problems" in found) {
      problems.push(...found.problems);
      continue;
    }
    good.push({ router, contracts: found.contracts });
    problems.push(...mismatchProblems(router, found.contracts));
  }
  return ending(good, problems);
}
