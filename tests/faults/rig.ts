/** A router whose agent is the test build, an operator beside it, and pushes that take turns between two sites. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Opened } from "../../agent/core/dsse.ts";
import { sealSecrets } from "../../agent/core/secrets.ts";
import { pskCommitment } from "../../agent/host/keys.ts";
import type { Desired } from "../../schemas/desired.ts";
import { toBase64, toHex } from "../../schemas/digest.ts";
import type { Answer } from "../../schemas/report.ts";
import { encode } from "../../schemas/wire.ts";
import { intentOf, inventoryOf } from "../agent/bundles.ts";
import { crypto, randomBytes, receiptOf } from "../agent/operator.ts";
import { type AgentWorld, agentWorld } from "../netns/agent-world.ts";
import { failingProgram } from "../netns/program.ts";
import { type RemoteHost, remoteHost } from "../netns/remote.ts";
import { scripts } from "../netns/router.ts";
import type { Action, Passing } from "./points.ts";
import { Tools } from "./tools.ts";

/** A push: what was signed, and what it means. */
export type Push = { readonly opened: Opened<"directive">; readonly desired: Desired };
export type OnTrial = Push & { readonly nonce: Uint8Array };

const NETWORKS = ["home", "lab"] as const;
/** The network of both sites, whose only client has another key in each: peers come and go on a device that stays. */
const SHARED = "both";
const WINDOW_S = 60;
const UPLOADS_MAX = 8; // agent/host/store-blob.ts

/**
 * One of the two sites. They have no link, address, client or port in common beyond the lanes and one device, so that
 * every step of a plan comes in every push; the preshared key is new each time.
 */
function bundleOf(one: 0 | 1, psk: Uint8Array) {
  const id = NETWORKS[one];
  const endpoint = `vpn.example.net:${51820 + one}`;
  const intent = intentOf({
    networks: [
      { id, router: "r1", port: 51820 + one, endpoint, subnets: [`10.99.${one}.0/24`] },
      { id: SHARED, router: "r1", port: 51822, endpoint: "vpn.example.net:51822", subnets: ["10.99.2.0/24"] },
    ],
    zones: [
      { id: "wan", router: "r1", kind: "uplink", interfaces: ["wan0"] },
      { id: "lan", router: "r1", kind: "management", interfaces: ["lan0"], subnets: ["10.0.0.0/22"] },
    ],
    constraints: [id, SHARED].map((network) => ({ network, profiles: ["split"] })),
    routers: [
      {
        id: "r1",
        uplinks: [{ interface: "wan0", addresses: ["192.0.2.1/24"], gateways: ["192.0.2.2"] }],
        management: { addresses: ["10.0.0.1"], zones: ["lan"] },
        addresses: [
          { interface: "lan0", cidr: "10.0.0.1/24" },
          { interface: "lan0", cidr: `10.0.${one + 1}.1/24` },
        ],
      },
    ],
    confirm: { window_s: WINDOW_S, cap_s: 2 * WINDOW_S },
  });
  const key = (of: number) => toBase64(crypto.boxKeys(new Uint8Array(32).fill(of)).publicKey);
  const inventory = inventoryOf([
    { id: "phone", key: key(1 + one), address: `10.99.${one}.2`, psk: pskCommitment(psk) },
    { id: "tablet", key: key(3 + one), address: "10.99.2.2" },
  ]);
  const clients = inventory.clients.map((client) => ({
    ...client,
    grants: client.grants.map((grant) => ({ ...grant, network: client.id === "phone" ? id : SHARED })),
  }));
  return { intent, inventory: { ...inventory, clients }, networks: [id, SHARED] };
}

/** Everything of ours in the kernel goes, and what the distribution's own network configuration sets comes back. */
const FORGET = `nft delete table inet holdfast 2>/dev/null
for name in $(ip -o link show | sed -n 's/^[0-9]*: \\(hf-[^:@]*\\).*/\\1/p'); do ip link del "$name"; done
for family in -4 -6; do
  ip $family route flush table all proto 172 2>/dev/null
  while ip $family rule del proto 172 2>/dev/null; do :; done
done
for pair in lan0:10.0.0.1/24 wan0:192.0.2.1/24; do ip addr flush dev \${pair%%:*} scope global; ip addr add \${pair#*:} dev \${pair%%:*}; done
for key in ip_forward conf.all.promote_secondaries conf.all.src_valid_mark; do sysctl -qw "net.ipv4.$key=0"; done
:`;

export class Rig {
  readonly w: AgentWorld;
  readonly tools: Tools;
  readonly host: RemoteHost;
  readonly #points: string;
  /** The generation that runs, once there is one. */
  kept: Push | undefined;
  #next: 0 | 1 = 0;

  private constructor(w: AgentWorld, tools: Tools, host: RemoteHost) {
    this.w = w;
    this.tools = tools;
    this.host = host;
    this.#points = join(w.units.folder, "failpoints");
  }

  /** A router that keeps its first generation. */
  static async open(name: string): Promise<Rig> {
    const w = await agentWorld(name, { program: (await failingProgram()).agent });
    const tools = await Tools.install(w.units);
    const folder = join(w.units.folder, "observer");
    mkdirSync(folder, { mode: 0o700 });
    const options = { state: join(folder, "state"), run: join(folder, "run"), lib: scripts };
    const host = await remoteHost(w.world, w.router, { ...options, backend: "userspace" });
    const rig = new Rig(w, tools, host);
    await w.session.keys([...NETWORKS, SHARED]);
    await rig.keep();
    return rig;
  }

  async close(): Promise<void> {
    await this.host.close();
    this.w.close();
  }

  // ---- failpoints ----

