/** A router with the real agent, guard and kernel, an operator in its LAN and one across the WAN. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { enrolRouter, makeSite, type Router, type Send, Session, type Site, tokenText } from "../agent/operator.ts";
import { RouterUnits } from "./units.ts";
import { type Child, type Space, World } from "./world.ts";

const main = join(import.meta.dir, "../../agent/main.ts");

export type Way = {
  readonly host?: string;
  readonly port?: number;
  readonly unix?: string;
  readonly connection?: string; // equal names share a connection; absent: a new one for each request
  readonly timeoutMs?: number;
};

/** Sends boxes from inside a namespace. */
export class Relay {
  readonly #child: Child;
  readonly #waiting = new Map<number, (answer: { status: number; bytes: Uint8Array; failure: string }) => void>();
  #serial = 0;

  private constructor(child: Child) {
    this.#child = child;
  }

  static async start(world: World, space: Space): Promise<Relay> {
    const child = world.spawn(space, [process.execPath, join(import.meta.dir, "agent-relay.ts")]);
    const first = await child.out.next();
    if (first.value !== "ready") throw new Error(`no relay in ${space.name}`);
    const relay = new Relay(child);
    void relay.#read();
    return relay;
  }

  async #read(): Promise<void> {
    for (;;) {
      const line = await this.#child.out.next();
      if (line.done === true) return;
      const { id, status, hex, failure } = JSON.parse(line.value) as {
        id: number;
        status: number;
        hex: string;
        failure: string;
      };
      this.#waiting.get(id)?.({ status, bytes: Uint8Array.fromHex(hex), failure });
      this.#waiting.delete(id);
    }
  }

  /** A transport to one place. No answer is status 0. */
  to(way: Way): Send {
    return (box) =>
      new Promise((resolve) => {
        this.#serial += 1;
        this.#waiting.set(this.#serial, resolve);
        const { host = "", port = 8022, unix = "", connection = "", timeoutMs = 15_000 } = way;
        const order = { id: this.#serial, host, port, unix, connection, hex: box.toHex(), timeoutMs };
        this.#child.write(`${JSON.stringify(order)}\n`);
      });
  }
}

export type AgentWorld = {
  readonly world: World;
  readonly router: Space;
  readonly lan: Space;
  readonly far: Space;
  readonly units: RouterUnits;
  readonly fromLan: Relay;
  readonly local: Relay; // on the router itself
  readonly site: Site;
  readonly keys: Router;
  /** The operator at the management address. */
  readonly session: Session;
  close(): void;
};

export type AgentWorldOptions = {
  readonly site?: Site; // of a solo network when absent
  readonly state?: string; // state folder, which must not exist yet
  readonly program?: readonly string[]; // the agent; its sources when absent
};

/** Boots, enrols over the LAN, and waits until the management address answers. */
export async function agentWorld(name: string, options: AgentWorldOptions = {}): Promise<AgentWorld> {
  const site = options.site ?? makeSite();
  const world = await World.create({ name });
  const [router, lan, far] = [await world.space("r"), await world.space("l"), await world.space("u")];
  await world.link(router, "wan0", far, "eth0");
  await world.link(router, "lan0", lan, "eth0");
  await world.address(far, "eth0", "192.0.2.2/24");
  await world.address(lan, "eth0", "10.0.0.2/24");
  // What is there before any generation: the address that the operator reaches the new router by.
  await world.address(router, "lan0", "10.0.0.1/24");
  await world.address(router, "wan0", "192.0.2.1/24");
  const units = new RouterUnits(world, router, options.program ?? [process.execPath, main], options.state);
  writeFileSync(join(units.folder, "r1.token"), tokenText(site.token), { mode: 0o600 });
  await units.install();
  await units.agentCommand("enrol", join(units.folder, "r1.token"));
  await units.powerUp();
  const [fromLan, local] = [await Relay.start(world, lan), await Relay.start(world, router)];
  const send = fromLan.to({ host: "10.0.0.1" });
  const keys = await enrolRouter(site, send);
  return {
    ...{ world, router, lan, far, units, fromLan, local, site, keys },
    session: new Session(site, keys, send),
    close() {
      world.destroy();
      units.remove();
    },
  };
}
