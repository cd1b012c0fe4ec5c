/**
 * `npm run bench -- proof [--clients 10000]`: from the ruleset's texts to 100 decided contracts over all packets of
 * both families, beside `nft -c` of the same ruleset in the same run. Without a number it measures 1,000, 10,000 and
 * 50,000 clients and fits how time grows. Each size is measured in a process that only reads the generation.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { markerOf, rulesetText } from "../agent/core/nft-text.ts";
import { ask, openModel } from "../agent/core/verifier/model.ts";
import type { Question } from "../agent/core/verifier/question.ts";
import type { Desired } from "../schemas/desired.ts";
import { limits } from "../schemas/limits.ts";
import { clientOf, desiredOf, smallIntent } from "../tests/core/compile-sites.ts";

const SIZES = [1000, 10_000, 50_000];
const ROUNDS = 3;
const CONTRACTS = 100;
const SERVICES = 40;
/** Every fifth client has a service of its own beside its profile. */
const GRANT_EVERY = 5;

const service = (i: number) => ({
  id: `service-${i}`,
  addresses: [`10.1.0.${10 + i}`, `fd00:1::${(10 + i).toString(16)}`],
  ports: [{ protocol: "tcp" as const, from: 1000 + i }],
});

/** A LAN, an uplink and a VPN of many clients. */
function site(count: number): Desired {
  const web = { id: "web", addresses: ["10.1.0.5"], ports: [{ protocol: "tcp" as const, from: 443 }] };
  const intent = smallIntent({ services: [web, ...Array.from({ length: SERVICES }, (_, i) => service(i))] });
  const profileOf = (n: number) => (n % 3 === 0 ? "none" : n % 3 === 1 ? "split" : "full");
  const clients = Array.from({ length: count }, (_, n) => {
    const client = clientOf(n + 2, n % GRANT_EVERY === 0 ? { services: [`service-${n % SERVICES}`] } : {});
    return { ...client, grants: client.grants!.map((grant) => ({ ...grant, profile: profileOf(n) })) };
  });
  return desiredOf(intent, { version: 1, clients });
}

/** Questions as contracts ask them: a client and a port, a zone and a zone, the outside and the router. */
function contracts(desired: Desired): readonly Question[] {
  const peers = desired.links.find((link) => link.name === "hf-home")!.peers;
  return Array.from({ length: CONTRACTS }, (_, i): Question => {
    const way = { way: "arriving", flow: "first" } as const;
    const peer = peers[Math.floor((i * peers.length) / CONTRACTS)]!;
    const source = { in: peer.allowedIps.map((text) => text.replace(/\/\d+$/, "")) };
    const target = { in: service(i % SERVICES).addresses };
    if (i % 10 === 0) return { region: { ...way, iif: ["wan0"] }, routes: "any", want: "onward" };
    if (i % 10 === 1) return { region: { ...way, iif: ["hf-home"], oif: ["hf-home"] }, routes: "any" };
    if (i % 10 === 2)
      return { region: { ...way, iif: ["hf-home"], source, target: { not: ["10.0.0.0/8", "fc00::/7"] } } };
    return {
      region: {
        ...way,
        iif: ["hf-home"],
        source,
        target,
        protocol: [6],
        dport: [[1000 + (i % SERVICES), 1000 + (i % SERVICES)]],
      },
    };
  });
}

/** Reads the texts and decides all contracts. Returns how many of each verdict there were. */
function prove(desired: Desired): ReadonlyMap<string, number> {
  const model = openModel(desired);
  if (!model.ok) throw new Error(JSON.stringify(model.problems.slice(0, 5)));
  const verdicts = new Map<string, number>();
  for (const question of contracts(desired)) {
    // Packets are only looked for where the verdict is not what the contract says.
    const answer = ask(model.value, { ...question, witnesses: "none" });
    if (!answer.ok) throw new Error(JSON.stringify(answer.problems));
    verdicts.set(answer.value.verdict, (verdicts.get(answer.value.verdict) ?? 0) + 1);
  }
  return verdicts;
}

/** The largest resident size of this process so far, in MB. */
function peakMb(): number {
  const [, kb] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Math.round(Number(kb) / 1024);
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1]!;

