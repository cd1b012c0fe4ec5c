/**
 * A router in a namespace for tests of the machine: state and run folders, a chosen shell for the scripts,
 * artifacts and records in the documented format, and a normalised picture of everything the restore owns.
 */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { normalListing } from "../../agent/core/nft-listing.ts";
import { sha256Hex } from "../../schemas/digest.ts";
import type { Space, World } from "./world.ts";

export const scripts = join(import.meta.dir, "../../agent/scripts");

/** A shell with its tools: the system's (dash and mawk on Debian), or busybox for everything that it has. */
export type ShellName = "dash" | "busybox ash";

/** Applets that busybox replaces; ip and wg stay: a router has the real ones. */
const APPLETS =
  "ash sh awk sort sed grep timeout setsid mv cp rm mkdir cat head tail tr wc sync sha256sum sleep unshare env cmp printf od".split(
    " ",
  );

export type Router = {
  readonly world: World;
  readonly space: Space;
  readonly folder: string;
  readonly state: string;
  readonly run: string;
  readonly lib: string;
  readonly path: string; // search path
  remove(): void;
};

export function makeRouter(world: World, space: Space, shell: ShellName): Router {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-router-"));
  const lib = join(folder, "lib");
  const bin = join(folder, "bin");
  for (const path of ["state/decision", "state/gen", "state/gen2", "run", "bin", "lib"])
    mkdirSync(join(folder, path), { recursive: true, mode: 0o700 });
  cpSync(scripts, lib, { recursive: true });
  const interpreter = shell === "dash" ? "/usr/bin/dash" : join(bin, "ash");
  if (shell !== "dash") for (const name of APPLETS) symlinkSync("/usr/bin/busybox", join(bin, name));
  for (const name of readdirSync(lib).filter((one) => one.startsWith("holdfast-"))) {
    const text = readFileSync(join(lib, name), "utf8").replace(/^#!.*/, `#!${interpreter}`);
    writeFileSync(join(lib, name), text);
    chmodSync(join(lib, name), 0o755);
  }
  return {
    world,
    space,
    folder,
    state: join(folder, "state"),
    run: join(folder, "run"),
    lib,
    path: `${bin}:/usr/sbin:/usr/bin:/sbin:/bin`,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Makes a WireGuard key in the state folder, both copies; returns the public half. */
export async function makeKey(router: Router): Promise<string> {
  const secret = (await router.world.must(router.space, ["wg", "genkey"])).trim();
  const pub = (await router.world.must(router.space, ["wg", "pubkey"], { stdin: `${secret}\n` })).trim();
  const name = pub.slice(0, 43).replaceAll("+", "-").replaceAll("/", "_");
  for (const copy of ["wg", "wg2"]) {
    mkdirSync(join(router.state, "keys", copy), { recursive: true, mode: 0o700 });
    writeFileSync(join(router.state, "keys", copy, name), `${secret}\n`, { mode: 0o600 });
  }
  return pub;
}

/** Stores a preshared key; returns its commitment. */
export function makePsk(router: Router, fill: number): string {
  const psk = new Uint8Array(32).fill(fill);
  const commitment = sha256Hex("holdfast/psk/v1\0", psk);
  mkdirSync(join(router.state, "keys/psk"), { recursive: true, mode: 0o700 });
  writeFileSync(join(router.state, "keys/psk", commitment), `${psk.toBase64()}\n`, { mode: 0o600 });
  return commitment;
}

/** A public key that belongs to nobody, different for each number. */
export function someKey(n: number): string {
  return Uint8Array.fromHex(sha256Hex(`peer ${n}`)).toBase64();
}

export type Artifacts = {
  readonly ruleset: string;
  readonly sysctls?: readonly string[];
  readonly links?: readonly string[];
  readonly peers?: readonly string[];
  readonly addresses?: readonly string[];
  readonly routes?: readonly string[];
  readonly rules?: readonly string[];
};

export type Stored = { readonly digest: string; readonly manifest: string };

/** Writes a generation's artifacts twice; returns its desired digest and the digest of its manifest. */
export function storeArtifacts(router: Router, artifacts: Artifacts, rebootAllowed = false): Stored {
  const text = (list: readonly string[] | undefined): string => (list ?? []).map((line) => `${line}\n`).join("");
  const files: Record<string, string> = {
    addresses: text(artifacts.addresses),
    "desired.json": `${JSON.stringify({ ...artifacts, rebootAllowed })}\n`,
    links: text(artifacts.links),
    peers: text(artifacts.peers),
    routes: text(artifacts.routes),
    rules: text(artifacts.rules),
    "ruleset.nft": artifacts.ruleset,
    sysctls: text(artifacts.sysctls),
  };
  const digest = sha256Hex(files["desired.json"] ?? "");
  const names = Object.keys(files).sort();
  const manifest = names.map((name) => `${sha256Hex(files[name] ?? "")}  ${name}\n`).join("");
  for (const copy of ["gen", "gen2"]) {
    const folder = join(router.state, copy, digest);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const name of names) writeFileSync(join(folder, name), files[name] ?? "");
    writeFileSync(join(folder, "manifest"), manifest);
  }
  return { digest, manifest: sha256Hex(manifest) };
}

export type RecordFields = {
  readonly counter: number;
  readonly lkg?: Stored;
  readonly lkgEpoch?: number;
  readonly trial?: Stored;
  readonly trialEpoch?: number;
  readonly token?: string;
};

/** The text of a state record, closed by its digest. */
export function recordText(fields: RecordFields): string {
  const body = [
    "format=1",
    `counter=${fields.counter}`,
    "root=-",
    "roster=-",
    "keys=-",
    "generation=1",
    `lkg=${fields.lkg?.digest ?? "-"}`,
    `lkg_manifest=${fields.lkg?.manifest ?? "-"}`,
    "lkg_generation=1",
    "lkg_directive=-",
    `lkg_epoch=${fields.lkgEpoch ?? 0}`,
    `trial=${fields.trial?.digest ?? "-"}`,
    `trial_manifest=${fields.trial?.manifest ?? "-"}`,
    "trial_generation=2",
    "trial_directive=-",
    `trial_epoch=${fields.trialEpoch ?? 0}`,
    `trial_token=${fields.token ?? "-"}`,
    "trial_deadline_ms=0",
    "trial_boot=-",
    "log_index=0",
    "log_head=-",
    "quorum=-",
  ];
  const text = body.map((line) => `${line}\n`).join("");
  return `${text}sha256=${sha256Hex(text)}\n`;
}

export function storeRecord(router: Router, file: "a" | "b", fields: RecordFields): void {
  writeFileSync(join(router.state, `record.${file}`), recordText(fields));
}

/**
 * The script of a picture, its arguments the devices. Parts end with a form feed, and a missing one is empty.
 */
export const PICTURE = `set -e
ip -o link show; printf '\\f'
ip -o addr show scope global; printf '\\f'
sysctl -n net.ipv4.conf.eth0.rp_filter || :; printf '\\f'
nft -s list table inet holdfast 2>/dev/null || :; printf '\\f'
for family in -4 -6; do
  ip $family -N route show table all proto 172; printf '\\f'
  ip $family -N rule show; printf '\\f'
done
for device; do wg show "$device" dump 2>/dev/null || :; printf '\\f'; done`;

/** The picture of a router in a namespace. */
export async function picture(router: Router, devices: readonly string[]): Promise<string> {
  const { world, space } = router;
  return pictureOf(await world.must(space, ["sh", "-c", PICTURE, "sh", ...devices]), devices);
}

/** Everything that the restore owns, without epoch, counters, handshakes and endpoints, from the script's output. */
export function pictureOf(output: string, devices: readonly string[]): string {
  const out: string[] = [];
  const parts = output.split("\f");
  const [links = "", addresses = "", filter = "", table = "", ...rest] = parts;
  const [routing, dumps] = [rest.slice(0, 4), rest.slice(4)];
  for (const line of links.split("\n")) {
    const match = /^\d+: ([^:@]+)[@:]\S* <([^>]*)> mtu (\d+)/.exec(line);
    if (match !== null && match[1] !== "lo")
      out.push(`link ${match[1]} ${match[2]?.includes("UP") ? "up" : "down"} ${match[3]}`);
  }
  for (const [i, device] of devices.entries()) {
    const dump = (dumps[i] ?? "").trimEnd().split("\n");
    for (const line of dump.sort()) {
      const f = line.split("\t");
      if (f.length === 4) out.push(`${device} ${f[1]} ${f[2]} ${f[3]}`);
      else out.push(`${device} peer ${f[0]} ${f[1]} ${(f[3] ?? "").split(",").sort().join(",")} ${f[7]}`);
    }
  }
  for (const line of addresses.split("\n").filter(Boolean)) out.push(line.split(/\s+/).slice(1, 4).join(" "));
  out.push(`net.ipv4.conf.eth0.rp_filter ${filter.trim()}`);
  out.sort();
  out.push(...routing);
  // nft folds the epoch into the mask that keeps the lower half: (mark & 0x0000ffff) | 0x00030000 has 0x0003ffff.
  const facts = normalListing(table).replace(/& 0x[0-9a-f]{4}(f|7)fff \| 0x/g, "& 0x0000$1fff | 0x");
  // The bit below the epoch marks flows that the router itself began.
  out.push(facts.replace(/0x[0-9a-f]{4}0000(\/16)?/g, "EPOCH").replace(/0x[0-9a-f]{4}8000/g, "EPOCH+8000"));
  return out.join("\n");
}

export async function listing(router: Router): Promise<string> {
  return (await router.world.exec(router.space, ["nft", "-s", "list", "table", "inet", "holdfast"])).stdout;
}

/** The epoch in force, as the listing shows it; 0 without a table. */
export async function liveEpoch(router: Router): Promise<number> {
  const match = /set ct mark[^\n]*0x([0-9a-f]+)0000/.exec(await listing(router));
  return match?.[1] === undefined ? 0 : Number.parseInt(match[1], 16);
}

/** A ruleset in the shape that the compiler writes: declare, flush, refill, marker last. */
export function ruleset(options: {
  readonly ports: readonly number[];
  readonly clients?: readonly string[];
  readonly extra?: string; // name of one more chain and set
  readonly priority?: number; // of the input hook
}): string {
  const clients = options.clients ?? ["10.0.0.2"];
  const extra = options.extra;
  const declare = [
    "table inet holdfast {",
    "\tcounter c_drop { }",
    "\tset s_marker { type mark; }",
    "\tset s_clients { type ipv4_addr; }",
    ...(extra === undefined ? [] : [`\tset s_${extra} { type inet_service; }`, `\tchain z_${extra} { }`]),
    "\tchain p_one { }",
    "\tmap v_zone { type ifname : verdict; }",
    `\tchain b_input { type filter hook input priority ${options.priority ?? 0}; policy drop; }`,
    "}",
  ];
  const refill = [
    "flush table inet holdfast",
    "flush set inet holdfast s_marker",
    "flush set inet holdfast s_clients",
    "flush map inet holdfast v_zone",
    ...(extra === undefined ? [] : [`flush set inet holdfast s_${extra}`]),
    "table inet holdfast {",
    ...(extra === undefined ? [] : [`\tchain z_${extra} {`, `\t\ttcp dport @s_${extra} accept`, "\t}"]),
    "\tchain p_one {",
    "\t\tip saddr @s_clients ct mark set ct mark and 0x0000ffff or $HF_EPOCH accept",
    "\t}",
    "\tchain b_input {",
    `\t\tudp dport { ${options.ports.join(", ")} } accept`,
    '\t\tiifname "lo" accept',
    "\t\tmeta l4proto { icmp, ipv6-icmp } accept",
    "\t\tct state established ct mark and 0xffff0000 == $HF_EPOCH accept",
    "\t\tiifname vmap @v_zone",
    "\t\tcounter name c_drop drop",
    "\t}",
    "}",
    ...clients.map((client) => `add element inet holdfast s_clients { ${client} }`),
    `add element inet holdfast v_zone { "wg0" : goto ${extra === undefined ? "p_one" : `z_${extra}`} }`,
    `add element inet holdfast s_marker { 0x${sha256Hex(JSON.stringify(options)).slice(0, 8)} }`,
  ];
  return `${[...declare, ...refill].join("\n")}\n`;
}
