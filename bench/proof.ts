/**
 * `npm run bench -- proof [--clients 10000]`: from the ruleset's texts to every invariant, compiled = intent among
 * them, and 100 contracts, decided over all packets of both families, beside `nft -c` of the same ruleset in the same
 * run. Without a number it measures 1,000, 10,000 and 50,000 clients and fits how time grows. Each size is measured in
 * a process that reads the generation and has the documents, as a router does.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile } from "../agent/core/compile.ts";
import { equivalence } from "../agent/core/equivalence.ts";
import { invariants, type Subject } from "../agent/core/invariants.ts";
import { markerOf, rulesetText } from "../agent/core/nft-text.ts";
import { ask, openModel } from "../agent/core/verifier/model.ts";
import type { Question } from "../agent/core/verifier/question.ts";
import type { Desired } from "../schemas/desired.ts";
import { canonicalIntent } from "../schemas/intent.ts";
import { canonicalInventory } from "../schemas/inventory.ts";
import { limits } from "../schemas/limits.ts";
import { clientOf, inputOf, smallIntent } from "../tests/core/compile-sites.ts";

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
function site(count: number): Omit<Subject, "desired"> {
  const web = { id: "web", addresses: ["10.1.0.5"], ports: [{ protocol: "tcp" as const, from: 443 }] };
  const intent = smallIntent({ services: [web, ...Array.from({ length: SERVICES }, (_, i) => service(i))] });
  const profileOf = (n: number) => (n % 3 === 0 ? "none" : n % 3 === 1 ? "split" : "full");
  const clients = Array.from({ length: count }, (_, n) => {
    const client = clientOf(n + 2, n % GRANT_EVERY === 0 ? { services: [`service-${n % SERVICES}`] } : {});
    return { ...client, grants: client.grants!.map((grant) => ({ ...grant, profile: profileOf(n) })) };
  });
  const input = inputOf(intent, { version: 1, clients });
  return { ...input, intent: canonicalIntent(input.intent), inventory: canonicalInventory(input.inventory) };
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

type Proof = {
  readonly verdicts: ReadonlyMap<string, number>;
  readonly opened: number; // ms, of the ruleset's texts
  readonly others: number; // of every invariant but the next
  readonly equivalence: number;
  readonly contracts: number;
};

/** Reads the texts, checks all invariants and decides all contracts. Returns how many of each verdict there were. */
function prove(subject: Subject): Proof {
  const times = [performance.now()];
  const opened = openModel(subject.desired);
  if (!opened.ok) throw new Error(JSON.stringify(opened.problems.slice(0, 5)));
  times.push(performance.now());
  const violated = (list: typeof invariants): void => {
    const found = list.flatMap((one) => one.check({ ...subject, opened }));
    if (found.length > 0) throw new Error(JSON.stringify(found.slice(0, 5)));
    times.push(performance.now());
  };
  violated(invariants.filter((one) => one !== equivalence));
  violated([equivalence]);
  const verdicts = new Map<string, number>();
  for (const question of contracts(subject.desired)) {
    // Packets are only looked for where the verdict is not what the contract says.
    const answer = ask(opened.value, { ...question, witnesses: "none" });
    if (!answer.ok) throw new Error(JSON.stringify(answer.problems));
    verdicts.set(answer.value.verdict, (verdicts.get(answer.value.verdict) ?? 0) + 1);
  }
  times.push(performance.now());
  const part = (at: number): number => times[at + 1]! - times[at]!;
  return { verdicts, opened: part(0), others: part(1), equivalence: part(2), contracts: part(3) };
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

type Measured = {
  readonly first: number;
  readonly again: number;
  readonly equivalence: number;
  readonly check: number;
  readonly mb: number;
};

/** Measures the generation in a folder; the first proof is a cold process, as on a router. */
function measure(folder: string, count: number): Measured {
  const desired = JSON.parse(readFileSync(join(folder, "desired.json"), "utf8")) as Desired;
  const subject = { ...site(count), desired };
  const proofs: number[] = [];
  const [checks, equal]: [number[], number[]] = [[], []];
  let mb = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const started = performance.now();
    const proven = prove(subject);
    proofs.push(performance.now() - started);
    equal.push(proven.equivalence);
    if (round === 0) {
      mb = peakMb();
      const text = [...proven.verdicts].map(([name, count]) => `${count} ${name}`).join(", ");
      console.error(`${CONTRACTS} contracts: ${text}`);
    }
    const parts = (["opened", "others", "equivalence", "contracts"] as const).map(
      (name) => `${name} ${proven[name].toFixed(0)}`,
    );
    console.error(`round ${round + 1}: ${parts.join(", ")} ms`);
    checks.push(nftCheck(join(folder, "ruleset.nft")));
  }
  const [first, again, check] = [proofs[0]!, median(proofs), median(checks)];
  return { first, again, equivalence: median(equal), check, mb };
}

async function measureSize(count: number): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-proof-"));
  try {
    const compiled = compile(site(count));
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
    const desired = compiled.value;
    writeFileSync(join(folder, "desired.json"), JSON.stringify(desired));
    writeFileSync(
      join(folder, "ruleset.nft"),
      rulesetText(desired.nft, markerOf("0".repeat(64))).replaceAll("$HF_EPOCH", "0x00010000"),
    );
    const argv = [process.execPath, join(import.meta.dir, "main.ts"), "proof", "--folder", folder, String(count)];
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
    console.log(JSON.stringify(measure(text, Number(words[2]))));
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
    const { first, again, equivalence: equal, check, mb } = await measureSize(size);
    points.push([size, first]);
    console.log(
      `${size} clients: first proof ${first.toFixed(0)} ms, again ${again.toFixed(0)} ms, compiled = intent ${equal.toFixed(0)} ms of it, nft -c ${check.toFixed(0)} ms`,
    );
    const numbers = `ms=${first.toFixed(0)} nft_check_ms=${check.toFixed(0)} ratio=${(first / check).toFixed(2)}`;
    console.log(`proof: clients=${size} contracts=${CONTRACTS} ${numbers} rss_mb=${mb}`);
  }
  if (points.length > 1) console.log(`growth: time goes with clients to the power of ${exponent(points).toFixed(2)}`);
  return 0;
}