/** A namespace as root where possible: others may not enlarge the socket buffer that a large ruleset needs. */
const UNSHARE = process.getuid?.() === 0 ? "-n" : "-rn";

/** Time of `nft -c` on the file, in a network namespace of its own. */
function nftCheck(path: string): number {
  const started = performance.now();
  const { exitCode, stderr } = Bun.spawnSync(["unshare", UNSHARE, "nft", "-c", "-f", path]);
  if (exitCode !== 0) throw new Error(`nft -c: ${stderr.toString().slice(0, 200)}`);
  return performance.now() - started;
}

type Measured = { readonly first: number; readonly again: number; readonly check: number; readonly mb: number };

/** Measures the generation in a folder; the first proof is a cold process, as on a router. */
function measure(folder: string): Measured {
  const desired = JSON.parse(readFileSync(join(folder, "desired.json"), "utf8")) as Desired;
  const proofs: number[] = [];
  const checks: number[] = [];
  let mb = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const started = performance.now();
    const verdicts = prove(desired);
    proofs.push(performance.now() - started);
    if (round === 0) {
      mb = peakMb();
      const text = [...verdicts].map(([name, count]) => `${count} ${name}`).join(", ");
      console.error(`${CONTRACTS} contracts: ${text}`);
    }
    checks.push(nftCheck(join(folder, "ruleset.nft")));
  }
  return { first: proofs[0]!, again: median(proofs), check: median(checks), mb };
}

async function measureSize(count: number): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-proof-"));
  try {
    const desired = site(count);
    writeFileSync(join(folder, "desired.json"), JSON.stringify(desired));
    writeFileSync(
      join(folder, "ruleset.nft"),
      rulesetText(desired.nft, markerOf("0".repeat(64))).replaceAll("$HF_EPOCH", "0x00010000"),
    );
    const argv = [process.execPath, join(import.meta.dir, "main.ts"), "proof", "--folder", folder];
    const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
    const text = await new Response(child.stdout).text();
    if ((await child.exited) !== 0) throw new Error(`the measurement of ${count} clients failed`);
    return JSON.parse(text) as Measured;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Slope of log time over log size: 1 is linear. */
function exponent(points: readonly (readonly [size: number, ms: number])[]): number {
  const logs = points.map(([size, ms]) => [Math.log(size), Math.log(ms)] as const);
  const mean = (at: 0 | 1): number => logs.reduce((sum, one) => sum + one[at], 0) / logs.length;
  const [x, y] = [mean(0), mean(1)];
  const over = logs.reduce((sum, one) => sum + (one[0] - x) * (one[1] - y), 0);
  return over / logs.reduce((sum, one) => sum + (one[0] - x) ** 2, 0);
}

/** Runs with the words after the name. Returns the exit code. */
export async function proof(words: readonly string[]): Promise<number> {
  const [option, text = ""] = words;
  if (option === "--folder") {
    console.log(JSON.stringify(measure(text)));
    return 0;
  }
  const count = Number(text);
  const known = option === undefined || (option === "--clients" && words.length === 2);
  if (!known || (option !== undefined && (!Number.isInteger(count) || count < 1 || count > limits.clients))) {
    console.error(`usage: npm run bench -- proof [--clients 1..${limits.clients}]`);
    return 2;
  }
  const sizes = option === undefined ? SIZES.filter((size) => size <= limits.clients) : [count];
  const points: [number, number][] = [];
  for (const size of sizes) {
    const { first, again, check, mb } = await measureSize(size);
    points.push([size, first]);
    console.log(
      `${size} clients: first proof ${first.toFixed(0)} ms, again ${again.toFixed(0)} ms, nft -c ${check.toFixed(0)} ms`,
    );
    const numbers = `ms=${first.toFixed(0)} nft_check_ms=${check.toFixed(0)} ratio=${(first / check).toFixed(2)}`;
    console.log(`proof: clients=${size} contracts=${CONTRACTS} ${numbers} rss_mb=${mb}`);
  }
  if (points.length > 1) console.log(`growth: time goes with clients to the power of ${exponent(points).toFixed(2)}`);
  return 0;
}
