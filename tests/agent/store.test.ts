/** The durable state: what a cut at any point leaves, damaged copies, a full disk, and the arbiter. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { renderArtifacts } from "../../agent/core/artifacts.ts";
import { emptyRecord, parseRecord, type StateRecord } from "../../agent/core/record.ts";
import { openStore } from "../../agent/host/store.ts";
import type { Store } from "../../agent/ports.ts";
import { sha256, toHex } from "../../schemas/digest.ts";
import { clients, sampleDesired } from "../core/desireds.ts";

const base = mkdtempSync(join(tmpdir(), "holdfast-store-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

let serial = 0;
let state = "";
let store: Store;
const open = (): Store => openStore({ state, run: base });
const path = (...parts: readonly string[]): string => join(state, ...parts);
beforeEach(() => {
  serial += 1;
  state = join(base, `state${serial}`);
  store = open();
});

const record = (more: Partial<StateRecord>): StateRecord => ({ ...emptyRecord, ...more });

/** One byte of a file becomes another. */
function damage(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

test("what dead processes left half written is swept at the next start, and nothing of a living one", () => {
  const left = (writer: number): string => path("keys", `sign.${writer}.7.tmp`);
  const [gone, living] = [2 ** 30, process.ppid]; // no process has the first number
  for (const writer of [gone, process.pid, living]) writeFileSync(left(writer), "half");
  open();
  expect([gone, process.pid, living].map((writer) => existsSync(left(writer)))).toEqual([false, false, true]);
});

describe("records", () => {
  test("alternate, and the newer one holds", () => {
    expect(store.record()).toEqual(emptyRecord);
    store.writeRecord(record({ generation: 1n }));
    store.writeRecord(record({ generation: 2n }));
    expect(parseRecord(readFileSync(path("record.a"), "utf8"))?.generation).toBe(1n);
    expect(parseRecord(readFileSync(path("record.b"), "utf8"))?.generation).toBe(2n);
    expect(open().record()).toEqual(record({ generation: 2n, counter: 2 }));
  });

  test("cut anywhere in a write leave the one before", () => {
    store.writeRecord(record({ generation: 1n }));
    store.writeRecord(record({ generation: 2n }));
    const whole = statSync(path("record.b")).size;
    for (const size of [0, 1, whole >> 1, whole - 1]) {
      truncateSync(path("record.b"), size);
      expect(open().record().generation).toBe(1n);
    }
    // What a cut before the rename leaves beside them is nobody's.
    writeFileSync(path("record.b.77.1.tmp"), "counter=99");
    expect(open().record().generation).toBe(1n);
    const next = open();
    next.writeRecord(record({ generation: 3n }));
    expect(open().record()).toMatchObject({ generation: 3n, counter: 2 });
  });

  test("of which none is valid are told, and the next one starts anew", () => {
    store.writeRecord(record({ generation: 1n }));
    store.writeRecord(record({ generation: 2n }));
    expect(open().damaged()).toBe(false);
    damage(path("record.a"));
    expect(open().damaged()).toBe(false);
    damage(path("record.b"));
    const found = open();
    expect([found.damaged(), found.record()]).toEqual([true, emptyRecord]);
    found.writeRecord(record({ generation: 7n }));
    expect([open().damaged(), open().record().generation]).toEqual([false, 7n]);
  });
});

describe("the decision of a trial", () => {
  test("is made once", () => {
    store.createToken("t1");
    expect(store.decision("t1")).toBe("undecided");
    expect(store.decide("t1", "confirmed")).toBe("confirmed");
    expect(store.decide("t1", "rolled-back")).toBe("confirmed");
    expect(open().decision("t1")).toBe("confirmed");
    store.dropToken("t1");
    expect(store.decision("t1")).toBe("missing");
    expect(store.decide("t1", "confirmed")).toBe("missing");
  });

  test("goes to whoever renames first: the guard's rename wins over a later confirm", () => {
    store.createToken("t2");
    const moved = Bun.spawnSync(["mv", path("decision/t2.undecided"), path("decision/t2.rolled-back")]);
    expect(moved.exitCode).toBe(0);
    expect(store.decide("t2", "confirmed")).toBe("rolled-back");
    store.createToken("t3");
    store.createToken("t3"); // a repeat is the same token
    expect(readdirSync(path("decision")).sort()).toEqual(["t2.rolled-back", "t3.undecided"]);
    expect(() => store.decision("../x")).toThrow("not a token");
  });
});

describe("blobs", () => {
  const data = new Uint8Array(1000).map((_, i) => i & 255);
  const digest = sha256(data);
  const hex = toHex(digest);
  const part = (offset: number, length: number, from = data) => ({
    digest,
    size: data.length,
    offset,
    data: from.slice(offset, offset + length),
  });
  const codes = (result: ReturnType<Store["putChunk"]>): readonly string[] =>
    result.ok ? [] : result.problems.map((one) => one.code);

  test("arrive in parts, are checked, and survive an interrupted upload", () => {
    expect(store.putChunk(part(0, 400))).toEqual({ ok: true, value: undefined });
    expect(store.hasBlob(hex)).toBe(false);
    store = open();
    expect(codes(store.putChunk(part(0, 400)))).toEqual([]);
    expect(codes(store.putChunk(part(400, 300)))).toEqual([]);
    expect(codes(store.putChunk(part(400, 300)))).toEqual([]); // the answer was lost, the part came again
    expect(codes(store.putChunk(part(700, 300)))).toEqual([]);
    expect(store.readBlob(hex)).toEqual(data);
    expect(codes(store.putChunk(part(0, 1000)))).toEqual([]);
    expect(readdirSync(path("blobs"))).toEqual([hex]);
  });

  test("out of order, too long, or of another digest are refused", () => {
    expect(codes(store.putChunk(part(400, 300)))).toEqual(["blob.out_of_order"]);
    store.putChunk(part(0, 400));
    expect(codes(store.putChunk(part(700, 300)))).toEqual(["blob.out_of_order"]);
    expect(codes(store.putChunk({ ...part(400, 600), size: 500 }))).toEqual(["blob.out_of_order"]);
    expect(codes(store.putChunk(part(0, 1000, new Uint8Array(1000))))).toEqual(["blob.digest"]);
    expect(readdirSync(path("blobs"))).toEqual([]);
  });

  test("damaged on disk are gone, so that they are asked for again", () => {
    store.putChunk(part(0, 1000));
    damage(path("blobs", hex));
    expect(store.readBlob(hex)).toBe(undefined as never);
    expect(store.hasBlob(hex)).toBe(false);
  });
});

describe("generations", () => {
  const artifacts = renderArtifacts(sampleDesired(clients(3)));

  test("are whole in two copies, and either copy is enough and mends the other", () => {
    const named = store.putGeneration(artifacts);
    expect(store.readGeneration(named)).toEqual(sampleDesired(clients(3)));
    for (const copy of ["gen", "gen2"]) {
      damage(path(copy, named.desired, "peers"));
      expect(open().readGeneration(named)).toEqual(sampleDesired(clients(3)));
      const peers = (one: string): string => readFileSync(path(one, named.desired, "peers"), "utf8");
      expect(peers("gen")).toBe(peers("gen2"));
      expect(store.rulesetFile(named)).toBe(path("gen", named.desired, "ruleset.nft"));
    }
    rmSync(path("gen", named.desired), { recursive: true });
    expect(store.rulesetFile(named)).toBe(path("gen", named.desired, "ruleset.nft"));
    expect(existsSync(path("gen", named.desired, "manifest"))).toBe(true);
  });

  test("are whole when two copies are damaged in different files, as the boot script sees it", () => {
    const named = store.putGeneration(artifacts);
    damage(path("gen", named.desired, "ruleset.nft"));
    damage(path("gen2", named.desired, "peers"));
    rmSync(path("gen2", named.desired, "manifest"));
    expect(open().readGeneration(named)).toEqual(sampleDesired(clients(3)));
    for (const { name, text } of artifacts)
      for (const copy of ["gen", "gen2"]) expect(readFileSync(path(copy, named.desired, name), "utf8")).toBe(text);
  });

  test("are read from the good copy while the disk gives and takes nothing in the other one", () => {
    const named = store.putGeneration(artifacts);
    const file = path("gen", named.desired, "ruleset.nft");
    // A folder in the place of the file: who reads or replaces that fails, root as well.
    rmSync(file);
    mkdirSync(`${file}/x`, { recursive: true });
    expect(store.readGeneration(named)).toEqual(sampleDesired(clients(3)));
    expect(store.rulesetFile(named)).toBe(path("gen2", named.desired, "ruleset.nft"));
    rmSync(file, { recursive: true });
  });

  test("are nothing when both copies are damaged or a cut left half of one", () => {
    const named = store.putGeneration(artifacts);
    for (const copy of ["gen", "gen2"]) damage(path(copy, named.desired, "ruleset.nft"));
    expect(store.readGeneration(named)).toBe(undefined as never);
    expect(store.putGeneration(artifacts)).toEqual(named);
    expect(store.readGeneration(named)).toEqual(sampleDesired(clients(3)));
    mkdirSync(path("gen", `${named.desired}.new`));
    expect(open().putGeneration(artifacts)).toEqual(named);
    expect(store.readGeneration({ ...named, manifest: "0".repeat(64) })).toBe(undefined as never);
  });
});

describe("documents", () => {
  test("have numbers; only roots and rosters are ever replaced", () => {
    store.putDocument("roster", 2, new Uint8Array([2]));
    store.putDocument("roster", 10, new Uint8Array([10]));
    store.putDocument("roster", 10, new Uint8Array([10]));
    store.putDocument("receipt", 1, new Uint8Array([1]));
    expect(store.documentNumbers("roster")).toEqual([2, 10]);
    expect(store.document("roster", 10)).toEqual(new Uint8Array([10]));
    expect(store.document("root", 1)).toBe(undefined as never);
    expect(() => store.putDocument("receipt", 1, new Uint8Array([2]))).toThrow("other bytes");
    store.putDocument("self-revoke", 3, new Uint8Array([3]));
    expect(() => store.putDocument("self-revoke", 3, new Uint8Array([4]))).toThrow("other bytes");
    expect(open().documentNumbers("self-revoke")).toEqual([3]);
    store.dropDocument("self-revoke", 3);
    expect(open().documentNumbers("self-revoke")).toEqual([]);
    // A leftover of a crash: the record never named it.
    store.putDocument("roster", 10, new Uint8Array([11]));
    expect(open().document("roster", 10)).toEqual(new Uint8Array([11]));
    expect(() => store.putDocument("receipt", 0, new Uint8Array())).toThrow("number 0");
  });

  test("the router's keys are made once and are private", () => {
    const seeds = store.seeds();
    expect([seeds.sign.length, seeds.seal.length]).toEqual([32, 32]);
    expect(open().seeds()).toEqual(seeds);
    expect(statSync(path("keys/sign")).mode & 0o777).toBe(0o600);
    chmodSync(path("keys/sign"), 0o644);
    expect(() => open().seeds()).toThrow("chmod 600");
  });

  test("a state folder that others may read is refused", () => {
    chmodSync(state, 0o755);
    expect(open).toThrow("chmod 700");
  });
});

test("pruning keeps what is named, and a few of the newest", () => {
  const old = new Date(Date.now() - 3_600_000);
  const blobs: string[] = [];
  for (let n = 0; n < 20; n += 1) {
    const data = new Uint8Array([n]);
    const digest = sha256(data);
    store.putChunk({ digest, size: 1, offset: 0, data });
    blobs.push(toHex(digest));
    utimesSync(path("blobs", toHex(digest)), old, new Date(old.getTime() + n * 1000));
    store.putDirective(toHex(digest), data);
  }
  const generations = [1, 2, 3, 4, 5, 6].map((n) => store.putGeneration(renderArtifacts(sampleDesired(clients(n)))));
  for (const [n, { desired }] of generations.entries()) {
    for (const copy of ["gen", "gen2"]) utimesSync(path(copy, desired), old, new Date(old.getTime() + n * 1000));
  }
  const keep = { generations: [generations[0]!.desired], blobs: [blobs[0]!], directives: [blobs[0]!] };
  store.prune(keep);
  expect(store.hasBlob(blobs[0]!)).toBe(true);
  expect(blobs.filter((one) => store.hasBlob(one)).length).toBe(13);
  expect(store.hasBlob(blobs[1]!)).toBe(false);
  expect(readdirSync(path("gen")).length).toBe(4);
  expect(store.readGeneration(generations[0]!)).toEqual(sampleDesired(clients(1)));
  expect(store.readGeneration(generations[1]!)).toBe(undefined as never);
  expect(store.directives().length).toBe(20);
});

test("a full disk refuses new work, and what must be written has its reserve", () => {
  const disk = join(base, "disk");
  mkdirSync(disk, { mode: 0o700 });
  const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs", disk]);
  expect(mounted.exitCode).toBe(0);
  try {
    state = disk;
    store = open();
    expect(store.room(100_000)).toBe(true);
    store.createToken("t1");
    // Somebody else fills the disk to the last byte.
    Bun.spawnSync(["dd", "if=/dev/zero", `of=${join(disk, "foreign")}`, "bs=4k"]);
    const digest = sha256("x");
    const put = store.putChunk({ digest, size: 1, offset: 0, data: new TextEncoder().encode("x") });
    expect(put.ok ? "" : put.problems[0]?.code).toBe("agent.disk_full");
    expect(store.room(1)).toBe(false);
    // The trial in hand is still decided, recorded and told.
    expect(store.decide("t1", "rolled-back")).toBe("rolled-back");
    for (let n = 1n; n <= 5n; n += 1n) store.writeRecord(record({ generation: n }));
    store.putDocument("receipt", 1, new Uint8Array(5000));
    expect(open().record().generation).toBe(5n);
    expect(open().document("receipt", 1)?.length).toBe(5000);
    rmSync(join(disk, "foreign"));
    expect(store.room(1)).toBe(true); // and the reserve is made anew
    expect(statSync(join(disk, "reserve")).size).toBeGreaterThan(100_000);
  } finally {
    Bun.spawnSync(["umount", disk]);
  }
});
