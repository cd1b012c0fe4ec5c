/**
 * A router's kernel, guard and clock in memory, under the real agent: steps change a model that is read back, a restore
 * asserts what record and token name, as the scripts do. Rulesets are checked and listed by the real nft. It outlives
 * agent processes, and it can be booted anew.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Uplink } from "../../agent/core/health-uplinks.ts";
import { addressLine, routeKey, routeLine, ruleLine } from "../../agent/core/lines.ts";
import type { Observed, ObservedLink, ObservedPeer } from "../../agent/core/observed.ts";
import type { OutsideSeen } from "../../agent/core/outside.ts";
import type { Step } from "../../agent/core/step.ts";
import { openStore } from "../../agent/host/store.ts";
import type { Path } from "../../agent/paths.ts";
import type { Clock, Guard, Host, Kernel, RestoreResult } from "../../agent/ports.ts";
import type { Desired } from "../../schemas/desired.ts";
import { done } from "../../schemas/problem.ts";
import { type Desk, enrolledDesk, nobodyElse } from "./desk.ts";
import { makeSite, randomBytes, type Send, type Session, type Site } from "./operator.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Model = Mutable<Omit<Observed, "links">> & { links: Mutable<ObservedLink>[] };

const bare = (): Model => ({
  ...{ links: [], addresses: [], routes: [], rules: [], sysctls: [], nft: "", nftGeneration: 1 },
});

const seen = { endpoint: "", handshakeUnixS: 0, rxBytes: 0, txBytes: 0 };
const byKey = (a: ObservedPeer, b: ObservedPeer): number => (a.publicKey < b.publicKey ? -1 : 1);

/** The model in which a generation holds. */
const holding = (desired: Desired, nft: string, nftGeneration: number): Model => ({
  links: desired.links.map(({ network: _, ...link }) => ({
    ...link,
    up: true,
    peers: link.peers.map((peer) => ({ ...peer, ...seen })),
  })),
  ...{ addresses: desired.addresses, routes: desired.routes, rules: desired.rules, sysctls: desired.sysctls },
  ...{ nft, nftGeneration },
});

/** One act, as the kernel would take it: a prefix given to one peer is taken from the other. */
function act(model: Model, step: Step, listing: string): void {
  const link = "name" in step ? model.links.find((one) => one.name === step.name) : undefined;
  switch (step.kind) {
    case "sysctl.set": {
      const rest = model.sysctls.filter((one) => one.key !== step.key);
      model.sysctls = step.value === "" ? rest : [...rest, { key: step.key, value: step.value }];
      return;
    }
    case "link.add":
      model.links.push({
        ...{ name: step.name, up: false, mtu: step.mtu, port: 0, fwmark: 0 },
        publicKey: "",
        peers: [],
      });
      return;
    case "link.remove":
      model.links = model.links.filter((one) => one !== link);
      return;
    case "address.add":
      model.addresses = [...model.addresses, step.address];
      return;
    case "address.remove":
      model.addresses = model.addresses.filter((one) => addressLine(one) !== addressLine(step.address));
      return;
    case "route.add":
      model.routes = [...model.routes.filter((one) => routeKey(one) !== routeKey(step.route)), step.route];
      return;
    case "route.remove":
      model.routes = model.routes.filter((one) => routeLine(one) !== routeLine(step.route));
      return;
    case "rule.add":
      model.rules = [...model.rules, step.rule];
      return;
    case "rule.remove":
      model.rules = model.rules.filter((one) => ruleLine(one) !== ruleLine(step.rule));
      return;
    case "nft.load":
      model.nft = listing;
      model.nftGeneration += 1;
      return;
  }
  if (link === undefined) throw new Error(`no device ${step.name}`);
  if (step.kind === "link.mtu") link.mtu = step.mtu;
  else if (step.kind === "link.up") link.up = true;
  else if (step.kind === "wg.remove") {
    link.peers = link.peers.filter((peer) => !step.publicKeys.includes(peer.publicKey));
  } else if (step.kind === "wg.device") {
    link.publicKey = step.publicKey ?? link.publicKey;
    link.port = step.port ?? link.port;
    link.fwmark = step.fwmark ?? link.fwmark;
  } else {
    for (const write of step.peers) {
      const old = link.peers.find((peer) => peer.publicKey === write.publicKey);
      const allowedIps = write.allowedIps ?? old?.allowedIps ?? [];
      const peer = { ...seen, publicKey: write.publicKey, psk: write.psk ?? old?.psk ?? "", allowedIps };
      const others = link.peers
        .filter((one) => one !== old)
        .map((one) => ({ ...one, allowedIps: one.allowedIps.filter((prefix) => !allowedIps.includes(prefix)) }));
      link.peers = [...others, { ...peer, keepaliveS: write.keepaliveS ?? old?.keepaliveS ?? 0 }].sort(byKey);
    }
  }
}

export class Machine {
  readonly folder: string;
  kernel: Model = bare();
  /** Whether a probe passes now; asked with the name of the probe. */
  passes: (id: string) => boolean = () => true;
  uplinks: readonly Uplink[] = [];
  /** What other programs did. */
  others: OutsideSeen = nobodyElse;
  /** Called before the counters of the lanes are read, as for every receipt. */
  beforeCounters: () => Promise<void> = async () => {};
  #boot = randomBytes(16);
  #startMs = 0;
  #armed: string | undefined;
  #result: RestoreResult | undefined;
  #listing = "";
  readonly #live: Host;

  constructor(folder: string, live: Host) {
    this.folder = folder;
    this.#live = live;
  }

