/** Signed documents by number or digest, write-once, and the private files of the enrolment. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { equalBytes } from "../../schemas/digest.ts";
import type { DocumentKind, EnrolmentFile, Seeds } from "../ports.ts";
import { failpoint } from "./failpoint.ts";
import { syncFolder, writeDurable, writeOnce } from "./files.ts";

/** Directives that nothing names any more, kept so that a late copy finds its outcome. */
const OLD_DIRECTIVES = 64;

const places: Record<DocumentKind, { readonly folder: string; readonly prefix: string }> = {
  root: { folder: "trust", prefix: "root." },
  roster: { folder: "trust", prefix: "roster." },
  "key-report": { folder: ".", prefix: "keyreport." },
  receipt: { folder: "log", prefix: "" },
  "self-revoke": { folder: "trust", prefix: "revoke." },
};

const enrolmentFiles: Record<EnrolmentFile, string> = { token: "enrol.token", request: "enrol.request.dsse" };

export type Documents = {
  put(kind: DocumentKind, number: number, bytes: Uint8Array): void;
  numbers(kind: DocumentKind): readonly number[];
  read(kind: DocumentKind, number: number): Uint8Array | undefined;
  drop(kind: DocumentKind, number: number): void;
  setAside(kind: DocumentKind, number: number): void;
  putDirective(digest: string, envelope: Uint8Array): void;
  directive(digest: string): Uint8Array | undefined;
  directives(): readonly string[];
  pruneDirectives(keep: readonly string[]): void;
  seeds(): Seeds;
  enrolment(file: EnrolmentFile): Uint8Array | undefined;
  putEnrolment(file: EnrolmentFile, bytes: Uint8Array | null): void;
};

const readIfThere = (path: string): Uint8Array | undefined =>
  existsSync(path) ? new Uint8Array(readFileSync(path)) : undefined;

/** A seed file; made when it is absent. Throws when others may read it or it is damaged. */
function seedFile(path: string): Uint8Array {
  if (!existsSync(path)) writeOnce(path, `${crypto.getRandomValues(new Uint8Array(32)).toBase64()}\n`);
  if ((statSync(path).mode & 0o077) !== 0) throw new Error(`${path} is open to others: chmod 600 ${path}`);
  const seed = Uint8Array.fromBase64(readFileSync(path, "latin1").trim());
  if (seed.length !== 32) throw new Error(`${path} does not hold 32 bytes`);
  return seed;
}

export function openDocuments(state: string): Documents {
  for (const folder of ["trust", "log", "directives", "keys"]) {
    mkdirSync(join(state, folder), { recursive: true, mode: 0o700 });
  }
  const path = (kind: DocumentKind, number: number): string => {
    if (!Number.isSafeInteger(number) || number < 1) throw new Error(`no ${kind} has the number ${number}`);
    return join(state, places[kind].folder, `${places[kind].prefix}${number}.dsse`);
  };
  const directivePath = (digest: string): string => {
    if (!/^[0-9a-f]{64}$/.test(digest)) throw new Error("not a digest");
    return join(state, "directives", `${digest}.dsse`);
  };
  /** Write-once; what a crash left half is not there at all. */
  const put = (file: string, bytes: Uint8Array): void => {
    const held = readIfThere(file);
    if (held === undefined) writeOnce(file, bytes);
    else if (!equalBytes(held, bytes)) throw new Error(`${file} holds other bytes`);
  };
  /**
   * Trust documents that a crash left before the record named them may meet another one of that number. The record
   * never names such a leftover: a document that it names is followed, not replaced.
   */
  const replace = (file: string, bytes: Uint8Array): void => {
    const held = readIfThere(file);
    if (held === undefined || !equalBytes(held, bytes)) writeDurable(file, bytes);
  };
  return {
    put: (kind, number, bytes) =>
      kind === "root" || kind === "roster" ? replace(path(kind, number), bytes) : put(path(kind, number), bytes),
    numbers(kind) {
      const { folder, prefix } = places[kind];
      const pattern = new RegExp(`^${prefix.replace(".", "\\.")}([1-9][0-9]{0,14})\\.dsse$`);
      return readdirSync(join(state, folder))
        .flatMap((name) => pattern.exec(name)?.[1] ?? [])
        .map(Number)
        .sort((a, b) => a - b);
    },
    read: (kind, number) => (number < 1 ? undefined : readIfThere(path(kind, number))),
    drop(kind, number) {
      const file = path(kind, number);
      /* @__PURE__ */ failpoint("remove", file);
      rmSync(file, { force: true });
      /* @__PURE__ */ failpoint("removed", file);
      syncFolder(join(state, places[kind].folder));
    },
    setAside(kind, number) {
      const file = path(kind, number);
      /* @__PURE__ */ failpoint("rename", file);
      renameSync(file, `${file}.damaged`);
      /* @__PURE__ */ failpoint("renamed", file);
      syncFolder(join(state, places[kind].folder));
    },
    putDirective: (digest, envelope) => put(directivePath(digest), envelope),
    directive: (digest) => readIfThere(directivePath(digest)),
    directives: () =>
      readdirSync(join(state, "directives")).flatMap((name) => /^([0-9a-f]{64})\.dsse$/.exec(name)?.[1] ?? []),
    pruneDirectives(keep) {
      const old = this.directives()
        .filter((digest) => !keep.includes(digest))
        .map((digest) => ({ digest, atMs: statSync(directivePath(digest)).mtimeMs }))
        .sort((a, b) => b.atMs - a.atMs);
      for (const { digest } of old.slice(OLD_DIRECTIVES)) rmSync(directivePath(digest), { force: true });
    },
    seeds: () => ({ sign: seedFile(join(state, "keys/sign")), seal: seedFile(join(state, "keys/seal")) }),
    enrolment: (file) => readIfThere(join(state, enrolmentFiles[file])),
    putEnrolment(file, bytes) {
      const target = join(state, enrolmentFiles[file]);
      if (bytes !== null) writeDurable(target, bytes);
      else {
        rmSync(target, { force: true });
        syncFolder(state);
      }
    },
  };
}
