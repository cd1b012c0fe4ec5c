/**
 * `bun .ci/test.ts`: everything that must pass, in the order in which a failure is cheapest to understand. Every
 * step is a check and every test of bun:test is one; the last line is the sum. Exit code 1 when anything failed.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { root } from "./stale.ts";

type Count = { readonly passed: number; readonly failed: number; readonly skipped: number };

/** A step is one program; it passes when that exits with 0. */
type Step = { readonly name: string; readonly command: readonly string[] };

const bun = process.execPath;
const bin = (name: string): string => join("node_modules/.bin", name);

const before: readonly Step[] = [
  { name: "types", command: [bin("tsc"), "-p", "."] },
  { name: "format and lint", command: [bin("biome"), "check", "."] },
  { name: "generated codecs are current", command: [bun, ".ci/generate.ts", "--check"] },
  { name: "JSON Schemas are current", command: [bun, ".ci/json-schema.ts", "--check"] },
  { name: "generated pages are current", command: [bun, ".ci/docs.ts", "--check"] },
  { name: "native build", command: [bun, ".ci/build.ts", "--native"] },
];

type Campaign = readonly [script: string, args: readonly string[]];

/** A slice of each campaign with a fixed seed: a regression shows here, new seeds are for the full runs. */
const campaigns: readonly Campaign[] = [
  ["tests/campaigns/determinism.ts", ["--seed", "1", "--cases", "20"]],
  ["tests/campaigns/decode-fuzz.ts", ["--seed", "2", "--cases", "2000"]],
  ["tests/campaigns/fuzz.ts", ["--seed", "2", "--sites", "3"]],
  ["tests/campaigns/loss.ts", ["--seed", "4", "--cases", "1"]],
  ["tests/campaigns/soak.ts", ["--seed", "9865", "--rounds", "6"]],
  ["tests/campaigns/vectors.ts", ["--seed", "1", "--vectors", "20"]],
  ["tests/campaigns/bitflip.ts", ["--seed", "1", "--splices", "1000"]],
  ["tests/campaigns/faults.ts", ["--seed", "1", "--points", "3"]],
  ["bench/main.ts", ["admit", "--clients", "1000"]],
];

/** Worlds of namespaces and machines hold one lock and real deadlines; they run one file at a time. */
const isWorld = (path: string): boolean => /^tests\/(netns|vm|faults|fuzz)\//.test(path);
/** Worlds that compute and watch no clock: they need no lock and go beside the others. */
const isBeside = (path: string): boolean => /^tests\/netns\/(scripts|nft-text|policy-golden)\./.test(path);
/** A machine without KVM takes both processors. */
const isMachine = (path: string): boolean => path.startsWith("tests/vm/");

/** Tests take the programs that `native build` has just made: tests/netns/program.ts. */
const BUILT = { HOLDFAST_BUILT: "1" } as const;

/** Time of the wall and of the processors, the latter of a child that has ended and of all that it waited for. */
function times(since: number, child: { resourceUsage(): { cpuTime: { total: bigint | number } } | undefined }): string {
  const cpu = Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6;
  return `${((performance.now() - since) / 1000).toFixed(1)} s, ${cpu.toFixed(0)} s of a processor`;
}

async function runStep(step: Step): Promise<Count> {
  const started = performance.now();
  const [program = "", script = ""] = step.command;
  const missing = [program, script].find(
    (path) => /\.(ts|mjs)$|^node_modules/.test(path) && !existsSync(join(root, path)),
  );
  console.log(`== ${step.name}`);
  if (missing !== undefined) {
    console.log(`FAIL ${step.name}: ${missing} does not exist`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const child = Bun.spawn([...step.command], {
    ...{ cwd: root, env: { ...process.env, ...BUILT }, stdin: "ignore", stdout: "inherit", stderr: "inherit" },
  });
  const code = await child.exited;
  console.log(`${code === 0 ? "ok  " : "FAIL"} ${step.name} (${times(started, child)})`);
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
}

/** Sums of a JUnit report and the files it names; undefined when it is not one. */
function readJunit(xml: string): (Count & { readonly files: readonly string[] }) | undefined {
  const head = /<testsuites\b[^>]*>/.exec(xml)?.[0];
  if (head === undefined) return undefined;
  const read = (name: string): number => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1] ?? Number.NaN);
  const [tests, failed, skipped] = [read("tests"), read("failures"), read("skipped")];
  if (![tests, failed, skipped].every(Number.isSafeInteger)) return undefined;
  const files = [...xml.matchAll(/<testsuite\b[^>]*\bfile="([^"]*)"/g)].map((match) => match[1] ?? "");
  return { passed: tests - failed - skipped, failed, skipped, files: [...new Set(files)] };
}

/**
 * Counts one run of bun:test. What the report cannot show is a failure too: no report, a file without a single
 * test (it did not load), or an exit code that the counted failures do not explain.
 */
