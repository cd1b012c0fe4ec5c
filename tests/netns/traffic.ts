/** Traffic with sequence numbers between namespaces, and packet counts before and after a policy. */
import { join } from "node:path";
import type { Space, World } from "./world.ts";

const CHILD = join(import.meta.dir, "traffic-child.ts");

export type SenderReport = {
  readonly sent: number;
  readonly received: number; // distinct sequence numbers that came back
  readonly duplicates: number;
  readonly errors: number; // refused by the local stack
  readonly longestGapMs: number; // between two answers, ends included
  readonly seconds: number;
  readonly firstLost: readonly number[]; // at most fifty sequence numbers
};

/** An echo server; resolves when it listens. */
export async function startEcho(
  world: World,
  space: Space,
  options: { readonly protocol: "udp" | "tcp"; readonly host: string; readonly port: number },
): Promise<{ readonly stop: () => void }> {
  const argv = [process.execPath, CHILD, "echo", options.protocol, options.host, String(options.port)];
  const child = world.spawn(space, argv);
  const first = await child.out.next();
  if (first.value !== '{"ready":true}') throw new Error(`echo server in ${space.name} did not start`);
  return { stop: () => child.kill() };
}

/** A UDP sender at `rate` packets a second (1,000 to 5,000 is sound); stop() reports. */
export async function startSender(
  world: World,
  space: Space,
  options: {
    readonly host: string;
    readonly port: number;
    readonly rate: number;
    readonly size?: number; // payload bytes, 64 when absent
    readonly bindPort?: number;
  },
): Promise<{ readonly port: number; readonly stop: () => Promise<SenderReport> }> {
  const numbers = [options.port, options.rate, options.size ?? 64, options.bindPort ?? 0].map(String);
  const child = world.spawn(space, [process.execPath, CHILD, "send", options.host, ...numbers]);
  const first = JSON.parse((await child.out.next()).value ?? "{}") as { ready?: boolean; port?: number };
  if (first.ready !== true) throw new Error(`sender in ${space.name} did not start`);
  return {
    port: first.port ?? 0,
    stop: async () => {
      child.closeStdin();
      return JSON.parse((await child.out.next()).value ?? "null") as SenderReport;
    },
  };
}

export type PolicyCounts = { readonly before: number; readonly input: number; readonly forwarded: number };

/**
 * Counts the packets that match (nft text, for instance `udp dport 7`) as they enter the namespace, and as they
 * leave its policy, in a table of its own. Packets lost on the wire before it do not count against the policy.
 */
export async function countPolicy(world: World, space: Space, match: string): Promise<() => Promise<PolicyCounts>> {
  const chain = (name: string, hook: string, priority: number): string =>
    `chain ${name} { type filter hook ${hook} priority ${priority}; policy accept; ${match} counter name ${name}; }`;
  const text = `table inet hft_watch
delete table inet hft_watch
table inet hft_watch {
counter before { }
counter input { }
counter forwarded { }
${chain("before", "prerouting", -450)}
${chain("input", "input", 450)}
${chain("forwarded", "postrouting", 450)}
}
`;
  await world.must(space, ["nft", "-f", "-"], { stdin: text });
  return async () => {
    const listing = JSON.parse(
      await world.must(space, ["nft", "-j", "list", "counters", "table", "inet", "hft_watch"]),
    );
    const found = new Map<string, number>();
    for (const item of (listing as { nftables: { counter?: { name: string; packets: number } }[] }).nftables)
      if (item.counter !== undefined) found.set(item.counter.name, item.counter.packets);
    return {
      before: found.get("before") ?? 0,
      input: found.get("input") ?? 0,
      forwarded: found.get("forwarded") ?? 0,
    };
  };
}
