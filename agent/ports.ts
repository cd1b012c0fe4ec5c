/**
 * The machine, by type. agent/host implements it on a real router; nothing above imports agent/host.
 * Every call states what it saw; none decides. Mutating calls go through the writer (fence, owner, token).
 */
import type { Desired } from "../schemas/desired.ts";
import type { Result } from "../schemas/problem.ts";
import type { Observed, Scope } from "./core/observed.ts";
import type { Step } from "./core/step.ts";

export type { Observed, ObservedLink, ObservedPeer, Scope } from "./core/observed.ts";

export type Rehearsal = {
  readonly listing: string; // what `nft -s list table` prints after a load in a scratch namespace
};

export type LaneCount = { readonly counter: string; readonly packets: number };

export type Kernel = {
  readonly backend: "kernel" | "userspace";
  observe(scope: Scope): Promise<Observed>;
  /** `nft -c` in the live namespace: kernel features, syntax. */
  checkNft(file: string, epoch: number): Promise<Result<void>>;
  /** Loads the file into a throw-away network namespace and lists it: the exact read-back to expect. */
  rehearseNft(file: string, epoch: number): Promise<Result<Rehearsal>>;
  /** True when a UDP socket can be bound to the port now. */
  portFree(port: number): Promise<boolean>;
  /** Performs one step as `owner`, refused by the writer when the owner or the token has changed. */
  perform(owner: string, token: string, step: Step, epoch: number): Promise<Result<void>>;
  counters(): Promise<readonly LaneCount[]>;
};

/** WireGuard key material: private halves never leave the folder. */
export type KeyStore = {
  /** Makes a key pair durably (write-once, fsynced) and returns the public key. */
  makeWgKey(): Promise<string>;
  hasWgKey(publicKey: string): Promise<boolean>;
  /** Writes a PSK under its commitment, write-once. */
  putPsk(commitment: string, psk: Uint8Array): Promise<void>;
  hasPsk(commitment: string): Promise<boolean>;
};

export type RestoreResult = {
  readonly outcome: "restored" | "rescue" | "failed";
  readonly by: string; // guard | agent | boot
  readonly cause: string; // problem code
  readonly token: string;
  readonly epoch: number;
  readonly lkg: string;
  readonly atBootMs: number;
  readonly detail: string;
};

/** The dead-man outside the agent, and the one restore script all three of guard, boot and agent run. */
export type Guard = {
  alive(): Promise<boolean>; // heart-beaten within the last 3 s
  arm(trial: { readonly token: string; readonly deadlineBootMs: number }): Promise<void>; // and read back
  disarm(token: string): Promise<void>;
  armed(): Promise<string | undefined>; // the token
  heartbeat(): Promise<void>;
  /** Takes writer ownership for this agent process; the owner id is fresh. Fences an earlier writer first. */
  own(): Promise<string>;
  /** Runs holdfast-restore by the agent; fences, restores LKG from artifacts, reads back twice. */
  restore(cause: string, token: string): Promise<RestoreResult>;
  lastResult(): Promise<RestoreResult | undefined>;
};

export type Clock = {
  bootMs(): number; // CLOCK_BOOTTIME
  unixS(): number;
  bootId(): Uint8Array; // 16
  /** Calls back once when bootMs() >= at; survives wall-clock jumps. Returns a cancel function. */
  at(bootMs: number, run: () => void): () => void;
};

export type ProbeResult = { readonly id: string; readonly passed: boolean; readonly detail: string };

export type Log = (event: string, fields: Readonly<Record<string, string | number | boolean>>) => void;

export type Host = {
  readonly clock: Clock;
  readonly random: (bytes: number) => Uint8Array;
  readonly kernel: Kernel;
  readonly keys: KeyStore;
  readonly guard: Guard;
  readonly probe: (probe: Desired["probes"][number], desired: Desired) => Promise<ProbeResult>;
  readonly log: Log;
};
