/** Sites' routers in the world of tests: namespaces with names, which several sites use one after the other. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rulesetText } from "../../agent/core/nft-text.ts";
import {
  BELL,
  CALM,
  epochWord,
  GROUP,
  interfacesOf,
  outsideScript,
  QUIET,
  RULE_ONCE,
  routerScript,
  SETTINGS,
  wiresOf,
} from "../../client/replay/ground.ts";
import { forgetFlows, openTun, within } from "../../client/replay/libc.ts";
import { Ports } from "../../client/replay/ports.ts";
import type { NftTable } from "../../schemas/desired.ts";
import { type Space, World } from "../netns/world.ts";
import type { Site } from "./sites.ts";

/** Two namespaces, the router's and what is around it: several sites, one after the other, are built in them. */
export class Yard {
  readonly world: World;
  readonly router: Space;
  readonly outside: Space;

  private constructor(world: World, router: Space, outside: Space) {
    this.world = world;
    this.router = router;
    this.outside = outside;
  }

  /** Takes the lock of all worlds, until close(). */
  static async open(): Promise<Yard> {
    const world = await World.create({ name: "fuzz" });
    try {
      const [router, outside] = [await world.space("r"), await world.space("o")];
      const silent = "net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1";
      await world.must(outside, ["sysctl", "-qw", ...silent.split(" ")]);
      // Before the first device: what it has is copied from here.
      await world.must(router, ["sysctl", "-qw", ...SETTINGS]);
      await world.must(router, ["nft", "-f", "-"], { stdin: QUIET });
      await world.must(router, ["sh", "-ec", RULE_ONCE]);
      return new Yard(world, router, outside);
    } catch (error) {
      world.destroy();
      throw error;
    }
  }

  close(): void {
    this.world.destroy();
  }
}

export class Arena {
  readonly ports: Ports;
  readonly #yard: Yard;
  readonly #site: Site;
  readonly #folder: string;

  private constructor(yard: Yard, site: Site, ports: Ports, folder: string) {
    this.#yard = yard;
    this.#site = site;
    this.ports = ports;
    this.#folder = folder;
  }

  /** Builds the router, without its ruleset. A yard in which that fails is of no use any more. */
  static async open(yard: Yard, site: Site, folder: string): Promise<Arena> {
    const { world, router, outside } = yard;
    const devices = interfacesOf(site);
    const paths = { router: `/run/netns/${router.netns}`, outside: `/run/netns/${outside.netns}` };
    const tuns = within(
      paths.router,
      () => new Map(devices.filter((device) => device.tunnel).map(({ name }) => [name, openTun(name)])),
    );
    await world.must(router, ["sh", "-c", routerScript(site, outside.netns)]);
    await world.must(outside, ["sh", "-c", outsideScript(site)]);
    mkdirSync(folder, { recursive: true });
    return new Arena(yard, site, new Ports(paths.router, paths.outside, wiresOf(site), tuns, BELL), folder);
  }

  /** Loads a table as the router does: the whole text in one transaction, the epoch in the upper half of a mark. */
  async load(table: NftTable, epoch: number): Promise<void> {
    const file = join(this.#folder, `ruleset-${process.pid}.nft`);
    writeFileSync(file, rulesetText(table, "0x00000001"));
    const { world, router } = this.#yard;
    await world.must(router, ["nft", "-D", `HF_EPOCH=${epochWord(epoch)}`, "-f", file]);
    rmSync(file);
  }

  /** Packets that each named counter has counted; those that counted none are left out. */
  async counters(): Promise<ReadonlyMap<string, number>> {
    const { world, router } = this.#yard;
    const text = await world.must(router, ["nft", "list", "counters", "table", "inet", "holdfast"]);
    const found = [...text.matchAll(/counter (\w+) \{\s+packets (\d+)/g)];
    return new Map(found.map(([, name, packets]) => [name!, Number(packets)] as const).filter(([, n]) => n > 0));
  }

  /** Takes everything away again: devices and with them routes, rules, the table, and every flow. */
  async close(): Promise<void> {
    this.ports.close();
    const rules = this.#site.desired.rules.map(({ family, priority }) => `ip -${family} rule del priority ${priority}`);
    const script = [`ip link delete group ${GROUP}`, ...rules, "nft delete table inet holdfast", CALM].join("\n");
    await this.#yard.world.must(this.#yard.router, ["sh", "-ec", script]);
    within(`/run/netns/${this.#yard.router.netns}`, forgetFlows);
  }
}
