/**
 * `npm run soak -- --seed N --rounds M [--only k]`: random rounds on a real router in a namespace: pushes that are
 * confirmed, taken back or left alone, deaths of agent, guard and machine, other people's edits, a full disk, rivals.
 * Rounds come in episodes of six that start with an empty state folder; `--only k` replays episode k. After each
 * round the judge of soak-judge.ts says what must be in force.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { takeLock } from "../netns/lock.ts";
import { Miss, runCampaign } from "./campaign.ts";
import { choose } from "./soak-acts.ts";
import { openEpisode } from "./soak-episode.ts";
import { judge } from "./soak-judge.ts";
import { proveJudge } from "./soak-proof.ts";

const ROUNDS = 6;
const DISK = "32m";

/** A small file system for state folders, so that it can be filled. */
async function mountDisk(): Promise<{ readonly folder: string; readonly unmount: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-soak-"));
  const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", `size=${DISK},mode=0700`, "tmpfs", folder]);
  if (mounted.exitCode !== 0) throw new Error(`mount: ${mounted.stderr}`);
  const unmount = (): void => {
    Bun.spawnSync(["umount", "-l", folder]);
    rmSync(folder, { recursive: true, force: true });
  };
  return { folder, unmount };
}

let disk = "";

/** `--rounds M` as a number of episodes: what the frame of campaigns calls a case. */
function withCases(args: readonly string[]): readonly string[] {
  const at = args.indexOf("--rounds");
  const rounds = Number(args[at + 1]);
  if (at < 0 || !Number.isSafeInteger(rounds) || rounds < 1) return args;
  return args.with(at, "--cases").with(at + 1, String(Math.ceil(rounds / ROUNDS)));
}

const sums = { rounds: 0, lockouts: 0, mixes: 0, wrong_receipts: 0 };

process.exitCode = await runCampaign(
  {
    name: "soak",
    size: "rounds",
    cases: 5,
    setUp: async () => {
      const release = await takeLock(); // for all episodes, not for each
      const { folder, unmount } = await mountDisk();
      disk = folder;
      process.on("exit", unmount);
      return release;
    },
    one: async ({ index, random }) => {
      const episode = await openEpisode(disk, random);
      const told: string[] = [];
      try {
        for (let round = 0; round < ROUNDS; round += 1) {
          const [name, , act] = choose(random);
          const started = performance.now();
          told.push(name);
          await judge(episode, await act(episode));
          told[told.length - 1] = `${name} ${Math.round(performance.now() - started)} ms`;
          sums.rounds += 1;
        }
        if (index === 0) await proveJudge(episode);
        return {};
      } catch (failure) {
        if (failure instanceof Miss) for (const [key, n] of Object.entries(failure.counts)) sums[key as "mixes"] += n;
        const agent = episode.w.units.log("agent.log").split("\n").slice(-12).join("\n");
        throw new Error(`${told.join(", ")}: ${(failure as Error).stack}\n${agent}`);
      } finally {
        console.error(`soak: ${told.join(", ")}`);
        await episode.close();
      }
    },
    line: () => sums,
  },
  withCases(process.argv.slice(2)),
);
