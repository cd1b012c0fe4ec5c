/**
 * What this router stands on: who it is, whom it trusts, which keys it reported, which generation it keeps. Read from
 * the store, remembered as long as the record names the same digests.
 */
import type { Desired } from "../schemas/desired.ts";
import { equalBytes, fromHex, toHex } from "../schemas/digest.ts";
import type { BoxKeys, SignKeys } from "./core/crypto.ts";
import { GENESIS } from "./core/directive.ts";
import { type Kind, type Opened, openStatement } from "./core/dsse.ts";
import type { StateRecord } from "./core/record.ts";
import { rosterRouter, type TrustView } from "./core/trust.ts";
import type { DocumentKind, Parts } from "./ports.ts";
import { createRevocations } from "./revocations.ts";

export type Identity = {
  readonly networkId: Uint8Array;
  readonly routerId: Uint8Array;
  readonly incarnation: number;
  readonly sign: SignKeys;
  readonly seal: BoxKeys;
};

/** The generation that is kept, with the directive that brought it. */
export type Kept = { readonly desired: Desired; readonly directive: Opened<"directive"> };

export type Standing = {
  /** undefined until `holdfastd enrol`. */
  identity(): Identity | undefined;
  /** Like identity, for code that runs only after the enrolment. */
  self(): Identity;
  /** undefined until a roster names this router. Keys that took themselves back count for nothing in it. */
  view(): TrustView | undefined;
  /** The documents of those digests as they were, without what was revoked since; undefined when one is not here. */
  viewAt(root: Uint8Array, roster: Uint8Array): TrustView | undefined;
  /** Takes a key back from now on, durably; `envelope` is the word of its holder, opened before. */
  revoke(key: Uint8Array, envelope: Uint8Array): void;
  keyReport(): Opened<"key-report"> | undefined;
  /** null before the first confirmed generation, and when both copies of its files are damaged (keptDamaged). */
  kept(): Kept | null;
  keptDamaged(): boolean;
  /** Statement digest that the next directive must name as its parent; 32 bytes. */
  parent(): Uint8Array;
  routerName(): string;
  /** The record with some fields replaced. */
  update(change: Partial<Omit<StateRecord, "counter">>): void;
  /** A stored directive, its signatures verified again; undefined when it is not there. */
  directive(digest: string): Opened<"directive"> | undefined;
};

export const hexBytes = (text: string): Uint8Array => {
  const bytes = fromHex(text);
  if (bytes === undefined) throw new Error("not hex digits");
  return bytes;
};

/** Computes again only when the key differs from the one before. */
function remember<T>(make: () => T): (key: string) => T {
  let last: { readonly key: string; readonly value: T } | undefined;
  return (key) => {
    if (last?.key !== key) last = { key, value: make() };
    return last.value;
  };
}

/** The stored document of that digest, newest first. */
function lookUp<K extends Kind & DocumentKind>(parts: Parts, kind: K, digest: string): Opened<K> | undefined {
  for (const number of [...parts.store.documentNumbers(kind)].reverse()) {
    const bytes = parts.store.document(kind, number);
    if (bytes === undefined) continue;
    const opened = openStatement(parts.crypto, kind, bytes);
    if (opened.ok && toHex(opened.value.digest) === digest) return opened.value;
  }
  return undefined;
}

/** Throws when the record names a document that is not there. */
function findDocument<K extends Kind & DocumentKind>(parts: Parts, kind: K, digest: string): Opened<K> {
  const found = lookUp(parts, kind, digest);
  if (found === undefined) throw new Error(`the ${kind} that the record names is not in the store`);
  return found;
}

function readIdentity({ store, crypto }: Parts): Identity | undefined {
  const bytes = store.enrolment("request");
  if (bytes === undefined) return undefined;
  const opened = openStatement(crypto, "enrol-request", bytes);
  if (!opened.ok) throw new Error(`the stored enrolment does not open: ${opened.problems[0]?.code}`);
  const { network_id, router_id, incarnation, sign_key, seal_key } = opened.value.message;
  const seeds = store.seeds();
  const [sign, seal] = [crypto.signKeys(seeds.sign), crypto.boxKeys(seeds.seal)];
  if (!equalBytes(sign.publicKey, sign_key) || !equalBytes(seal.publicKey, seal_key)) {
    throw new Error("the router's keys are not those that were enrolled");
  }
  return { networkId: network_id, routerId: router_id, incarnation, sign, seal };
}

export function createStanding(parts: Parts): Standing {
  const { store, crypto } = parts;
  let identity: Identity | undefined;
  const directive = (digest: string): Opened<"directive"> | undefined => {
    const bytes = store.directive(digest);
    if (bytes === undefined) return undefined;
    const opened = openStatement(crypto, "directive", bytes);
    return opened.ok ? opened.value : undefined;
  };
  const revocations = createRevocations(parts);
  const viewOf = remember((): TrustView | undefined => {
    const { root, roster } = store.record();
    if (root === "" || roster === "") return undefined;
    const revoked = revocations.keys();
    return { root: findDocument(parts, "root", root), roster: findDocument(parts, "roster", roster), revoked };
  });
  const reportOf = remember(() => {
    const { keys } = store.record();
    return keys === "" ? undefined : findDocument(parts, "key-report", keys);
  });
  const keptOf = remember((): Kept | null => {
    const { lkg } = store.record();
    if (lkg === null) return null;
    const desired = store.readGeneration(lkg);
    const opened = directive(lkg.directive);
    // Then the rescue ruleset is in force, and the next generation is planned as if it were the first.
    return desired === undefined || opened === undefined ? null : { desired, directive: opened };
  });
  const standing: Standing = {
    identity() {
      identity ??= readIdentity(parts);
      return identity;
    },
    self() {
      const self = standing.identity();
      if (self === undefined) throw new Error("not enrolled");
      return self;
    },
    view: () => viewOf(`${store.record().root} ${store.record().roster} ${revocations.keys().length}`),
    viewAt(rootDigest, rosterDigest) {
      const root = lookUp(parts, "root", toHex(rootDigest));
      const roster = lookUp(parts, "roster", toHex(rosterDigest));
      return root === undefined || roster === undefined ? undefined : { root, roster };
    },
    revoke(key, envelope) {
      const view = standing.view();
      if (view === undefined) throw new Error("a revocation without a roster");
      revocations.add(key, envelope, view.roster.message);
    },
    keyReport: () => reportOf(store.record().keys),
    kept: () => keptOf(`${store.record().lkg?.directive} ${store.record().lkg?.desired}`),
    keptDamaged: () => store.record().lkg !== null && standing.kept() === null,
    parent() {
      const { lkg } = store.record();
      return lkg === null ? GENESIS : hexBytes(lkg.directive);
    },
    routerName() {
      const view = standing.view();
      const entry = view === undefined ? undefined : rosterRouter(view, standing.self().routerId);
      if (entry === undefined) throw new Error("no roster names this router");
      return entry.id;
    },
    update: (change) => store.writeRecord({ ...store.record(), ...change }),
    directive,
  };
  return standing;
}