export function judgeRun(files: readonly string[], xml: string, exitCode: number): Count & { readonly why: string[] } {
  const report = readJunit(xml);
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0, why: ["bun test left no readable report"] };
  const why = files.filter((file) => !report.files.includes(file)).map((file) => `${file}: no test ran`);
  if (why.length === 0 && exitCode !== 0 && report.failed === 0) why.push(`bun test ended with ${exitCode}`);
  return { passed: report.passed, failed: report.failed + why.length, skipped: report.skipped, why };
}

/** How a run of bun:test is started. */
type Manner = {
  readonly timeoutS: number;
  readonly aside?: boolean; // what it says is shown when it is over, since another run speaks meanwhile
  readonly gives?: boolean; // gives way to the worlds, and takes no lock of theirs
};

async function runTests(name: string, files: readonly string[], manner: Manner): Promise<Count> {
  const { timeoutS, aside = false, gives = false } = manner;
  const started = performance.now();
  const report = join(root, "out", `junit-${name}.xml`);
  mkdirSync(join(root, "out"), { recursive: true });
  rmSync(report, { force: true });
  console.log(`== ${name}: ${files.length} files${aside ? ", told when it is over" : ""}`);
  const options = [`--timeout=${timeoutS * 1000}`, "--reporter=junit", `--reporter-outfile=${report}`];
  const command = [
    ...(gives ? ["nice", "-n", "10"] : []),
    bun,
    "test",
    ...options,
    ...files.map((file) => `./${file}`),
  ];
  // Into a file: whatever a test leaves running may hold a pipe open for ever.
  const said = join(root, "out", `said-${name}.txt`);
  const env = { ...process.env, ...BUILT, ...(gives ? { HOLDFAST_BESIDE: "1" } : {}) };
  const child = Bun.spawn(aside ? ["sh", "-c", 'exec >"$0" "$@" 2>&1', said, ...command] : command, {
    ...{ cwd: root, env, stdin: "ignore", stdout: "inherit", stderr: "inherit" },
  });
  const code = await child.exited;
  if (aside) process.stdout.write(`== ${name}\n${readFileSync(said, "utf8")}`);
  const count = judgeRun(files, existsSync(report) ? readFileSync(report, "utf8") : "", code);
  for (const line of count.why) console.log(`FAIL ${line}`);
  console.log(`${count.failed === 0 ? "ok  " : "FAIL"} ${name}: ${count.passed} passed (${times(started, child)})`);
  return count;
}

const campaignStep = ([script, args]: Campaign): Step => ({
  name: `campaign ${script} ${args.join(" ")}`,
  command: [bun, script, ...args],
});

/**
 * Runs every file of bun:test, in three lanes over two processors: worlds, which mostly wait for deadlines, and beside
 * them, giving way, what computes and what starts programs. Machines come when the worlds are done. Two lanes of worlds
 * were tried: with both processors busy a guard fired seven seconds late, and nothing was done sooner.
 */
async function runFiles(): Promise<readonly Count[]> {
  const counts: Count[] = [];
  const files = [...new Glob("tests/**/*.test.ts").scanSync({ cwd: root })].sort();
  const one = async (file: string, manner: Manner): Promise<void> => {
    const name = file.replace(/^tests\/|\.test\.ts$/g, "").replaceAll("/", "-");
    counts.push(await runTests(name, [file], manner));
  };
  const worlds = async (): Promise<void> => {
    const waits = files.filter((path) => isWorld(path) && !isBeside(path) && !isMachine(path));
    for (const file of [...waits, ...files.filter(isMachine)]) await one(file, { timeoutS: 900, aside: true });
  };
  const startsPrograms = (file: string): boolean => /^tests\/(cli\/|init\/|targets\.|failpoints\.)/.test(file);
  const plain = files.filter((file) => !isWorld(file));
  const manner = { aside: true, gives: true };
  const programs = async (): Promise<void> => {
    counts.push(await runTests("tests-programs", plain.filter(startsPrograms), { ...manner, timeoutS: 120 }));
  };
  const computes = async (): Promise<void> => {
    const rest = plain.filter((file) => !startsPrograms(file));
    counts.push(await runTests("tests", rest, { ...manner, timeoutS: 120 }));
    for (const file of files.filter(isBeside)) await one(file, { ...manner, timeoutS: 900 });
  };
  await Promise.all([worlds(), programs(), computes()]);
  return counts;
}

async function main(): Promise<number> {
  const counts: Count[] = [];
  for (const step of before) counts.push(await runStep(step));
  counts.push(...(await runFiles()));
  for (const campaign of campaigns) counts.push(await runStep(campaignStep(campaign)));
  const sum = (key: keyof Count): number => counts.reduce((total, count) => total + count[key], 0);
  const [passed, failed, skipped] = [sum("passed"), sum("failed"), sum("skipped")];
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main());
