/** Content-addressed blobs: blobs/<hex>, uploaded in order into blobs/<hex>.part, checked on completion and on read. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { sha256Hex, toHex } from "../../schemas/digest.ts";
import type { BlobDelta } from "../../schemas/directive.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { applyDelta } from "../core/delta.ts";
import type { BlobChunk } from "../ports.ts";
import { failpoint } from "./failpoint.ts";
import { syncFolder } from "./files.ts";
import type { Space } from "./store-space.ts";

/** A list without entries encodes to no bytes; every router holds that blob. */
const EMPTY = sha256Hex("");
/** Uploads that may be open at a time; the oldest gives way. */
const PARTS_MAX = 8;
/** A blob that nothing refers to yet may wait for its directive among this many. */
const LOOSE_MAX = 12;

export type Blobs = {
  has(digest: string): boolean;
  putChunk(chunk: BlobChunk): Result<void>;
  putDelta(delta: BlobDelta): Result<void>;
  read(digest: string): Uint8Array | undefined;
  prune(keep: readonly string[]): void;
};

type Entry = { readonly name: string; readonly atMs: number };

export function openBlobs(state: string, space: Space): Blobs {
  const folder = join(state, "blobs");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = (digest: string): string => {
    if (!/^[0-9a-f]{64}$/.test(digest)) throw new Error("not a digest");
    return join(folder, digest);
  };
  /** Names that end so, newest first. */
  const entries = (suffix: RegExp): readonly Entry[] =>
    readdirSync(folder)
      .filter((name) => suffix.test(name))
      .map((name) => ({ name, atMs: statSync(join(folder, name)).mtimeMs }))
      .sort((a, b) => b.atMs - a.atMs);

  const append = (file: string, data: Uint8Array, fresh: boolean): void => {
    const fd = openSync(file, fresh ? "w" : "a", 0o600);
    try {
      /* @__PURE__ */ failpoint("write", file);
      for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at);
      /* @__PURE__ */ failpoint("flush", file);
      fsyncSync(fd);
      /* @__PURE__ */ failpoint("flushed", file);
    } finally {
      closeSync(fd);
    }
  };

  /** Gives the finished upload its name if it is what it claims to be. */
  const finish = (digest: string, part: string): Result<void> => {
    if (sha256Hex(readFileSync(part)) !== digest) {
      rmSync(part);
      return refuse("blob.digest", digest, "the bytes that arrived have another digest");
    }
    /* @__PURE__ */ failpoint("rename", part);
    renameSync(part, path(digest));
    /* @__PURE__ */ failpoint("renamed", part);
    syncFolder(folder);
    return done(undefined);
  };

  const read = (digest: string): Uint8Array | undefined => {
    if (digest === EMPTY) return new Uint8Array();
    if (!existsSync(path(digest))) return undefined;
    const bytes = new Uint8Array(readFileSync(path(digest)));
    if (sha256Hex(bytes) === digest) return bytes;
    // Damaged on disk: without it the next upload is asked for again.
    rmSync(path(digest), { force: true });
    return undefined;
  };

  return {
    has: (digest) => digest === EMPTY || existsSync(path(digest)),
    putChunk({ digest, size, offset, data }) {
      const hex = toHex(digest);
      if (existsSync(path(hex))) return done(undefined);
      const part = `${path(hex)}.part`;
      const held = existsSync(part) ? statSync(part).size : 0;
      if (offset + data.length > size) return refuse("blob.out_of_order", hex, "the part reaches past the end");
      const repeated = offset + data.length === held && held > 0;
      if (offset !== 0 && offset !== held && !repeated) {
        return refuse("blob.out_of_order", hex, `expected the part at ${held}`);
      }
      if (!space.room(size - offset)) return refuse("agent.disk_full", hex, `no room for a blob of ${size} bytes`);
      if (offset === held || offset === 0) {
        for (const old of entries(/\.part$/).slice(PARTS_MAX - 1)) {
          if (join(folder, old.name) !== part) rmSync(join(folder, old.name), { force: true });
        }
        append(part, data, offset === 0);
      }
      return statSync(part).size === size ? finish(hex, part) : done(undefined);
    },
    putDelta(delta) {
      const hex = toHex(delta.digest);
      if (existsSync(path(hex))) return done(undefined);
      const base = read(toHex(delta.base));
      if (base === undefined) return refuse("blob.missing", toHex(delta.base), "the base of a delta");
      if (!space.room(delta.size)) return refuse("agent.disk_full", hex, `no room for a blob of ${delta.size} bytes`);
      const made = applyDelta(base, delta);
      if (!made.ok) return made;
      const part = `${path(hex)}.part`;
      append(part, made.value, true);
      return finish(hex, part);
    },
    read,
    prune(keep) {
      const loose = entries(/^[0-9a-f]{64}$/).filter((entry) => !keep.includes(entry.name));
      for (const old of loose.slice(LOOSE_MAX)) rmSync(join(folder, old.name), { force: true });
    },
  };
}
