/**
 * An agent in this process on the real machine, in folders of its own: for everything that reads the kernel. Whatever
 * would change it throws, so that no test reaches the firewall of the machine it runs on. Requests go straight in,
 * without a socket.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Agent, createAgent } from "../../agent/agent.ts";
import type { OutsideSeen } from "../../agent/core/outside.ts";
import { enrol } from "../../agent/enrol.ts";
import { liveHost } from "../../agent/host/live.ts";
import { openStore } from "../../agent/host/store.ts";
import { createPaths, SOCKET } from "../../agent/paths.ts";
import type { Host, Parts } from "../../agent/ports.ts";
import { recover } from "../../agent/recover.ts";
import { createRequests, type Requests } from "../../agent/requests.ts";
import { crypto, enrolRouter, makeSite, type Send, Session, type Site } from "./operator.ts";

const scripts = join(import.meta.dir, "../../agent/scripts");

export type Desk = {
  readonly folder: string;
  readonly parts: Parts;
  readonly agent: Agent;
  readonly requests: Requests;
  readonly send: Send;
  /** A new process over the same folders. */
  again(change?: Partial<Host>): Promise<Desk>;
  close(): void;
};

/** A machine with no rules but ours, so that tests do not hang on the firewall of the machine they run on. */
export const nobodyElse: OutsideSeen = {
  nft: '{"nftables": []}',
  ...{ legacy: [], links: [], filters: [], rules: [], sysctls: [], unreadable: [] },
};

/** The live host, without the powers to write. */
function readOnly(live: Host): Host {
  const never = async (): Promise<never> => {
    throw new Error("a desk changes no kernel");
  };
  return {
    ...live,
    kernel: { ...live.kernel, perform: never },
    // Nobody starts a guard here, however long one waits.
    guard: { ...live.guard, alive: () => live.guard.alive(), own: never, restore: never },
    outside: { look: async () => nobodyElse, nftGeneration: () => 1 },
    log: () => {},
  };
}

async function openDesk(folder: string, change: Partial<Host>): Promise<Desk> {
  const folders = { state: join(folder, "state"), run: join(folder, "run") };
  const live = await liveHost({ ...folders, lib: scripts, backend: "userspace" });
  const host: Host = { ...readOnly(live), ...change };
  const parts: Parts = { host, store: openStore(folders), crypto, version: "0.0.0" };
  const agent = createAgent(parts, { rebind: async () => {} });
  await recover(agent);
  const requests = createRequests(agent, createPaths(host.clock));
  return {
    folder,
    parts,
    agent,
    requests,
    async send(box) {
      const bytes = await requests.handle(box, SOCKET);
      return bytes === undefined ? { status: 403, bytes: new Uint8Array() } : { status: 200, bytes };
    },
    again(other = change) {
      agent.runner.close();
      return openDesk(folder, other);
    },
    close() {
      agent.runner.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A fresh agent that nobody has enrolled. */
export function newDesk(change: Partial<Host> = {}): Promise<Desk> {
  return openDesk(mkdtempSync(join(tmpdir(), "holdfast-desk-")), change);
}

export type Enrolled = { readonly desk: Desk; readonly site: Site; readonly session: Session };

/** An agent that took its token and believes its operator's roster. */
export async function enrolledDesk(change: Partial<Host> = {}, site: Site = makeSite()): Promise<Enrolled> {
  const desk = await newDesk(change);
  const took = await enrol(desk.parts, site.token);
  if (!took.ok) throw new Error(JSON.stringify(took.problems));
  const router = await enrolRouter(site, desk.send);
  return { desk, site, session: new Session(site, router, desk.send) };
}
