/** What this machine remembers: the chain of receipts, and routers whose log went back or forked. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EMPTY_LOG } from "../../agent/core/receipts.ts";
import { checkHead, keepReceipts, keptReceipts, type Memory, readMemory } from "../../client/receipts-file.ts";
import { loadCrypto } from "../../client/sodium.ts";
import { body } from "./answers.ts";
import { enrolled } from "./enrolled.ts";

setDefaultTimeout(240_000); // each command is a process of its own

describe("history, show and receipts", () => {
  test("tell one story, each as text and as an object", async () => {
    using story = await enrolled();
    await story.ask("push", "--yes", "--note", "first day");
    await story.ask("push", "--yes", "--no-confirm");
    await story.ask("rollback");
    const history = await story.ask("history");
    expect([history.exit, history.stderr]).toEqual([0, ""]);
    expect(history.stdout).toMatch(/^1 +confirmed +2023-11-14 22:13:20 +alice +through api:127\.0\.0\.1 +first day$/m);
    expect(history.stdout).toMatch(/^2 +rolled back +2023-11-14 22:13:20 +alice +confirm\.aborted$/m);
    expect((await story.json("history")).json()).toMatchObject({
      verb: "history",
      generations: [
        { generation: 1, outcome: "confirmed", note: "first day" },
        { generation: 2, outcome: "rolled_back", cause: "confirm.aborted" },
      ],
    });
    const list = await story.json("receipts", "--from", "3");
    expect(list.json()).toMatchObject({
      verb: "receipts",
      head: { index: 5 },
      receipts: [{ index: 3 }, { index: 4 }, { index: 5 }],
    });
    const show = await story.ask("show", "2");
    expect(show.stdout).toContain("confirm.aborted");
    expect((await story.json("show", "2")).json()).toMatchObject({
      verb: "show",
      generation: 2,
      kept: true,
      receipts: [{ outcome: "trial" }, {}],
    });
    expect(await story.ask("show", "9")).toMatchObject({ exit: 3, codes: ["cli.no_generation"] });
    expect(await story.ask("show", "x")).toMatchObject({ exit: 2, codes: ["cli.usage"] });
    expect(await story.ask("receipts", "verfy")).toMatchObject({ exit: 2, codes: ["cli.usage"] });
    const verify = await story.json("receipts", "verify");
    expect(verify.json()).toMatchObject({ verb: "receipts", exit: 0, verified: 5, compared: true });
    story.router.close();
    expect((await story.place.at("receipts", "verify", "--offline")).stdout).toStartWith(
      "5 receipts of r1: every signature",
    );
    expect((await story.place.at("history", "--offline", "--json")).json().generations).toHaveLength(2);
  });
});

describe("diff", () => {
  test("names every value that differs from a pushed generation, and asks no router", async () => {
    using story = await enrolled();
    expect(await story.place.at("diff")).toMatchObject({ exit: 3, codes: ["cli.no_generation"] });
    await story.ask("push", "--yes");
    story.router.close();
    const same = await story.place.at("diff");
    expect([same.exit, same.stderr, same.stdout]).toEqual([0, "", "The site is what generation 1 was pushed from.\n"]);
    const path = join(story.place.site, "intent.yaml");
    writeFileSync(path, story.place.read("intent.yaml").replace("window_s: 120", "window_s: 60"));
    await story.place.at("client", "add", "bob", "--profile", "split", "--address", "10.99.0.9");
    const said = await story.place.at("diff", "1");
    expect(said.stdout).toStartWith("+ clients[bob].");
    expect(said.stdout).toContain("+ clients[bob].grants[home].addresses: 10.99.0.9\n");
    expect(said.stdout).toContain("- confirm.window_s: 120\n+ confirm.window_s: 60\n");
    const json = await story.place.at("diff", "--json");
    expect(json.json().changes).toContainEqual({ path: "confirm.window_s", before: "120", after: "60" });
    expect(await story.place.at("diff", "7")).toMatchObject({ exit: 3, codes: ["cli.no_generation"] });
    expect(await story.place.at("diff", "x")).toMatchObject({ exit: 2, codes: ["cli.usage"] });
  });
});

describe("a router whose disk was put back", () => {
  test("to an older state convicts itself: receipts.rewound", async () => {
    using story = await enrolled();
    await story.ask("push", "--yes");
    const older = story.router.receipts.slice(0, 1);
    story.router.receipts = older;
    for (const words of [["status"], ["push", "--yes"], ["history"], ["receipts", "verify"]]) {
      expect(await story.ask(...words)).toMatchObject({ exit: 3, stdout: "", codes: ["receipts.rewound"] });
    }
    expect((await story.place.at("history", "--offline")).stdout).toContain("confirmed");
  });

  test("and went on from there: receipts.forked at equal length, the broken link when it is longer", async () => {
    using story = await enrolled();
    await story.ask("push", "--yes");
    const { router } = story;
    router.receipts = router.receipts.slice(0, 1);
    router.log({ outcome: "trial", note: "another history" });
    router.log({ outcome: "confirmed" });
    expect(await story.ask("status")).toMatchObject({ exit: 3, codes: ["receipts.forked"] });
    router.log({ outcome: "trial" });
    expect(await story.ask("status")).toMatchObject({ exit: 3, codes: ["trust.receipt_chain"] });
  });

  test("rewrote what it had signed, under the same head: receipts verify finds it", async () => {
    using story = await enrolled();
    await story.ask("push", "--yes");
    const { router } = story;
    const honest = [...router.receipts];
    router.receipts = [];
    for (const { message } of honest) {
      const { index: _index, prev: _prev, ...entry } = message;
      router.log({ ...entry, note: "rewritten" });
    }
    const rewritten = router.receipts;
    router.receipts = honest;
    router.instead = (kind) =>
      kind === "receipts" ? body({ receipts: rewritten.map((one) => one.envelope) }) : undefined;
    expect(await story.ask("status")).toMatchObject({ exit: 0 }); // its head is the one we know
    expect(await story.ask("receipts", "verify")).toMatchObject({ exit: 3, codes: ["receipts.forked"] });
    // One that gives less than it says it has is no better.
    router.instead = (kind) => (kind === "receipts" ? body() : undefined);
    expect(await story.ask("receipts", "verify")).toMatchObject({ exit: 3, codes: ["receipts.rewound"] });
  });
});

describe("files on this machine", () => {
  test("that do not fit together are noticed, whichever was changed: receipts.damaged", async () => {
    using story = await enrolled();
    await story.ask("push", "--yes");
    const folder = join(story.place.state, "r1");
    const path = (name: string): string => join(folder, name);
    const offline = () => story.place.at("receipts", "verify", "--offline");
    const changes: readonly (readonly [name: string, code: string, change: (text: Buffer) => Buffer | null])[] = [
      ["head", "receipts.damaged", () => Buffer.from("index=3\n")],
      ["head", "receipts.damaged", (text) => Buffer.from(text.toString().replace("index=3", "index=2"))],
      ["head", "receipts.damaged", (text) => Buffer.from(text.toString().replace("index=3", "index=4"))],
      ["receipts/2.dsse", "receipts.damaged", () => null],
      [
        "receipts/2.dsse",
        "trust.bad_signature",
        (bytes) => Buffer.from(bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte))),
      ],
      ["receipts/2.dsse", "trust.receipt_chain", () => readFileSync(path("receipts/1.dsse"))],
    ];
    for (const [name, code, change] of changes) {
      const before = readFileSync(path(name));
      const after = change(before);
      if (after === null) rmSync(path(name));
      else writeFileSync(path(name), after);
      expect([name, (await offline()).codes]).toEqual([name, [code]]);
      writeFileSync(path(name), before);
    }
    expect((await offline()).exit).toBe(0);
    expect((await story.place.at("doctor", "--offline")).stdout).toContain("r1: 3 kept, chain whole");
  });

  test("an interrupted addition leaves the old head standing, and the next one goes on", async () => {
    using story = await enrolled();
    const { router } = story;
    const crypto = await loadCrypto();
    const folder = mkdtempSync(join(tmpdir(), "holdfast-memory-"));
    try {
      const start: Memory = { folder, head: EMPTY_LOG };
      router.log({ outcome: "trial" });
      router.log({ outcome: "confirmed" });
      const envelopes = router.receipts.map((one) => one.envelope);
      const one = keepReceipts(crypto, router.sign.publicKey, start, envelopes.slice(0, 1));
      if (!one.ok) throw new Error("not kept");
      // The files of a longer addition are there, its head is not: what a power cut leaves.
      const copy = join(folder, "head.before");
      copyFileSync(join(folder, "head"), copy);
      expect(keepReceipts(crypto, router.sign.publicKey, one.value.memory, envelopes.slice(1)).ok).toBe(true);
      copyFileSync(copy, join(folder, "head"));
      const memory = readMemory(folder);
      if (!memory.ok) throw new Error("no memory");
      expect(memory.value.head.index).toBe(1n);
      const again = keepReceipts(crypto, router.sign.publicKey, memory.value, envelopes.slice(1));
      expect(again).toMatchObject({ ok: true, value: { memory: { head: { index: 3n } } } });
      if (again.ok) expect(keptReceipts(crypto, router.sign.publicKey, again.value.memory)).toMatchObject({ ok: true });
      // A gap is refused, and changes nothing.
      const gap = keepReceipts(crypto, router.sign.publicKey, one.value.memory, envelopes.slice(2));
      expect(gap).toMatchObject({ ok: false, problems: [{ code: "trust.receipt_chain" }] });
      expect(checkHead(memory.value, { log_index: 0n, log_head: new Uint8Array(32) })).toMatchObject({ ok: false });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
