/** Raises a printed WireGuard configuration inside a namespace, as wg-quick would on a client's machine. */
import { lengthenQueue } from "./ends.ts";
import type { Space, World } from "./world.ts";

/** The parts of a wg-quick text that are not for `wg setconf`. */
export type QuickText = {
  readonly setconf: string;
  readonly addresses: readonly string[];
  readonly dns: readonly string[];
  readonly mtu: number; // 0: not given
  readonly allowedIps: readonly string[];
  readonly endpoint: string; // "" when absent
};

const list = (text: string | undefined): readonly string[] =>
  (text ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);

/** Splits a configuration. Comments go; unknown keys stay in `setconf`, so that wg itself refuses them. */
export function parseQuick(text: string): QuickText {
  const own = new Map<string, string>();
  const kept: string[] = [];
  for (const raw of text.split("\n")) {
    const line = raw.replace(/#.*/, "").trim();
    if (line === "") continue;
    const [, key = "", value = ""] = /^(\w+)\s*=\s*(.*)$/.exec(line) ?? [];
    const name = key.toLowerCase();
    if (name !== "") own.set(name, own.has(name) ? `${own.get(name)}, ${value}` : value);
    if (!["address", "dns", "mtu", "table", "saveconfig"].includes(name)) kept.push(line);
  }
  return {
    setconf: `${kept.join("\n")}\n`,
    addresses: list(own.get("address")),
    dns: list(own.get("dns")),
    mtu: Number(own.get("mtu") ?? "0"),
    allowedIps: list(own.get("allowedips")),
    endpoint: own.get("endpoint") ?? "",
  };
}

export type Tunnel = {
  readonly device: string;
  readonly addresses: readonly string[];
  down(): Promise<void>;
};

/** The two halves of everything: a default route through the tunnel that leaves the real one in place. */
const HALVES: Readonly<Record<string, readonly string[]>> = {
  "0.0.0.0/0": ["0.0.0.0/1", "128.0.0.0/1"],
  "::/0": ["::/1", "8000::/1"],
};

/** The next hop towards an address, as words for `ip route`. */
async function wayTo(world: World, space: Space, address: string): Promise<readonly string[]> {
  const [line = ""] = (await world.must(space, ["ip", "-o", "route", "get", address])).split("\n");
  const via = / via (\S+)/.exec(line)?.[1];
  const device = / dev (\S+)/.exec(line)?.[1] ?? "";
  return [...(via === undefined ? [] : ["via", via]), "dev", device];
}

/** Starts a userspace device, configures it, and routes every allowed prefix into it. The endpoint is an address. */
export async function raiseTunnel(world: World, space: Space, device: string, text: string): Promise<Tunnel> {
  const quick = parseQuick(text);
  const endpoint = quick.endpoint.slice(0, quick.endpoint.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  const way = await wayTo(world, space, endpoint);
  await world.must(space, ["wireguard-go", device]);
  await lengthenQueue(world, space, device);
  await world.must(space, ["wg", "setconf", device, "/dev/stdin"], { stdin: quick.setconf });
  for (const address of quick.addresses) await world.address(space, device, address);
  await world.must(space, ["ip", "link", "set", "dev", device, "mtu", String(quick.mtu || 1420), "up"]);
  await world.must(space, ["ip", "route", "replace", endpoint, ...way]);
  for (const prefix of quick.allowedIps.flatMap((one) => HALVES[one] ?? [one])) {
    const family = prefix.includes(":") ? "-6" : "-4";
    await world.must(space, ["ip", family, "route", "replace", prefix, "dev", device]);
  }
  return {
    device,
    addresses: quick.addresses,
    down: async () => {
      await world.must(space, ["ip", "link", "del", "dev", device]);
      await world.must(space, ["ip", "route", "del", endpoint]);
    },
  };
}
