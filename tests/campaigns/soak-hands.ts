/** Rounds of the soak in which others work on the router too, or its disk is full. */
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { beginTrial, statusWhere, takeBack } from "../netns/trials.ts";
import type { Pushed } from "./soak-judge.ts";
import { ABORTED, type Act, another, confirmIt, rolledBack, tryAnother } from "./soak-trials.ts";

const table = (name: string): string =>
  `table inet ${name} { chain seen { type filter hook forward priority 10; policy accept; counter; }; }\n`;

/** Another program's table: it lives through whatever a push does. */
export const foreignTable: Act = async (episode) => {
  const { w, belief, random } = episode;
  const { begun, bundle } = await tryAnother(episode);
  const name = `other${random(1000)}`;
  await w.world.must(w.router, ["nft", "-f", "-"], { stdin: table(name) });
  if (!belief.foreign.includes(name)) belief.foreign.push(name);
  if (random(2) === 0) return [await confirmIt(episode, begun, bundle)];
  await takeBack(w, begun);
  return [rolledBack(begun, bundle, ABORTED)];
};

const WOUNDS: readonly string[] = [
  "nft delete table inet holdfast",
  "nft flush chain inet holdfast \"$(nft list chains inet | sed -n 's/.*chain \\(c_[a-z0-9_]*\\) .*/\\1/p' | sort | head -n 1)\"",
  "ip link del hf-home",
  "ip route del default",
  "sysctl -qw net.ipv4.ip_forward=0",
];

/** Somebody changes what is ours: it is reported, left alone, and put right by the next push. */
export const wound: Act = async (episode) => {
  const { w, random, bundles } = episode;
  await w.world.must(w.router, ["sh", "-c", WOUNDS[random(WOUNDS.length)]!]);
  await statusWhere(w, (status) => status.drift);
  const bundle = random(bundles.length);
  const begun = await beginTrial(w, bundles[bundle]!);
  return [await confirmIt(episode, begun, bundle)];
};

/** Fills the state folder's file system to the last byte. */
function fillDisk(file: string): void {
  const fd = openSync(file, "w");
  try {
    for (let size = 65_536; size >= 512; size = size / 2) {
      try {
        for (;;) writeSync(fd, new Uint8Array(size));
      } catch (failure) {
        if ((failure as NodeJS.ErrnoException).code !== "ENOSPC") throw failure;
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** A full disk refuses what is new and ends what was begun. */
export const fullDisk: Act = async (episode) => {
  const { w, bundles, random, filler } = episode;
  const inTrial = random(2) === 0;
  const pushed: Pushed[] = [];
  try {
    if (inTrial) {
      const { begun, bundle } = await tryAnother(episode);
      fillDisk(filler);
      pushed.push(await confirmIt(episode, begun, bundle));
    } else {
      const bundle = another(episode);
      const made = await w.session.directive(bundles[bundle]!);
      fillDisk(filler);
      const { code } = await w.session.submit(made.opened);
      if (code !== "agent.disk_full") throw new Error(`a full disk is told "${code}"`);
      pushed.push({ made, bundle, may: ["absent"], causes: [] });
    }
  } finally {
    rmSync(filler, { force: true });
  }
  return pushed;
};
