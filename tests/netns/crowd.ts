/** A thousand live WireGuard clients in one process: real handshakes and real sessions, no devices. */
import { join } from "node:path";
import type { Space, World } from "./world.ts";

const CHILD = join(import.meta.dir, "crowd-child.ts");

export type Crowd = {
  /** Every client sends one keepalive through its session; resolves when all are sent. */
  beat(): Promise<void>;
  stop(): void;
};

export type CrowdOptions = {
  readonly host: string;
  readonly port: number;
  readonly serverKey: string; // base64
  readonly privateKeys: readonly string[]; // base64
};

/** Resolves when every client has a session; throws when one gets none. */
export async function startCrowd(world: World, space: Space, options: CrowdOptions): Promise<Crowd> {
  const child = world.spawn(space, [process.execPath, CHILD]);
  child.write(`${JSON.stringify(options)}\n`);
  const first = await child.out.next();
  if (first.value !== JSON.stringify({ live: options.privateKeys.length }))
    throw new Error(`the crowd in ${space.name} did not connect: ${first.value}`);
  return {
    beat: async () => {
      child.write("beat\n");
      await child.out.next();
    },
    stop: () => child.kill(),
  };
}