  /** What an agent process of this machine is given in place of the real one. */
  host(): Partial<Host> {
    return {
      ...{ clock: this.#clock(), kernel: this.#kernel(), guard: this.#guard() },
      probe: async ({ id }) => ({ id, passed: this.passes(id), detail: "" }),
      uplinks: async () => this.uplinks,
      outside: { look: async () => this.others, nftGeneration: () => this.kernel.nftGeneration },
    };
  }

  /** Time goes on. */
  pass(seconds: number): void {
    this.#startMs -= seconds * 1000;
  }

  /** Power goes and comes: the run folder is empty, the clock starts anew, and the scripts load what is kept. */
  async reboot(): Promise<void> {
    this.kernel = bare();
    this.#boot = randomBytes(16);
    this.#startMs = this.#live.clock.bootMs();
    this.#armed = undefined;
    for (const name of ["beacons", "restore.result"]) rmSync(join(this.folder, "run", name), { force: true });
    await this.#restore("boot", "boot.start", "-");
  }

  #clock(): Clock {
    const bootMs = (): number => this.#live.clock.bootMs() - this.#startMs;
    return {
      bootMs,
      unixS: this.#live.clock.unixS,
      bootId: () => this.#boot,
      at(dueMs, run) {
        const timer = setInterval(() => {
          if (bootMs() < dueMs) return;
          clearInterval(timer);
          run();
        }, 20);
        return () => clearInterval(timer);
      },
    };
  }

  #kernel(): Kernel {
    const { kernel } = this.#live;
    return {
      ...kernel,
      observe: async (scope) => {
        const { links, addresses, sysctls } = this.kernel;
        return structuredClone({
          ...this.kernel,
          links: links.filter((one) => scope.links.includes(one.name)),
          addresses: addresses.filter((one) => scope.addressInterfaces.includes(one.interface)),
          sysctls: sysctls.filter((one) => scope.sysctls.includes(one.key)),
        });
      },
      rehearseNft: async (file, epoch) => {
        const result = await kernel.rehearseNft(file, epoch);
        // Of a walk's rehearsals the last one is of the ruleset that is loaded next.
        if (result.ok) this.#listing = result.value.listing;
        return result;
      },
      portFree: async () => true,
      perform: async (_owner, _token, step) => {
        act(this.kernel, step, this.#listing);
        return done(undefined);
      },
      counters: async () => {
        await this.beforeCounters();
        return [];
      },
    };
  }

  #guard(): Guard {
    return {
      alive: async () => true,
      heartbeat: async () => {},
      own: async () => "owner",
      arm: async ({ token }) => {
        this.#armed = token;
      },
      disarm: async (token) => {
        if (this.#armed === token) this.#armed = undefined;
      },
      armed: async () => this.#armed,
      restore: (cause, token) => this.#restore("agent", cause, token),
      lastResult: async () => this.#result,
    };
  }

  async #restore(by: string, cause: string, token: string): Promise<RestoreResult> {
    const store = openStore({ state: join(this.folder, "state"), run: join(this.folder, "run") });
    const { lkg, lkgEpoch, trial } = store.record();
    const kept = trial !== null && store.decision(trial.token) === "confirmed" ? trial : lkg;
    const file = kept === null ? undefined : store.rulesetFile(kept);
    const desired = kept === null ? undefined : store.readGeneration(kept);
    const rehearse = async (one: number) =>
      file === undefined ? undefined : await this.#live.kernel.rehearseNft(file, one);
    // What is loaded already keeps its epoch; anything else gets one that was never in force.
    const keptEpoch = kept === trial ? (trial?.epoch ?? 0) : lkgEpoch;
    const loaded = await rehearse(keptEpoch);
    const same = loaded?.ok === true && loaded.value.listing === this.kernel.nft;
    const epoch = same ? keptEpoch : Math.max(lkgEpoch, trial?.epoch ?? 0) + 1;
    const listing = same ? loaded : await rehearse(epoch);
    const good = desired !== undefined && listing?.ok === true;
    this.kernel = good ? holding(desired, listing.value.listing, this.kernel.nftGeneration + 1) : bare();
    this.#result = {
      outcome: good ? "restored" : "rescue",
      ...{ by, cause, token, epoch: good ? epoch : 0, lkg: kept?.desired ?? "-", atBootMs: 0, detail: "" },
    };
    return this.#result;
  }
}

/** A path over that lane from a fresh connection; `remote` is the address inside the tunnel, if any. */
let port = 20_000;
export function freshPath(lane: string, remote = "10.0.0.9"): Path {
  port += 1;
  return { lane, local: "10.0.0.1 8022", remote, port };
}

/** Requests that reach the agent over that path. */
export function over(desk: Desk, path: Path): Send {
  return async (box) => {
    const bytes = await desk.requests.handle(box, path);
    return bytes === undefined ? { status: 403, bytes: new Uint8Array() } : { status: 200, bytes };
  };
}

export type Place = {
  desk: Desk;
  readonly machine: Machine;
  readonly site: Site;
  session: Session;
  /** A new agent process over the same folders and the same kernel. */
  restart(): Promise<void>;
  close(): void;
};

/** An enrolled agent on a machine of its own. */
export async function newPlace(site: Site = makeSite()): Promise<Place> {
  const first = await enrolledDesk({}, site);
  const machine = new Machine(first.desk.folder, first.desk.parts.host);
  const desk = await first.desk.again(machine.host());
  const place: Place = {
    desk,
    machine,
    site: first.site,
    session: first.session.over(desk.send),
    async restart() {
      place.desk = await place.desk.again(machine.host());
      place.session = place.session.over(place.desk.send);
    },
    close: () => place.desk.close(),
  };
  return place;
}
