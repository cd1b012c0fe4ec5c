/** A router of the restore tests: a good generation that was restored once, a trial beside it, one shell. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readPairs } from "../../agent/host/files.ts";
import {
  type Artifacts,
  makeKey,
  makePsk,
  makeRouter,
  picture,
  type Router,
  ruleset,
  type ShellName,
  type Stored,
  someKey,
  storeArtifacts,
  storeRecord,
} from "./router.ts";
import { type Output, type Space, World } from "./world.ts";

export const RP_FILTER = "net.ipv4.conf.eth0.rp_filter";
/** The devices whose whole state a picture holds. */
export const DEVICES = ["hf-rescue", "wg0"];

export type Rig = {
  readonly world: World;
  readonly space: Space;
  readonly router: Router;
  readonly good: Stored;
  readonly trial: Stored;
  readonly wanted: string; // the picture of the good generation
  close(): void;
};

export async function restore(router: Router, by = "agent", token = "-"): Promise<Output> {
  const argv = ["--state", router.state, "--run", router.run, "--by", by, "--cause", "test", "--token", token];
  const words = [join(router.lib, "holdfast-restore"), ...argv, "--backend", "userspace"];
  return router.world.exec(router.space, words, { env: { PATH: router.path }, timeoutMs: 60_000 });
}

/** What the last restore said of itself. */
export const result = (router: Router): Map<string, string> =>
  readPairs(readFileSync(join(router.run, "restore.result"), "utf8"));

/** Waits until the last restore said what fits. */
export async function untilResult(router: Router, fits: (found: Map<string, string>) => boolean): Promise<void> {
  const limit = performance.now() + 60_000;
  while (!fits(result(router))) {
    if (performance.now() > limit) throw new Error(JSON.stringify([...result(router)]));
    await Bun.sleep(50);
  }
}

export const restoreErrors = (router: Router): string => readFileSync(join(router.run, "restore.work/errors"), "utf8");

async function uplink(world: World): Promise<Space> {
  const space = await world.space("r");
  const up = await world.space("u");
  await world.link(space, "eth0", up, "eth0");
  await world.address(space, "eth0", "192.0.2.1/24", "2001:db8::1/64");
  await world.must(space, ["sysctl", "-qw", `${RP_FILTER}=0`]);
  return space;
}

export async function openRig(shell: ShellName): Promise<Rig> {
  const world = await World.create({ name: shell === "dash" ? "dash" : "busybox" });
  const space = await uplink(world);
  const router = makeRouter(world, space, shell);
  const [key0, key1, key2] = [await makeKey(router), await makeKey(router), await makeKey(router)];
  const psk = makePsk(router, 7);
  const lkg: Artifacts = {
    ruleset: ruleset({ ports: [51819, 51820] }),
    sysctls: [`${RP_FILTER} 2`],
    links: [`hf-rescue rescue 51819 1420 0x0 ${key1}`, `wg0 home 51820 1400 0x10 ${key0}`],
    peers: [
      `hf-rescue ${someKey(1)} - 0 fd00:1::2/128`,
      `wg0 ${someKey(2)} ${psk} 25 10.0.0.2/32,fd00::2/128`,
      `wg0 ${someKey(3)} - 0 -`,
    ],
    addresses: ["eth0 192.0.2.7/24", "wg0 10.0.0.1/24", "wg0 fd00::1/64"],
    routes: [
      "4 0.0.0.0/0 192.0.2.254 eth0 100 0",
      "4 10.9.0.0/16 - wg0 254 50",
      "6 ::/0 2001:db8::fe eth0 100 0",
      "6 fd09::/64 - wg0 254 0",
    ],
    rules: ["4 1000 192.0.2.1/32 - 100", "6 1000 - 0x10/0xff 100"],
  };
  const good = storeArtifacts(router, lkg);
  const trial = storeArtifacts(router, {
    ruleset: ruleset({ ports: [51819, 51820, 51821], extra: "new" }),
    links: [...(lkg.links ?? []), `wg1 lab 51821 1420 0x0 ${key2}`],
    addresses: [...(lkg.addresses ?? []), "wg1 10.1.0.1/24"],
  });
  storeRecord(router, "a", { counter: 1, lkg: good, lkgEpoch: 3 });
  const out = await restore(router);
  const said = out.stderr + restoreErrors(router);
  if (!said.includes("restored")) throw new Error(`the first restore failed: ${said}`);
  const wanted = await picture(router, DEVICES);
  const close = (): void => {
    world.destroy();
    router.remove();
  };
  return { world, space, router, good, trial, wanted, close };
}
