/** The router of one generation in two namespaces without names, its own and what is around it. */
import { rulesetText } from "../../agent/core/nft-text.ts";
import type { NftTable } from "../../schemas/desired.ts";
import {
  BELL,
  epochWord,
  type Ground,
  interfacesOf,
  outsideScript,
  QUIET,
  RULE_ONCE,
  routerScript,
  SETTINGS,
  wiresOf,
} from "./ground.ts";
import { closeFile, forgetFlows, newNamespace, openTun, within } from "./libc.ts";
import { Ports, type Sighting } from "./ports.ts";
import { must } from "./tools.ts";
import type { Shot } from "./wire.ts";

const SILENT = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"];

/** The only policy epoch that such a router sees. */
const EPOCH = 1;

type Space = { readonly fd: number; readonly path: string };

function space(): Space | undefined {
  const fd = newNamespace();
  return fd === undefined ? undefined : { fd, path: `/proc/${process.pid}/fd/${fd}` };
}

export class Yard {
  readonly #spaces: readonly [router: Space, outside: Space];
  readonly #ports: Ports;

  private constructor(spaces: readonly [Space, Space], ports: Ports) {
    this.#spaces = spaces;
    this.#ports = ports;
  }

  /** Builds the router and loads a table; undefined where this user may make no namespaces. */
  static open(ground: Ground, table: NftTable): Yard | undefined {
    const [router, outside] = [space(), space()];
    if (router === undefined || outside === undefined) return undefined;
    const at = (where: Space, argv: readonly string[], stdin = ""): string =>
      within(where.path, () => must(argv, stdin));
    at(outside, ["sysctl", "-qw", ...SILENT]);
    // Before the first device: what it has is copied from here.
    at(router, ["sysctl", "-qw", ...SETTINGS]);
    at(router, ["nft", "-f", "-"], QUIET);
    at(router, ["sh", "-ec", RULE_ONCE]);
    const tunnels = interfacesOf(ground).filter((device) => device.tunnel);
    const tuns = within(router.path, () => new Map(tunnels.map(({ name }) => [name, openTun(name)])));
    at(router, ["sh", "-c", routerScript(ground, outside.path)]);
    at(outside, ["sh", "-c", outsideScript(ground)]);
    const yard = new Yard([router, outside], new Ports(router.path, outside.path, wiresOf(ground), tuns, BELL));
    // The text is whole before nft starts, and no file of it can be left behind.
    at(router, ["nft", "-D", `HF_EPOCH=${epochWord(EPOCH)}`, "-f", "-"], rulesetText(table, "0x00000001"));
    return yard;
  }

  /** Puts a packet in and says what came out of it. */
  shoot(shot: Shot): readonly Sighting[] {
    return this.#ports.shoot(shot).filter((one) => one.packet.number === shot.number);
  }

  /** Conntrack knows no flow any more. */
  forget(): void {
    within(this.#spaces[0].path, forgetFlows);
  }

  close(): void {
    this.#ports.close();
    for (const { fd } of this.#spaces) closeFile(fd);
  }
}
