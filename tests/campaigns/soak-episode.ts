/**
 * One router's life in the soak: a world of its own with an empty state folder, the bundles that are pushed in turn,
 * the rescue lane from across the WAN, and what an operator believes to be in force.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { routerRescueAddress } from "../../agent/core/compile/rescue.ts";
import { laneConfig } from "../../agent/core/wg-text.ts";
import { wireGuardPrivateKey } from "../../client/keys.ts";
import type { Desired } from "../../schemas/desired.ts";
import { sha256, toBase64, toHex } from "../../schemas/digest.ts";
import { baseIntent, intentOf } from "../agent/bundles.ts";
import { crypto, receiptOf } from "../agent/operator.ts";
import { people } from "../agent/trials.ts";
import { type AgentWorld, agentWorld, Relay } from "../netns/agent-world.ts";
import { type RemoteHost, remoteHost } from "../netns/remote.ts";
import { scripts } from "../netns/router.ts";
import { type Bundle, beginTrial } from "../netns/trials.ts";
import { parseQuick, raiseTunnel } from "../netns/tunnel.ts";
import type { Random } from "./campaign.ts";

/** The window of every generation: the shortest that there is. */
export const WINDOW_S = 10;

/** What an operator believes: told by nobody but receipts and by what he did. */
export type Belief = {
  kept: number; // index of the bundle in force
  keptDirective: string; // digest, hex
  keptGeneration: bigint;
  burnt: bigint;
  log: number; // receipts so far
  foreign: string[]; // tables of others, sorted
};

export type Episode = {
  readonly w: AgentWorld;
  readonly host: RemoteHost; // a second, reading host in the router
  readonly random: Random;
  readonly bundles: readonly Bundle[];
  readonly desireds: Map<number, Desired>; // of the bundles that were pushed, by index
  readonly belief: Belief;
  readonly filler: string; // file that fills the disk of the state folder
  /** Asks over the rescue lane, with a handshake of its own; true when the router answers. */
  dialRescue(): Promise<boolean>;
  close(): Promise<void>;
};

const [router] = baseIntent.routers;

/** Generations that differ in rules, routes, clients and devices. */
function makeBundles(): readonly Bundle[] {
  const confirm = { window_s: WINDOW_S, cap_s: 60 };
  const route = { to: "10.77.0.0/16", via: "10.0.0.2", interface: "lan0" };
  const zones = baseIntent.zones!.map((zone) =>
    zone.id === "lan" ? { ...zone, subnets: ["10.0.0.0/24", "10.77.0.0/16"] } : zone,
  );
  const lab = {
    ...{ ...baseIntent.networks![0]!, id: "lab", port: 51999, endpoint: "vpn.example.net:51999" },
    subnets: ["10.98.0.0/24"],
  };
  const make = (clients: number, change: Parameters<typeof intentOf>[0], ...more: readonly string[]): Bundle => ({
    ...{ intent: intentOf({ confirm, ...change }), inventory: people(clients), networks: ["home", ...more] },
  });
  return [
    make(0, {}),
    make(2, {}),
    make(2, { policies: [] }),
    make(3, { zones, routers: [{ ...router!, routes: [route] }] }),
    make(1, { networks: [...baseIntent.networks!, lab] }, "lab"),
  ];
}

/** Raises the operator's end of the lane in the namespace across the WAN. */
async function raiseRescue(w: AgentWorld, desired: Desired): Promise<() => Promise<boolean>> {
  const networkId = w.site.root.message.network_id;
  const lane = crypto.boxKeys(sha256("lane", w.site.operator.sign.publicKey));
  const link = desired.links.find((one) => one.network === "rescue");
  if (link === undefined) throw new Error("a generation without the rescue lane");
  const conf = laneConfig({
    ...{ networkId, holder: "ann", laneKey: toBase64(lane.publicKey), privateKey: wireGuardPrivateKey(lane) },
    ...{ router: "r1", routerKey: link.publicKey, endpoint: "192.0.2.1", port: link.port },
  });
  await raiseTunnel(w.world, w.far, "rescue", conf);
  const relay = await Relay.start(w.world, w.far);
  const way = w.session.over(relay.to({ host: routerRescueAddress(networkId, "r1"), timeoutMs: 4000 }));
  const { setconf } = parseQuick(conf);
  return async () => {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      // The router may be another machine by now: a session from before would only be waited for.
      await w.world.must(w.far, ["wg", "set", "rescue", "peer", link.publicKey, "remove"]);
      await w.world.must(w.far, ["wg", "setconf", "rescue", "/dev/stdin"], { stdin: setconf });
      const status = await way.status().catch(() => undefined);
      if (status !== undefined) return true;
    }
    return false;
  };
}

/** A router that is enrolled and has kept the first bundle; `disk` is the folder of a small file system. */
export async function openEpisode(disk: string, random: Random): Promise<Episode> {
  const folder = mkdtempSync(join(disk, "episode-"));
  const w = await agentWorld("soak", { state: join(folder, "state") });
  const host = await remoteHost(w.world, w.router, {
    ...{ state: join(w.units.folder, "reader-state"), run: join(w.units.folder, "reader-run"), lib: scripts },
    backend: "userspace",
  });
  const bundles = makeBundles();
  const first = await beginTrial(w, bundles[0]!);
  const receipt = receiptOf((await w.session.confirm(first.opened, first.nonce)).receipt);
  if (receipt.outcome !== "confirmed") throw new Error(`the first generation is ${receipt.outcome}`);
  const dialRescue = await raiseRescue(w, first.desired);
  return {
    ...{ w, host, random, bundles, dialRescue },
    desireds: new Map([[0, first.desired]]),
    belief: {
      ...{ kept: 0, keptDirective: toHex(first.opened.digest), keptGeneration: 1n, burnt: 1n },
      ...{ log: w.units.receipts().length, foreign: [] },
    },
    filler: join(disk, "filler"),
    close: async () => {
      await host.close();
      w.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
