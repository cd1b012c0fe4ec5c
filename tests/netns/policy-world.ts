/** A compiled generation put into a namespace by the plain tools, and what its counters and conntrack say then. */
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rulesetText } from "../../agent/core/nft-text.ts";
import { routeArgv, ruleArgv } from "../../agent/host/ip.ts";
import type { Desired, NftTable } from "../../schemas/desired.ts";
import type { Space, World } from "./world.ts";

export type WgKey = { readonly privateKey: string; readonly publicKey: string };

/** A WireGuard key pair. */
export function wgKey(): WgKey {
  const jwk = generateKeyPairSync("x25519").privateKey.export({ format: "jwk" });
  const base64 = (url: string | undefined): string =>
    Uint8Array.fromBase64(url ?? "", { alphabet: "base64url" }).toBase64();
  return { privateKey: base64(jwk.d), publicKey: base64(jwk.x) };
}

const word = (epoch: number): string => `0x${epoch.toString(16).padStart(4, "0")}0000`;

async function withFile<T>(text: string, run: (file: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "hf-policy-"));
  try {
    writeFileSync(join(folder, "file"), text, { mode: 0o600 });
    return await run(join(folder, "file"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Loads a table in one transaction, as the agent does. */
export async function loadTable(world: World, space: Space, nft: NftTable, epoch: number): Promise<void> {
  await withFile(rulesetText(nft, "0x00000001"), (file) =>
    world.must(space, ["nft", "-D", `HF_EPOCH=${word(epoch)}`, "-f", file]),
  );
}

/** WireGuard device by the userspace back-end, with its key and port, up. */
export async function addDevice(
  world: World,
  space: Space,
  device: { name: string; key: WgKey; port?: number; mtu?: number; fwmark?: number },
): Promise<void> {
  await world.must(space, ["wireguard-go", device.name]);
  const words = [
    ...(device.port === undefined ? [] : ["listen-port", String(device.port)]),
    ...(device.fwmark ? ["fwmark", String(device.fwmark)] : []),
  ];
  await withFile(`${device.key.privateKey}\n`, (file) =>
    world.must(space, ["wg", "set", device.name, "private-key", file, ...words]),
  );
  await world.must(space, ["ip", "link", "set", device.name, "mtu", String(device.mtu ?? 1420), "up"]);
}

/**
 * Sysctls, devices, addresses, ruleset, peers, routes, rules: the order of an apply. Devices whose key is not given
 * are left out together with what hangs on them.
 */
export async function applyDesired(
  world: World,
  space: Space,
  desired: Desired,
  options: { readonly epoch?: number; readonly keys?: readonly WgKey[] } = {},
): Promise<void> {
  const keys = new Map((options.keys ?? []).map((key) => [key.publicKey, key]));
  for (const { key, value } of desired.sysctls) await world.must(space, ["sysctl", "-qw", `${key}=${value}`]);
  const links = desired.links.filter((link) => keys.has(link.publicKey));
  const missing = new Set(desired.links.filter((link) => !keys.has(link.publicKey)).map((link) => link.name));
  for (const link of links) {
    const { name, port, mtu, fwmark } = link;
    await addDevice(world, space, { name, key: keys.get(link.publicKey)!, port, mtu, fwmark });
  }
  for (const { interface: name, cidr } of desired.addresses) {
    if (!missing.has(name)) await world.address(space, name, cidr);
  }
  await loadTable(world, space, desired.nft, options.epoch ?? 1);
  for (const link of links) {
    for (const peer of link.peers) {
      const argv = ["wg", "set", link.name, "peer", peer.publicKey, "allowed-ips", peer.allowedIps.join(",")];
      await world.must(space, argv);
    }
  }
  for (const route of desired.routes) {
    if (!missing.has(route.interface)) await world.must(space, routeArgv("replace", route));
  }
  for (const rule of desired.rules) await world.must(space, ruleArgv("add", rule));
}

/** Packets of a named counter. */
export async function counted(world: World, space: Space, counter: string): Promise<number> {
  const text = await world.must(space, ["nft", "list", "counter", "inet", "holdfast", counter]);
  return Number(/packets (\d+)/.exec(text)?.[1]);
}

/** Lines of the conntrack table that hold all of the words. */
export async function flows(world: World, space: Space, ...parts: readonly string[]): Promise<readonly string[]> {
  const text = await world.must(space, ["conntrack", "-L"]);
  return text.split("\n").filter((line) => line !== "" && parts.every((part) => line.includes(part)));
}
