/** The negative corpus: complete against its catalogue, current, and refused with the exact code by every way in. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root, staleFiles } from "../../.ci/stale.ts";
import { openStatement } from "../../agent/core/dsse.ts";
import { stateText } from "../../agent/core/verify-state.ts";
import { sha256Hex } from "../../schemas/digest.ts";
import { limits } from "../../schemas/limits.ts";
import { decode, encode, type Messages } from "../../schemas/wire.ts";
import { freshProgram } from "../netns/program.ts";
import { startAgent, type VectorAgent } from "./agent.ts";
import { codesOf, leftOut, names } from "./catalogue.ts";
import { readCorpus } from "./corpus.ts";
import { plainOf, readGolden } from "./golden.ts";
import { goodBlobs, goodEnvelopes } from "./goods.ts";
import { filesOf } from "./make.ts";
import { byHttp, byLibrary, byProgram, clocks, isForHttp } from "./run.ts";
import * as world from "./world.ts";

setDefaultTimeout(240_000);

const corpus = readCorpus();
const named = new Set(corpus.map((vector) => vector.name.replace(/^nv-/, "")));
const control = corpus.filter((vector) => vector.code === "");

describe("the corpus", () => {
  test("is what its program writes", () => expect(staleFiles(filesOf())).toEqual([]));

  test("has every name of the catalogue, or a reason why not", () => {
    expect(names.filter((name) => !named.has(name) && leftOut[name] === undefined)).toEqual([]);
    expect(Object.keys(leftOut).filter((name) => named.has(name) || !names.includes(name))).toEqual([]);
    expect(names.filter((name) => named.has(name)).length).toBeGreaterThanOrEqual(150);
    expect(new Set(corpus.map((vector) => vector.name)).size).toBe(corpus.length);
  });

  test("reasons that name a test name one that exists", () => {
    const files = Object.values(leftOut).flatMap((why) => why.match(/tests\/[\w/]+\.test\.ts/g) ?? []);
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });

  test("gives each family the codes of this house", () => {
    const odd = corpus.filter(({ code, from }) => code !== "" && !codesOf[from]?.includes(code));
    expect(odd.map(({ name, from, code }) => `${name} ${from} ${code}`)).toEqual([]);
    const used = new Set(corpus.map(({ from, code }) => `${from} ${code}`));
    const idle = Object.entries(codesOf).flatMap(([from, codes]) => codes.map((code) => `${from} ${code}`));
    // The plan's class needs a kernel; tests/agent/requests.test.ts has it.
    expect(idle.filter((pair) => !used.has(pair))).toEqual(["E_CLASS admit.risk_class"]);
  });
});

describe("by the library", () => {
  for (const unixS of [null, ...clocks]) {
    test(`each vector is judged as it says, wall clock ${unixS ?? "unknown"}`, () => {
      const wrong = corpus.flatMap((vector) => {
        const told = byLibrary(vector, unixS);
        return told === undefined ? [] : [`${vector.name}: ${told}, not ${vector.code || "ok"}`];
      });
      expect(wrong).toEqual([]);
    });
  }

  test("a wrong expectation would be noticed", () => {
    const [vector] = corpus.filter((one) => one.code !== "");
    expect(byLibrary({ ...vector!, code: "trust.no_such" }, 0)).toBe(`the library says ${vector!.code}`);
    expect(byLibrary({ ...vector!, code: "" }, 0)).toBe(`the library says ${vector!.code}`);
    expect(byLibrary({ ...control[0]!, code: "wire.shape" }, 0)).toBe("the library says ok");
  });

  test("the base of every kind is accepted, so what is refused is the mutation", () => {
    const goods = [...goodEnvelopes, ...goodBlobs];
    const kinds = new Set(corpus.map((vector) => vector.kind));
    expect([...kinds].filter((kind) => !goods.some((good) => good.kind === kind))).toEqual([]);
    for (const { kind, bytes, state } of goods) {
      const vector = { name: "good", from: "", mutation: "", code: "", kind, bytes, state };
      expect([kind, byLibrary(vector, 0)]).toEqual([kind, undefined]);
    }
  });
});

/** A state, and beside it a file one byte longer than any that is judged; nothing of it is on the disk. */
function largeFile() {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-large-"));
  const file = join(folder, "file");
  writeFileSync(join(folder, "state.json"), stateText(world.baseState));
  writeFileSync(file, "");
  truncateSync(file, limits.bundleBytes + 1);
  return { folder, file, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

describe("by the program", () => {
  test("a slice of the vectors, clocks in turn", async () => {
    const { cli } = freshProgram();
    const slice = corpus.filter((_, i) => i % 8 === 3);
    expect(slice.length).toBeGreaterThanOrEqual(25);
    const wrong: string[] = [];
    for (const [i, vector] of slice.entries()) {
      const told = await byProgram(cli, vector, [null, ...clocks][i % 4] ?? null);
      if (told !== undefined) wrong.push(`${vector.name}: ${told}`);
    }
    expect(wrong).toEqual([]);
  });

  test("a file or a state that is not there is said", async () => {
    const { cli } = freshProgram();
    const times = ["--boottime", "1", "--now", "none"];
    const words = [...cli, "verify", "--state", "/nowhere", ...times, "--in", "/nowhere"];
    const said = Bun.spawnSync([...words, "--json"]);
    expect(JSON.parse(said.stdout.toString())).toMatchObject({ exit: 3, problems: [{ code: "cli.verify_file" }] });
    expect(Bun.spawnSync([...cli, "verify", "--state", "."]).exitCode).toBe(2);
    expect(Bun.spawnSync([...words, "--kind", "spell"]).exitCode).toBe(2);
    using large = largeFile();
    const long = Bun.spawnSync([...cli, "verify", "--state", large.folder, "--in", large.file, ...times]);
    expect([long.exitCode, long.stderr.toString()]).toEqual([3, expect.stringContaining("wire.too_large")]);
  });
});

describe("over HTTP, against a real agent", () => {
  let agent: VectorAgent;
  beforeAll(async () => {
    agent = await startAgent();
  });
  afterAll(() => agent.close());

  test("it gives out the very beacon that the corpus cites", async () => {
    const first = await startAgent({ challenges: [] });
    first.set({ bootMs: world.BEACON_MS, unixS: 0 });
    // The first one went out when it was started; a second has the next number and is otherwise the same.
    expect(first.beacon().message).toEqual({ ...world.beacon.message, number: 2n });
    await first.close();
  });

  test("operators get the signed code, strangers one word, and nothing changes", async () => {
    const wrong: string[] = [];
    const asked = corpus.filter(isForHttp);
    expect(asked.length).toBeGreaterThan(185);
    for (const [i, vector] of asked.entries()) {
      const told = await byHttp(agent, vector, clocks[i % clocks.length]!);
      if (told !== undefined) wrong.push(`${vector.name}: ${told}, not ${vector.code || "ok"}`);
    }
    expect(wrong).toEqual([]);
  });

  test("a wrong expectation would be noticed", async () => {
    const vector = corpus.find((one) => one.name === "nv-seq-max")!;
    expect(await byHttp(agent, { ...vector, code: "trust.parent" }, 0)).toBe(
      "the agent says 200 trust.generation_jump",
    );
  });
});

describe("golden bytes", () => {
  const golden = readGolden();

  test("of every kind are read to the values that were written", () => {
    const kinds = new Set(golden.map(({ kind, message }) => message || kind));
    expect(kinds.size).toBe(18);
    for (const { kind, message, digest, signers, value, base64 } of golden) {
      const bytes = Uint8Array.fromBase64(base64);
      if (kind === "blob") {
        if (message === "") throw new Error("a blob without a name");
        const read = decode(message, bytes);
        if (!read.ok) throw new Error(`${message}: ${read.problems[0]?.code}`);
        expect(plainOf(read.value)).toMatchObject(value);
        expect(sha256Hex(bytes)).toBe(digest);
        expect(encode(message, read.value as Messages[typeof message] as never)).toEqual(bytes);
        continue;
      }
      const opened = openStatement(world.crypto, kind, bytes);
      if (!opened.ok) throw new Error(`${kind}: ${opened.problems[0]?.code}`);
      // Fields that came later are at their zero; those that were there have not changed.
      expect(plainOf(opened.value.message)).toMatchObject(value);
      expect(opened.value.digest.toHex()).toBe(digest);
      expect(opened.value.signers.map((key) => key.toHex())).toEqual([...signers]);
    }
  });
});
