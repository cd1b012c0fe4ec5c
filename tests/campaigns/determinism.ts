/**
 * `npm run determinism -- --seed N --builds M [--only k]`: one site, written in M orders, read from YAML and from the
 * decoded blobs, here and in processes with other time zones and locales. There is one digest, or the promise that
 * what was signed is what runs (P2) is empty.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isMap, isScalar, isSeq, type Node, parseDocument } from "yaml";
import { withoutSecondColon } from "../../client/site/contracts.ts";
import { type Random, runCampaign } from "./campaign.ts";
import { fromFiles, fromWire, type Turn } from "./determinism-build.ts";

const EXAMPLE = join(import.meta.dir, "../../docs/examples/homelab");
const BUILD = join(import.meta.dir, "determinism-build.ts");
/** Every so many builds run in a process of their own. */
const CHILD_EVERY = 5;

/** The order of these lists is part of what they say: servers are asked in it. */
const ORDERED = new Set(["dns"]);

/** Settings that sorting, dates and number formats have been known to follow. */
const ENVIRONMENTS: readonly Readonly<Record<string, string>>[] = [
  { TZ: "UTC", LANG: "C" },
  { TZ: "Pacific/Kiritimati", LANG: "tr_TR.UTF-8", LC_ALL: "tr_TR.UTF-8" },
  { TZ: "America/St_Johns", LANG: "sv_SE.UTF-8", LC_ALL: "sv_SE.UTF-8" },
  { TZ: "Asia/Kathmandu", LANG: "ar_EG.UTF-8", LC_ALL: "ar_EG.UTF-8" },
  { TZ: "Europe/Berlin", LANG: "de_DE.UTF-8", LC_ALL: "de_DE.UTF-8" },
];

/** Fisher and Yates, with the campaign's numbers. */
const turner =
  (random: Random): Turn =>
  (list) => {
    const turned = [...list];
    for (let i = turned.length - 1; i > 0; i -= 1) {
      const j = random(i + 1);
      [turned[i], turned[j]] = [turned[j]!, turned[i]!];
    }
    return turned;
  };

/** Puts every list and every map of a document into another order. */
function shuffle(node: unknown, turn: Turn, ordered = false): void {
  if (isSeq(node)) {
    for (const item of node.items) shuffle(item, turn);
    if (!ordered) node.items = [...turn(node.items)];
  }
  if (!isMap(node)) return;
  for (const pair of node.items) shuffle(pair.value, turn, isScalar(pair.key) && ORDERED.has(String(pair.key.value)));
  node.items = [...turn(node.items)];
}

/** The example in another order, in a folder of its own. */
function shuffledSite(turn: Turn): string {
  const folder = mkdtempSync(join(tmpdir(), "determinism-"));
  cpSync(EXAMPLE, folder, { recursive: true });
  for (const name of ["intent.yaml", "inventory.yaml"]) {
    const document = parseDocument(withoutSecondColon(readFileSync(join(folder, name), "utf8")));
    shuffle(document.contents as Node, turn);
    writeFileSync(join(folder, name), document.toString());
  }
  return folder;
}

/** Both digests of a process with another environment. */
function inChild(folder: string, random: Random): readonly string[] {
  const env = { ...process.env, ...ENVIRONMENTS[random(ENVIRONMENTS.length)] };
  const child = Bun.spawnSync([process.execPath, BUILD, folder], { env, stdin: "ignore" });
  if (child.exitCode !== 0)
    throw new Error(`a build in a process of its own ended with ${child.exitCode}: ${child.stderr}`);
  return child.stdout.toString().trim().split("\n");
}

const asIs: Turn = (list) => list;

export async function main(args: readonly string[]): Promise<number> {
  const first = fromFiles(EXAMPLE, asIs);
  const digests = new Set([first]);
  return runCampaign(
    {
      name: "determinism",
      size: "builds",
      cases: 100,
      one: ({ index, random }) => {
        const turn = turner(random);
        const folder = shuffledSite(turn);
        try {
          const found =
            index % CHILD_EVERY === 0
              ? inChild(folder, random)
              : [index % 2 === 0 ? fromFiles(folder, turn) : fromWire(folder, turn)];
          for (const digest of found) digests.add(digest);
          if (found.some((digest) => digest !== first)) throw new Error(`${found.join(" and ")}, not ${first}`);
          return {};
        } finally {
          rmSync(folder, { recursive: true });
        }
      },
      line: (_, builds) => ({ builds, digests: digests.size }),
      miss: ({ digests: found }) => (found === 1 ? undefined : `${found} digests of one site`),
    },
    args,
  );
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
