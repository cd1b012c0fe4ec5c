/**
 * The frame of every campaign: options, seeds, progress, replay line, last line. Case k's randomness is
 * SHA-256(name, seed, k) and nothing else, so any case can be run alone: `npm run NAME -- --seed N --only k`, and a
 * long run in parts: `--from 300` goes on where 300 cases ended.
 */
import { sha256 } from "../../schemas/digest.ts";

/** Whole numbers from 0 to `below` - 1; `below` up to 2^32. */
export type Random = (below: number) => number;

/** What a case adds to the sums, and what the last line shows, in this order. */
export type Counts = Readonly<Record<string, number>>;

export type Campaign = {
  readonly name: string; // as in `npm run NAME`
  readonly size: string; // option that sets the number of cases: "inputs"; --cases means the same
  readonly cases: number; // without that option
  /** Runs one case and returns what it adds to the sums. A miss is an Error (or Miss) that says what was wrong. */
  one(at: { readonly index: number; readonly random: Random; readonly seed: number }): Counts | Promise<Counts>;
  /** The last line from the sums; `cases` is the number of cases that ran. */
  line(sums: Counts, cases: number): Counts;
  /** What is wrong with the whole, though every case was fine; undefined when nothing is. */
  miss?(line: Counts): string | undefined;
  /** Before the first case; what it returns runs after the last one, whatever happens. */
  setUp?(): Promise<() => void | Promise<void>>;
};

/** A miss that still adds to the sums, so that the last line can tell what kind of miss it was. */
export class Miss extends Error {
  readonly counts: Counts;
  constructor(what: string, counts: Counts) {
    super(what);
    this.counts = counts;
  }
}

type Options = {
  readonly seed: number;
  readonly from: number; // index of the first case
  readonly cases: number;
  readonly only: number | undefined;
};

const FAILURES_SHOWN = 10;

/** The numbers of one case, in blocks of SHA-256(name, seed, k, block). */
export function randomOf(name: string, seed: number, index: number): Random {
  let block = new Uint8Array();
  let at = 0;
  let round = 0;
  return (below) => {
    if (at + 4 > block.length) {
      block = new Uint8Array(sha256(`${name}:${seed}:${index}:${round}`));
      round += 1;
      at = 0;
    }
    const value = block[at]! * 0x1000000 + block[at + 1]! * 0x10000 + block[at + 2]! * 0x100 + block[at + 3]!;
    at += 4;
    return value % below;
  };
}

/** `--seed N --<size> M --from f --only k`; a text that says what is wrong otherwise. */
export function readOptions(campaign: Pick<Campaign, "size" | "cases">, args: readonly string[]): Options | string {
  const names = ["--seed", "--from", "--only", "--cases", `--${campaign.size}`];
  const given = new Map<string, number>();
  for (let i = 0; i < args.length; i += 2) {
    const [name = "", text = ""] = [args[i], args[i + 1]];
    if (!names.includes(name)) return `unknown option ${name}; known: ${names.join(" ")}`;
    if (!/^(0|[1-9][0-9]{0,9})$/.test(text)) return `${name} takes a whole number`;
    given.set(name === `--${campaign.size}` ? "--cases" : name, Number(text));
  }
  const cases = given.get("--cases") ?? campaign.cases;
  if (cases < 1) return `--${campaign.size} must be at least 1`;
  const random = crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
  return { seed: given.get("--seed") ?? random, from: given.get("--from") ?? 0, cases, only: given.get("--only") };
}

/** Progress on stderr, at most one line in a second. */
function progress(name: string, total: number): (finished: number) => void {
  let shown = performance.now();
  return (finished) => {
    const now = performance.now();
    if (now - shown < 1000) return;
    shown = now;
    console.error(`${name}: ${finished} of ${total}`);
  };
}

const add = (sums: Record<string, number>, more: Counts): void => {
  for (const [key, value] of Object.entries(more)) sums[key] = (sums[key] ?? 0) + value;
};

const told = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

/** Runs the cases; returns the number of misses and the sums. */
async function runCases(campaign: Campaign, options: Options): Promise<{ misses: number; sums: Counts; ran: number }> {
  const { seed, from, cases, only } = options;
  const [first, last] = only === undefined ? [from, from + cases] : [only, only + 1];
  const report = progress(campaign.name, last - first);
  const sums: Record<string, number> = {};
  let misses = 0;
  for (let index = first; index < last; index += 1) {
    try {
      const counts = campaign.one({ index, random: randomOf(campaign.name, seed, index), seed });
      add(sums, counts instanceof Promise ? await counts : counts);
    } catch (error) {
      misses += 1;
      if (error instanceof Miss) add(sums, error.counts);
      if (misses > FAILURES_SHOWN) continue;
      console.error(`${campaign.name}: case ${index}: ${told(error)}`);
      console.error(`replay: npm run ${campaign.name} -- --seed ${seed} --only ${index}`);
    }
    report(index - first + 1);
  }
  return { misses, sums, ran: last - first };
}

/**
 * Runs a campaign with the given arguments and returns its exit code: 0 when every case and the whole were fine, 1
 * on any miss, 2 on wrong options. The last line of stdout is `name: key=value ...`.
 */
export async function runCampaign(campaign: Campaign, args: readonly string[]): Promise<number> {
  const options = readOptions(campaign, args);
  if (typeof options === "string") {
    console.error(`${campaign.name}: ${options}`);
    return 2;
  }
  console.error(`${campaign.name}: seed ${options.seed}`);
  const tearDown = await campaign.setUp?.();
  try {
    const { misses, sums, ran } = await runCases(campaign, options);
    const line = campaign.line(sums, ran);
    const whole = campaign.miss?.(line);
    if (whole !== undefined) console.error(`${campaign.name}: ${whole}`);
    if (misses > 0) console.error(`${campaign.name}: ${misses} of ${ran} cases missed`);
    const pairs = Object.entries(line).map(([key, value]) => `${key}=${value}`);
    console.log(`${campaign.name}: ${pairs.join(" ")}`);
    return misses > 0 || whole !== undefined ? 1 : 0;
  } finally {
    await tearDown?.();
  }
}
