/** The router's kernel state as text that can be compared, seen from inside its namespace. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { normalObserved, scopeOf } from "../../agent/core/normal.ts";
import type { Observed } from "../../agent/ports.ts";
import type { Desired } from "../../schemas/desired.ts";
import { removeFolder, temporaryFolder } from "./folders.ts";
import { type RemoteHost, remoteHost } from "./remote.ts";
import { scripts } from "./router.ts";
import type { RouterUnits } from "./units.ts";

/** Everything that was seen at one moment, and the epoch that was in force. */
export type Snapshot = {
  readonly observed: Observed;
  readonly epoch: number;
  /** Links, addresses, routes, rules and foreign tables by their own tools, without indexes and lifetimes. */
  readonly raw: string;
};

/** The epoch in the listing; 0 without one. */
function epochIn(listing: string): number {
  const match = /set ct mark[^\n]*0x([0-9a-f]{1,4})[0-9a-f]{4}\b/.exec(listing);
  return match?.[1] === undefined ? 0 : Number.parseInt(match[1], 16);
}

/** Generations whose artifacts the router keeps: what it may own. */
function generations(units: RouterUnits): readonly Desired[] {
  const folder = join(units.state, "gen");
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((name) => join(folder, name, "desired.json"))
    .filter((path) => existsSync(path))
    .map((path) => JSON.parse(readFileSync(path, "utf8")) as Desired);
}

export class Observer {
  readonly #units: RouterUnits;
  readonly #host: RemoteHost;
  readonly #folder: string;

  private constructor(units: RouterUnits, host: RemoteHost, folder: string) {
    this.#units = units;
    this.#host = host;
    this.#folder = folder;
  }

  /** A second, reading host in the namespace, with folders of its own. */
  static async start(units: RouterUnits): Promise<Observer> {
    const folder = temporaryFolder("observer");
    const options = { state: join(folder, "state"), run: join(folder, "run"), lib: scripts };
    const host = await remoteHost(units.world, units.space, { ...options, backend: "userspace" });
    return new Observer(units, host, folder);
  }

  async #raw(): Promise<string> {
    const { world, space } = this.#units;
    const run = (argv: readonly string[]): Promise<string> => world.must(space, argv);
    const links = JSON.parse(await run(["ip", "-j", "link"])) as { ifname: string; mtu: number; operstate: string }[];
    const addresses = JSON.parse(await run(["ip", "-j", "addr"])) as {
      ifname: string;
      addr_info: { local: string; prefixlen: number; scope: string }[];
    }[];
    const tables = (await run(["nft", "-a", "list", "tables"])).replaceAll(/ #.*/g, "").split("\n").sort();
    return [
      ...links.map(({ ifname, mtu }) => `link ${ifname} ${mtu}`).sort(),
      ...addresses
        .flatMap(({ ifname, addr_info }) =>
          addr_info
            .filter((one) => one.scope === "global")
            .map((one) => `address ${ifname} ${one.local}/${one.prefixlen}`),
        )
        .sort(),
      ...(await Promise.all(
        ["-4", "-6"].flatMap((family) => [
          run(["ip", family, "-N", "rule", "show"]),
          run(["ip", family, "-N", "route", "show", "table", "all"]).then((text) =>
            text
              .split("\n")
              .filter((line) => !/ table 255 |fe80::|ff00::/.test(line))
              .map((line) => line.replace(/ expires \S+/, "").trim())
              .sort()
              .join("\n"),
          ),
        ]),
      )),
      ...tables,
    ].join("\n");
  }

  async snapshot(): Promise<Snapshot> {
    const { world, space } = this.#units;
    const names = JSON.parse(await world.must(space, ["ip", "-j", "link"])) as { ifname: string }[];
    const all = names.map((one) => one.ifname).filter((name) => name !== "lo");
    const owned = scopeOf(...generations(this.#units));
    const observed = await this.#host.kernel.observe({
      links: owned.links.filter((name) => all.includes(name)),
      addressInterfaces: all,
      sysctls: owned.sysctls,
    });
    return { observed, epoch: epochIn(observed.nft), raw: await this.#raw() };
  }

  /**
   * Both states through core/normal.ts, over everything that any kept generation owns, and as the system's tools
   * print them: equal texts, equal states. Sysctls that only a later generation names were not asked for before.
   */
  texts(before: Snapshot, after: Snapshot): readonly [string, string] {
    const scope = scopeOf(...generations(this.#units));
    const keys = new Set(before.observed.sysctls.map(({ key }) => key));
    const narrowed = { ...scope, sysctls: scope.sysctls.filter((key) => keys.has(key)) };
    const text = ({ observed, epoch, raw }: Snapshot): string =>
      `${normalObserved(observed, narrowed, epoch)}\n${raw}\n`;
    return [text(before), text(after)];
  }

  /** Ruleset generation id of the namespace: every nft transaction raises it. */
  async nftGeneration(): Promise<number> {
    return (await this.#host.kernel.observe({ links: [], addressInterfaces: [], sysctls: [] })).nftGeneration;
  }

  async close(): Promise<void> {
    await this.#host.close();
    removeFolder(this.#folder);
  }
}
