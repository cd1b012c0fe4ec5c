/** The ports of a live host that runs inside a namespace of a world, callable from a test. */
import { join } from "node:path";
import type { LiveOptions } from "../../agent/host/live.ts";
import type { Guard, Host, Kernel, KeyStore } from "../../agent/ports.ts";
import type { Space, World } from "./world.ts";

export type RemoteHost = {
  readonly pid: number;
  readonly backend: "kernel" | "userspace";
  readonly kernel: Kernel;
  readonly keys: KeyStore;
  readonly guard: Guard;
  readonly probe: Host["probe"];
  readonly close: () => Promise<void>;
};

/** Starts a host process in the namespace. Calls run one after the other. */
export async function remoteHost(world: World, space: Space, options: LiveOptions): Promise<RemoteHost> {
  const script = join(import.meta.dir, "remote-child.ts");
  const child = world.spawn(space, [process.execPath, script, JSON.stringify(options)]);
  const first = await child.out.next();
  if (first.value !== "ready") throw new Error(`host in ${space.name} did not start`);
  let last: Promise<unknown> = Promise.resolve();
  const call = (part: string, name: string, args: readonly unknown[]): Promise<unknown> => {
    const next = last.then(async () => {
      const text = JSON.stringify({ part, name, args }, (_key, value) =>
        value instanceof Uint8Array ? { hex: value.toHex() } : value,
      );
      child.write(`${text}\n`);
      const answer = await child.out.next();
      if (answer.done === true) throw new Error(`host in ${space.name} is gone`);
      const { value, failure } = JSON.parse(answer.value) as { value?: unknown; failure?: string };
      if (failure !== undefined) throw new Error(failure);
      return value;
    });
    last = next.catch(() => {});
    return next;
  };
  const proxy = (part: string): never =>
    new Proxy(
      {},
      {
        get:
          (_target, name) =>
          (...args: unknown[]) =>
            call(part, String(name), args),
      },
    ) as never;
  return {
    pid: child.pid,
    backend: (await call("host", "backend", [])) as "kernel" | "userspace",
    kernel: proxy("kernel"),
    keys: proxy("keys"),
    guard: proxy("guard"),
    probe: (probe, desired) => call("host", "probe", [probe, desired]) as ReturnType<Host["probe"]>,
    close: async () => {
      child.closeStdin();
      await child.exited;
    },
  };
}
