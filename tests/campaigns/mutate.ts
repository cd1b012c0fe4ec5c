/**
 * `npm run mutate -- --seed N --sites M [--only k]`: rulesets of the examples and of random sites, each with one rule,
 * element or policy changed. Whatever changes what becomes of some packet must be noticed by an invariant or a contract.
 * `--sites 0`: the examples alone.
 */
import { checks, further } from "../mutate/checks.ts";
import { examples, randomSite } from "../mutate/grounds.ts";
import { boundsMissed, lineOf, reportOf, survivalOf } from "../mutate/report.ts";
import { type Ground, judged, scoreOf, type Verdict } from "../mutate/run.ts";

const SITES = 10;

type Options = { readonly seed: number; readonly sites: number; readonly only: number | undefined };

function readOptions(args: readonly string[]): Options | string {
  const given = new Map<string, number>();
  for (let i = 0; i < args.length; i += 2) {
    const [name = "", text = ""] = [args[i], args[i + 1]];
    if (!["--seed", "--sites", "--only"].includes(name)) return `unknown option ${name}; known: --seed --sites --only`;
    if (!/^(0|[1-9][0-9]{0,9})$/.test(text)) return `${name} takes a whole number`;
    given.set(name, Number(text));
  }
  const random = crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
  return { seed: given.get("--seed") ?? random, sites: given.get("--sites") ?? SITES, only: given.get("--only") };
}

/** The grounds one after the other; random sites are made when it is their turn. */
function* grounds({ seed, sites }: Options): Generator<Ground> {
  yield* examples(seed);
  for (let k = 0; k < sites; k += 1) yield randomSite(seed, k);
}

function run(options: Options): number {
  console.error(`mutate: seed ${options.seed}`);
  const verdicts: Verdict[] = [];
  let first = 0;
  let shown = performance.now();
  for (const ground of grounds(options)) {
    const { only } = options;
    const [from, to] = [first, first + ground.mutants.length];
    first = to;
    if (only !== undefined && (only < from || only >= to)) continue;
    const mutants = only === undefined ? ground.mutants : [ground.mutants[only - from]!];
    let at = only ?? from;
    for (const verdict of judged({ ...ground, mutants }, { checks, further })) {
      const placed = { ...verdict, index: at };
      verdicts.push(placed);
      for (const line of survivalOf(placed, options.seed)) console.error(line);
      at += 1;
      if (performance.now() - shown < 5000) continue;
      shown = performance.now();
      console.error(`mutate: ${ground.name}, ${at - from} of ${ground.mutants.length}`);
    }
  }
  const score = scoreOf(verdicts);
  for (const line of reportOf(score)) console.error(line);
  if (options.only !== undefined) for (const { judged } of verdicts) console.error(JSON.stringify(judged, null, 1));
  const missed = options.only === undefined ? boundsMissed(score, further) : [];
  for (const line of missed) console.error(`mutate: ${line}`);
  console.log(lineOf(score, further));
  return missed.length > 0 ? 1 : 0;
}

const options = readOptions(process.argv.slice(2));
if (typeof options === "string") {
  console.error(`mutate: ${options}`);
  process.exit(2);
}
process.exit(run(options));
