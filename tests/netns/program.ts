/** How tests and demo call the two programs: the finished build, one compiled just now, or the test build. */
import { existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { compile, nativeTarget } from "../../.ci/build.ts";
import type { Sabotage } from "./sabotage.ts";

export type Program = { readonly agent: readonly string[]; readonly cli: readonly string[] };

const checkout = join(import.meta.dir, "../..");

/** What `bun .ci/build.ts --native` made. */
export const finished: Program = {
  agent: [join(checkout, "dist/holdfastd")],
  cli: [join(checkout, "dist/holdfast")],
};

/** Programs are large: they lie in one folder for each process, and those of processes that are gone are swept. */
const store = join(checkout, "out/programs");
process.on("exit", () => rmSync(join(store, String(process.pid)), { recursive: true, force: true }));

function sweep(): void {
  for (const name of existsSync(store) ? readdirSync(store) : [])
    if (!existsSync(`/proc/${name}`)) rmSync(join(store, name), { recursive: true, force: true });
}

function temporary(): string {
  sweep();
  mkdirSync(join(store, String(process.pid)), { recursive: true });
  return mkdtempSync(join(store, String(process.pid), "p"));
}

let fresh: Program | undefined;

/**
 * The sources of this checkout, compiled as for a release; once for each process, and not at all where `npm test` has
 * just done it and says so in HOLDFAST_BUILT.
 */
export function freshProgram(): Program {
  if (process.env.HOLDFAST_BUILT === "1") return finished;
  if (fresh !== undefined) return fresh;
  const folder = temporary();
  const file = compile(join(checkout, "agent/entry.ts"), process.execPath, nativeTarget(), folder);
  linkSync(file, join(folder, "holdfastd"));
  fresh = { agent: [join(folder, "holdfastd")], cli: [file] };
  return fresh;
}

/** A copy of the agent alone, for tests that delete it. */
export function agentCopy(program: Program): Program {
  const folder = temporary();
  const [file = "", ...rest] = program.agent;
  linkSync(file, join(folder, "holdfastd"));
  return { agent: [join(folder, "holdfastd"), ...rest], cli: program.cli };
}

/** Built from the same sources, with a module replaced by that file wherever others import it; the folder. */
async function buildReplaced(entries: readonly string[], module: RegExp, by: string): Promise<string> {
  const folder = temporary();
  const built = await Bun.build({
    entrypoints: entries.map((entry) => join(checkout, entry)),
    outdir: folder,
    target: "bun",
    root: checkout,
    ignoreDCEAnnotations: true, // calls that a release leaves out
    plugins: [
      {
        name: "replaced",
        setup: (build) => {
          build.onResolve({ filter: module }, ({ importer }) => (importer === by ? undefined : { path: by }));
        },
      },
    ],
  });
  if (!built.success) throw new Error(built.logs.join("\n"));
  return folder;
}

async function replacedProgram(module: RegExp, by: string): Promise<Program> {
  const folder = await buildReplaced(["agent/main.ts", "client/main.ts"], module, by);
  const bun = process.execPath;
  return { agent: [bun, join(folder, "agent/main.js")], cli: [bun, join(folder, "client/main.js")] };
}

/** With `prove` replaced by the one of sabotage.ts in both programs. */
export const badProgram = (): Promise<Program> =>
  replacedProgram(/(^|\/)prove\.ts$/, join(import.meta.dir, "sabotage.ts"));

/** With failpoints that obey tests/faults/failpoint.ts. */
export const failingProgram = (): Promise<Program> =>
  replacedProgram(/(^|\/)failpoint\.ts$/, join(checkout, "tests/faults/failpoint.ts"));

/** A script of this checkout that walks through failpoints itself, by tests/faults/failpoint-inside.ts. */
export async function failingScript(entry: string): Promise<string> {
  const inside = join(checkout, "tests/faults/failpoint-inside.ts");
  const folder = await buildReplaced([entry], /(^|\/)failpoint\.ts$/, inside);
  symlinkSync(join(checkout, "agent"), join(folder, "agent"));
  return join(folder, entry.replace(/\.ts$/, ".js"));
}

/** Words for the services of an intent: what the test build is to spoil in that generation. */
export const sabotageService = (kind: Sabotage): { id: string; ports: { protocol: "tcp"; from: number }[] } => ({
  id: `sabotage-${kind}`,
  ports: [{ protocol: "tcp", from: 9 }],
});
