/**
 * Loss between hosts, counted by the kernels along the way and not by programs that may be late: what left one host,
 * entered and left the router's policy, and arrived at another, in both directions.
 */
import { countPolicy } from "./traffic.ts";
import type { Space, World } from "./world.ts";

export type EndCounts = {
  readonly sent: number; // by all ends
  readonly arrived: number; // at all ends
  readonly entered: number; // the router
  readonly left: number; // its policy
};

/** Questions to these ports and answers from them, whatever port NAT gives the asker. */
const between = (ports: readonly number[]): string =>
  `udp sport . udp dport { ${ports.flatMap((port) => [`${port} . 1024-65535`, `1024-65535 . ${port}`]).join(", ")} }`;

/**
 * Starts to count UDP traffic to `port` at the router and at every host that sends or answers; none of these may
 * forward for others. The router also counts the ports in `more`. Counters of an earlier call end.
 */
export async function countEnds(
  world: World,
  router: Space,
  ends: readonly Space[],
  port: number,
  more: readonly number[] = [],
): Promise<() => Promise<EndCounts>> {
  const middle = await countPolicy(world, router, between([port, ...more]));
  const readers = await Promise.all(ends.map((end) => countPolicy(world, end, between([port]))));
  return async () => {
    const [{ before: entered, forwarded: left }, found] = await Promise.all([
      middle(),
      Promise.all(readers.map((read) => read())),
    ]);
    const sent = found.reduce((sum, one) => sum + one.forwarded, 0); // leaving packets pass postrouting too
    const arrived = found.reduce((sum, one) => sum + one.input, 0);
    return { sent, arrived, entered, left };
  };
}

export type Loss = { readonly packets: number; readonly byPolicy: number; readonly onTheWay: number };

/** What was lost between two readings: inside the router's policy, and between the ends altogether. */
export function lossBetween(before: EndCounts, after: EndCounts): Loss {
  const since = (count: (one: EndCounts) => number): number => count(after) - count(before);
  return {
    packets: since((one) => one.entered),
    byPolicy: since((one) => one.entered - one.left),
    onTheWay: since((one) => one.sent - one.arrived),
  };
}

/** Lets a userspace device wait for a busy processor instead of dropping what it cannot take at once. */
export async function lengthenQueue(world: World, space: Space, device: string): Promise<void> {
  await world.must(space, ["ip", "link", "set", "dev", device, "txqueuelen", "10000"]);
}
