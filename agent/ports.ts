/**
 * The machine, by type. agent/host implements it on a real router; nothing above imports agent/host.
 * Every call states what it saw; none decides. Mutating calls go through the writer (fence, owner, token).
 */
import type { Desired } from "../schemas/desired.ts";
import type { BlobDelta } from "../schemas/directive.ts";
import type { Result } from "../schemas/problem.ts";
import type { Artifact } from "./core/artifacts.ts";
import type { Crypto } from "./core/crypto.ts";
import type { Probation } from "./core/health-probation.ts";
import type { Quarantined } from "./core/health-quarantine.ts";
import type { Uplink } from "./core/health-uplinks.ts";
import type { Decision } from "./core/lifecycle.ts";
import type { Observed, Scope } from "./core/observed.ts";
import type { OutsideScope, OutsideSeen } from "./core/outside.ts";
import type { RecordedGeneration, StateRecord } from "./core/record.ts";
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

/** What other programs did to this machine. */
export type OutsideWorld = {
  /** Throws never: what cannot be read is named in the answer. Several programs' worth of time. */
  look(scope: OutsideScope): Promise<OutsideSeen>;
  /** Generation id of the nftables ruleset: one netlink question, no program. */
  nftGeneration(): number;
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
  /** Heart-beaten within the last 3 s; waits up to `waitMs` for a guard that is busy with a restore of its own. */
  alive(waitMs?: number): Promise<boolean>;
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

export type BlobChunk = {
  readonly digest: Uint8Array; // SHA-256 of the whole blob
  readonly size: number;
  readonly offset: number;
  readonly data: Uint8Array;
};

/** Both seeds of 32 bytes, from which the router's own keys follow. */
export type Seeds = { readonly sign: Uint8Array; readonly seal: Uint8Array };

/**
 * Durable state: when a call returns, a power cut does not undo it. Calls are synchronous, so no two of them mix.
 * Names of digests are 64 hex digits. System errors are thrown; a full disk is seen by `room` before work begins,
 * and records, receipts and tokens have a reserve of their own.
 */
export type Store = {
  /** The record in force. Of a router that never had one: the empty record. */
  record(): StateRecord;
  /** True when record files exist and none is valid: nothing may be derived from record() then. */
  damaged(): boolean;
  /** True when the disk holds a newer record than record(): this process came back from the past. It writes no more. */
  overtaken(): boolean;
  /** Makes the record with the next counter the one in force. Throws when overtaken. */
  writeRecord(next: Omit<StateRecord, "counter">): void;

  createToken(token: string): void;
  decision(token: string): Decision | "missing";
  /** The arbiter: one atomic rename of an undecided token. Answers with what holds afterwards, whoever won. */
  decide(token: string, as: "confirmed" | "rolled-back"): Decision | "missing";
  dropToken(token: string): void;
  /** Tokens that exist, in whatever state. */
  tokens(): readonly string[];

  hasBlob(digest: string): boolean;
  /** Takes the next part of an upload, or the first again. Refuses blob.out_of_order, blob.digest, agent.disk_full. */
  putChunk(chunk: BlobChunk): Result<void>;
  /** Makes a blob from one that is held. Refuses blob.missing (the base), blob.delta, blob.digest, agent.disk_full. */
  putDelta(delta: BlobDelta): Result<void>;
  /** The blob, its digest checked; undefined when it is absent or damaged (then it is removed). */
  readBlob(digest: string): Uint8Array | undefined;

  /** Writes both copies of a generation's files and returns what names them. */
  putGeneration(artifacts: readonly Artifact[]): { readonly desired: string; readonly manifest: string };
  /** The generation from an intact copy, which also mends the other; undefined when no copy is intact. */
  readGeneration(generation: Pick<RecordedGeneration, "desired" | "manifest">): Desired | undefined;
  /** Path of the intact ruleset of a generation; undefined when there is none. */
  rulesetFile(generation: Pick<RecordedGeneration, "desired" | "manifest">): string | undefined;

  /** What would name the stored generation of that digest, for a router that lost its record; undefined: not intact. */
  findGeneration(desired: string): Pick<RecordedGeneration, "desired" | "manifest"> | undefined;

  /** Documents by kind and number. Only a root or roster is ever replaced: other bytes of the rest throw. */
  putDocument(kind: DocumentKind, number: number, bytes: Uint8Array): void;
  /** Numbers that exist, ascending. */
  documentNumbers(kind: DocumentKind): readonly number[];
  document(kind: DocumentKind, number: number): Uint8Array | undefined;
  dropDocument(kind: "self-revoke", number: number): void;
  /** Out of the way of the next one of that number, with `.damaged` behind its name; it is looked at by people only. */
  setDocumentAside(kind: "receipt", number: number): void;

  putDirective(digest: string, envelope: Uint8Array): void;
  directive(digest: string): Uint8Array | undefined;
  directives(): readonly string[];

  /** The router's own keys, made at the first call. */
  seeds(): Seeds;
  /** Small private files of the enrolment; undefined: absent. null removes. */
  enrolment(file: EnrolmentFile): Uint8Array | undefined;
  putEnrolment(file: EnrolmentFile, bytes: Uint8Array | null): void;

  /** True when `bytes` more fit without touching the reserve. */
  room(bytes: number): boolean;
  /** What the outside was when the kept generation was confirmed, as core/outside.ts writes it; undefined: not known. */
  outside(): string | undefined;
  putOutside(text: string): void;
  /** A file of the run folder for programs to read; replaced by the next call with that name. */
  scratch(name: string, text: string): string;
  /** A note of the run folder, whole or not there, which need not outlive a power cut; undefined: absent. */
  note(name: string): string | undefined;
  putNote(name: string, text: string): void;
  /** Contents taken back for their own fault, newest last; `damaged`: the file was there and cannot be read. */
  quarantine(): { readonly entries: readonly Quarantined[]; readonly damaged: boolean };
  putQuarantine(entries: readonly Quarantined[]): void;
  /** The kept generation that has not survived a reboot yet; undefined: none, or the file cannot be read. */
  probation(): Probation | undefined;
  putProbation(probation: Probation | null): void;
  /** Removes generations, blobs and directives that are not in `keep` and not among the newest few. */
  prune(keep: Keep): void;
};

export type DocumentKind = "root" | "roster" | "key-report" | "receipt" | "self-revoke";
export type EnrolmentFile = "token" | "request";

export type Keep = {
  readonly generations: readonly string[];
  readonly blobs: readonly string[];
  readonly directives: readonly string[];
};

export type Host = {
  readonly clock: Clock;
  readonly random: (bytes: number) => Uint8Array;
  readonly kernel: Kernel;
  readonly outside: OutsideWorld;
  readonly keys: KeyStore;
  readonly guard: Guard;
  readonly probe: (probe: Desired["probes"][number], desired: Desired) => Promise<ProbeResult>;
  /** Interfaces with a default route and those named, as they are without us. Throws when the kernel does not answer. */
  readonly uplinks: (named: readonly string[]) => Promise<readonly Uplink[]>;
  readonly log: Log;
};

/** What every part of the agent is given. */
export type Parts = {
  readonly host: Host;
  readonly store: Store;
  readonly crypto: Crypto;
  readonly version: string; // of this agent, for status
};
