/** The kernel port on a real machine: reads by ip, wg and nft; writes only through the writer. */
import { createSocket } from "node:dgram";
import { join } from "node:path";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { Step } from "../core/step.ts";
import type { Kernel, Observed, ObservedLink, Scope } from "../ports.ts";
import { writeDurable } from "./files.ts";
import { readAddresses, readLinks, readRoutes, readRules, routeArgv, ruleArgv } from "./ip.ts";
import { nftGeneration } from "./netlink.ts";
import { checkFile, epochWord, listCounters, listTable, loadArgv, rehearseFile } from "./nft.ts";
import type { Run } from "./run.ts";
import { readSysctls } from "./sysctl.ts";
import { deviceArgv, MissingKey, peersArgv, removeArgv, showDevice } from "./wg.ts";
import type { Writer } from "./writer.ts";

export type Backend = "kernel" | "userspace";

export type KernelParts = {
  readonly run: Run;
  readonly write: Writer;
  readonly backend: Backend;
  readonly state: string;
  readonly runFolder: string;
  readonly lib: string;
};

/** Asks the kernel for a WireGuard device in a namespace that ends with the question. */
export async function detectBackend(run: Run): Promise<Backend> {
  const out = await run(["unshare", "-n", "ip", "link", "add", "hf-probe", "type", "wireguard"]);
  return out.exit === 0 ? "kernel" : "userspace";
}

async function observeLinks(run: Run, names: readonly string[]): Promise<ObservedLink[]> {
  const links = await readLinks(run);
  const found = await Promise.all(
    [...new Set(names)].sort().map(async (name) => {
      const link = links.get(name);
      if (link === undefined) return [];
      const device = await showDevice(run, name);
      return [{ ...link, ...(device ?? { port: 0, fwmark: 0, publicKey: "", peers: [] }) }];
    }),
  );
  return found.flat();
}

async function observe(run: Run, scope: Scope): Promise<Observed> {
  // The generation is read before and after: an answer never mixes two rulesets.
  for (let attempt = 0; ; attempt += 1) {
    const before = nftGeneration();
    const [links, addresses, routes, rules, nft] = await Promise.all([
      observeLinks(run, scope.links),
      readAddresses(run, scope.addressInterfaces),
      readRoutes(run),
      readRules(run),
      listTable(run),
    ]);
    const sysctls = readSysctls(scope.sysctls);
    const nftGenerationNow = nftGeneration();
    if (before === nftGenerationNow || attempt >= 4)
      return { links, addresses, routes, rules, sysctls, nft, nftGeneration: nftGenerationNow };
  }
}

function canBind(type: "udp4" | "udp6", port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket({ type, ipv6Only: type === "udp6" });
    socket.once("error", (failure: NodeJS.ErrnoException) => {
      socket.close();
      // No such family on this machine: nobody can hold the port there.
      resolve(failure.code !== "EADDRINUSE" && failure.code !== "EACCES");
    });
    socket.bind({ port, exclusive: true }, () => socket.close(() => resolve(true)));
  });
}

/** What a command may complain about because its goal is reached already. */
const ALREADY: Partial<Record<Step["kind"], RegExp>> = {
  "link.remove": /Cannot find device/,
  // The second forms are the kernel's own words, since it explains itself (extended acknowledgements).
  "address.add": /File exists|already assigned/,
  "address.remove": /Cannot assign requested address|ddress not found|Cannot find device/,
  "route.remove": /No such process|Cannot find device/,
  "rule.add": /File exists/,
  "rule.remove": /No such file or directory|rule does not exist/,
};

/** Commands of a step, in order; nearly always one. Throws MissingKey. */
function stepCommands(parts: KernelParts, step: Step, epoch: number): string[][] {
  const tool = join(parts.lib, "holdfast-step");
  const keys = join(parts.state, "keys");
  switch (step.kind) {
    case "sysctl.set": // an empty value puts the saved original back
      return [[tool, "sysctl", parts.state, step.key, step.value === "" ? "-" : step.value]];
    case "link.add":
      return [[tool, "link-add", parts.runFolder, parts.backend, step.name, String(step.mtu)]];
    case "link.mtu":
      return [["ip", "link", "set", "dev", step.name, "mtu", String(step.mtu)]];
    case "link.up":
      return [["ip", "link", "set", "dev", step.name, "up"]];
    case "link.remove":
      return [[tool, "link-remove", parts.runFolder, step.name]];
    case "wg.device":
      return [deviceArgv(keys, step)];
    case "wg.peers":
      return peersArgv(keys, step.name, step.peers);
    case "wg.remove":
      return removeArgv(step.name, step.publicKeys);
    case "address.add":
      return [[tool, "address-add", parts.runFolder, step.address.interface, step.address.cidr]];
    case "address.remove":
      return [[tool, "address-remove", parts.runFolder, step.address.interface, step.address.cidr]];
    case "route.add":
      return [routeArgv("replace", step.route)];
    case "route.remove":
      return [routeArgv("del", step.route)];
    case "rule.add":
      return [ruleArgv("add", step.rule)];
    case "rule.remove":
      return [ruleArgv("del", step.rule)];
    case "nft.load": {
      // From a whole, synced file: a stream that breaks off would commit what had arrived.
      const file = join(parts.runFolder, "step.nft");
      writeDurable(file, step.text);
      if (step.mode === "delta") return [loadArgv(file, epoch)];
      return [[tool, "nft-full", parts.runFolder, file, epochWord(epoch)]];
    }
  }
}

async function perform(
  parts: KernelParts,
  owner: string,
  token: string,
  step: Step,
  epoch: number,
): Promise<Result<void>> {
  let commands: string[][];
  try {
    commands = stepCommands(parts, step, epoch);
  } catch (failure) {
    if (failure instanceof MissingKey) return refuse("apply.key_missing", step.kind, failure.message);
    throw failure;
  }
  for (const argv of commands) {
    const result = await parts.write(owner, token, argv, step.kind, ALREADY[step.kind]);
    if (!result.ok) return result;
  }
  return done(undefined);
}

export function createKernel(parts: KernelParts): Kernel {
  const { run } = parts;
  return {
    backend: parts.backend,
    observe: (scope) => observe(run, scope),
    checkNft: (file, epoch) => checkFile(run, file, epoch),
    rehearseNft: (file, epoch) => rehearseFile(run, file, epoch),
    portFree: async (port) => (await canBind("udp4", port)) && (await canBind("udp6", port)),
    perform: (owner, token, step, epoch) => perform(parts, owner, token, step, epoch),
    counters: () => listCounters(run),
  };
}
