/** Who reaches whom, asked with real packets: single questions, a watch over time, and flows that are all new. */
import { join } from "node:path";
import type { Space, World } from "./world.ts";

const CHILD = join(import.meta.dir, "reach-child.ts");

/** "open": answered; "closed": refused, so packets pass both ways; "silent": nothing came back. */
export type Reach = { readonly state: "open" | "closed" | "silent"; readonly text: string };

/**
 * A server for `ask` on TCP and UDP: it tells the asker from which address it is seen. It listens on addresses and not
 * on all of them, since a UDP answer from a host with several would leave from any.
 */
export async function startServer(
  world: World,
  space: Space,
  hosts: readonly string[],
  ports: readonly number[],
): Promise<{ readonly stop: () => void }> {
  const child = world.spawn(space, [process.execPath, CHILD, "serve", hosts.join(","), ports.join(",")]);
  const first = await child.out.next();
  if (first.value !== '{"ready":true}') throw new Error(`server in ${space.name} did not start`);
  return { stop: () => child.kill() };
}

export type Question = {
  readonly protocol: "tcp" | "udp";
  readonly host: string;
  readonly port: number;
  readonly bindPort?: number;
};

/** Asks everything at once, from fresh ports; answers are in the order of the questions. */
export async function askAll(
  world: World,
  space: Space,
  questions: readonly Question[],
  timeoutMs = 1000,
): Promise<readonly Reach[]> {
  const argv = [process.execPath, CHILD, "ask", String(timeoutMs), JSON.stringify(questions)];
  return JSON.parse(await world.must(space, argv)) as readonly Reach[];
}

/** One question; `text` is the asker's address as the server sees it. */
export async function ask(
  world: World,
  space: Space,
  protocol: "tcp" | "udp",
  host: string,
  port: number,
  timeoutMs?: number,
): Promise<Reach> {
  const [reach] = await askAll(world, space, [{ protocol, host, port }], timeoutMs);
  return reach!;
}

export type Sighting = { readonly state: Reach["state"]; readonly atBootMs: number };

/** Watches one TCP port over time. The clock is the boot clock, as in receipts. */
export class Watch {
  readonly sightings: Sighting[] = [];
  readonly #stop: () => void;
  #wake: (() => void)[] = [];

  constructor(world: World, space: Space, host: string, port: number) {
    const child = world.spawn(space, [process.execPath, CHILD, "watch", host, String(port)]);
    this.#stop = () => child.kill();
    void this.#read(child.out);
  }

  async #read(out: AsyncIterator<string>): Promise<void> {
    for (let line = await out.next(); line.done !== true; line = await out.next()) {
      this.sightings.push(JSON.parse(line.value) as Sighting);
      for (const wake of this.#wake.splice(0)) wake();
    }
  }

  /** The first sighting that fits, from the `from`-th on; waits for it, and throws when it does not come in time. */
  async until(fits: (one: Sighting) => boolean, timeoutMs: number, from = 0): Promise<Sighting> {
    const limit = performance.now() + timeoutMs;
    for (;;) {
      const found = this.sightings.slice(from).find(fits);
      if (found !== undefined) return found;
      const left = limit - performance.now();
      if (left <= 0) throw new Error(`not seen within ${timeoutMs} ms: ${JSON.stringify(this.sightings)}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake.push(resolve);
      const timer = setTimeout(resolve, left);
      await promise;
      clearTimeout(timer);
    }
  }

  stop(): void {
    this.#stop();
  }
}

/** UDP packets that each open a flow, from ports first to last in turn; stop() tells how many were answered. */
export async function startFlows(
  world: World,
  space: Space,
  options: {
    readonly host: string;
    readonly port: number;
    readonly rate: number;
    readonly first: number;
    readonly last: number;
  },
): Promise<{ readonly stop: () => Promise<{ readonly sent: number; readonly answered: number }> }> {
  const words = [options.host, options.port, options.rate, options.first, options.last].map(String);
  const child = world.spawn(space, [process.execPath, CHILD, "flows", ...words]);
  const first = await child.out.next();
  if (first.value !== '{"ready":true}') throw new Error(`flows in ${space.name} did not start`);
  return {
    stop: async () => {
      child.closeStdin();
      return JSON.parse((await child.out.next()).value ?? "null") as { sent: number; answered: number };
    },
  };
}