  #plan(text: string): void {
    for (const name of ["calls", "hit"]) rmSync(join(this.#points, name), { force: true });
    writeFileSync(join(this.#points, "plan.new"), `${text}\n`);
    renameSync(join(this.#points, "plan.new"), join(this.#points, "plan"));
  }

  arm(action: Action, { point, nth }: Passing): void {
    this.#plan(`${action} ${nth} ${point}`);
  }

  disarm(): void {
    rmSync(join(this.#points, "plan"), { force: true });
  }

  /** True when an error was thrown since the last plan. */
  get hit(): boolean {
    return existsSync(join(this.#points, "hit"));
  }

  /** Names of the points that were passed during the work, in order. */
  async trace(work: () => Promise<unknown>): Promise<readonly string[]> {
    const file = join(this.#points, "trace");
    rmSync(file, { force: true });
    this.#plan("trace");
    await work();
    this.disarm();
    return readFileSync(file, "utf8").split("\n").filter(Boolean);
  }

  // ---- the operator ----

  /** Signs the next push and uploads what it needs. */
  async sign(): Promise<Push> {
    const { session, site, keys } = this.w;
    const psk = randomBytes(32);
    const to = {
      networkId: site.root.message.network_id,
      routerId: site.token.router_id,
      incarnation: 1,
      routerSeal: keys.seal,
      escrow: [],
    };
    const secrets = encode("Secrets", sealSecrets(crypto, [{ psk, subject: "phone.1" }], to));
    return session.directive(bundleOf(this.#next, psk), {}, secrets);
  }

  /** From now on this push is what runs: the next one is the other site. */
  nowKept(push: Push): void {
    this.kept = push;
    this.#next = this.#next === 0 ? 1 : 0;
  }

  /** Waits until the push stands on trial; undefined when it ended before. */
  async standing(push: Push): Promise<OnTrial | undefined> {
    const { units } = this.w;
    const limit = performance.now() + 60_000;
    const digest = toHex(push.opened.digest);
    while (performance.now() < limit) {
      const { trial } = units.record();
      if (trial?.directive === digest) {
        const receipt = this.newest(push);
        if (receipt === "trial") return { ...push, nonce: Uint8Array.fromHex(trial.token) };
      }
      if (this.newest(push) === "rolled_back") return undefined;
      await Bun.sleep(20);
    }
    throw new Error(`the push does not stand: ${units.log("agent.log")}`);
  }

  /** The newest outcome in the log for a push. */
  newest(push: Push): string {
    const { logIndex } = this.w.units.record();
    for (let index = logIndex; index > Math.max(0, logIndex - 4); index -= 1) {
      const path = join(this.w.units.state, "log", `${index}.dsse`);
      const receipt = receiptOf(readFileSync(path));
      if (toHex(receipt.directive_digest) === toHex(push.opened.digest)) return receipt.outcome;
    }
    return "";
  }

  /** Throws when it is refused. */
  async submit(push: Push): Promise<void> {
    const { code, problems } = await this.w.session.submit(push.opened);
    if (code !== "") throw new Error(`the push is refused: ${code} ${JSON.stringify(problems)}`);
  }

  /** The verdict in the log for a push; "" while there is none. */
  closing(push: Push | undefined): string {
    const outcome = push === undefined ? "" : this.newest(push);
    return outcome === "trial" || outcome === "needs_hands" ? "" : outcome;
  }

  /** A push that is submitted and stands on trial. */
  async begin(): Promise<OnTrial> {
    const push = await this.sign();
    await this.submit(push);
    const trial = await this.standing(push);
    if (trial === undefined) throw new Error(`the push was rolled back: ${this.w.units.log("agent.log")}`);
    return trial;
  }

  /** Takes a push back that stands on trial. */
  async undo(push: Push): Promise<void> {
    const trial = await this.standing(push);
    if (trial !== undefined) await this.confirm(trial, "abort");
    await this.idle();
  }

  confirm(trial: OnTrial, verdict: "commit" | "abort" = "commit"): Promise<Answer> {
    return this.w.session.confirm(trial.opened, trial.nonce, verdict);
  }

  /** A whole push that is confirmed. */
  async keep(): Promise<Push> {
    const trial = await this.begin();
    const answer = await this.confirm(trial);
    const { outcome } = receiptOf(answer.receipt);
    if (outcome !== "confirmed") throw new Error(`not confirmed but ${outcome}: ${answer.code}`);
    await this.idle();
    this.nowKept(trial);
    return trial;
  }

  // ---- the router ----

  /** Nothing is on its way any more, and the agent answers. */
  async idle(timeoutMs = 90_000): Promise<void> {
    const { units } = this.w;
    const limit = performance.now() + timeoutMs;
    for (;;) {
      if (units.record().trial === null && units.armed() === undefined) {
        const status = await this.w.session.status().catch(() => undefined);
        if (status !== undefined && status.pending === null) return;
      }
      if (performance.now() > limit) throw new Error(`not idle: ${units.log("agent.log")}`);
      await Bun.sleep(20);
    }
  }

  /** Names in the state folder that only a write or a trial on its way may have. */
  leftovers(): readonly string[] {
    const names = readdirSync(this.w.units.state, { recursive: true, encoding: "utf8" });
    const uploads = names.filter((name) => name.endsWith(".part")); // a client may go on with them
    return [...names.filter((name) => /\.(tmp|new)$|^decision\//.test(name)), ...uploads.slice(UPLOADS_MAX)];
  }

  /** As after a power cut: nothing runs, the run folder and the kernel are empty. */
  async cutPower(): Promise<void> {
    const { units, world, router } = this.w;
    await units.killAgent().catch(() => {});
    await units.killGuard();
    await world.must(router, ["sh", "-c", FORGET]);
    rmSync(units.run, { recursive: true, force: true });
  }
}
