/**
 * The house: who imports whom, what is pure, what is generated, what is named. Each rule runs over the checkout
 * and over a sample that breaks it, so a rule that cannot fail is a failure too.
 */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import * as house from "../.ci/house.ts";
import * as imports from "../.ci/imports.ts";
import { toJsonSchema } from "../.ci/json-schema.ts";
import { extendLedger, ledgerLines, ledgerProblems, parseLedger } from "../.ci/ledger.ts";
import { protoFiles, readDeclarations } from "../.ci/proto.ts";
import { shapeDifferences } from "../.ci/shapes.ts";
import { readSource } from "../.ci/source.ts";
import { root, staleFiles } from "../.ci/stale.ts";
import { type Rule, readTree, type Tree, type Violation } from "../.ci/tree.ts";
import { bigint, codecs, long } from "../proto/gen/codecs.ts";
import { holdfast } from "../proto/gen/messages.js";
import * as table from "../proto/gen/table.ts";

const tree = readTree(root);
const declared = readDeclarations(protoFiles(join(root, "proto")));
const lines = (found: readonly Violation[]): string[] => found.map((one) => `${one.path}:${one.line}: ${one.what}`);
const places = (found: readonly Violation[]): string[] => found.map((one) => `${one.path}:${one.line}`);

type RuleCase = { name: string; rule: Rule; breaks: Record<string, string>; at: string[] };

// Spelled in parts: this file is held to the rule that it breaks here.
const machinePath = ["", "root", "x"].join("/");

const rules: RuleCase[] = [
  {
    name: "imports run one way",
    rule: imports.direction,
    breaks: {
      "agent/ports.ts": "",
      "agent/core/diff.ts": 'import { a } from "../ports.ts";\nexport { b } from "../../client/b.ts";',
      "agent/entry.ts": 'import "./main.ts";\nawait import("../client/main.ts");',
      "agent/host/nft.ts": 'import type { Host } from "../ports.ts";',
      "agent/http.ts": 'import { nft } from "./host/nft.ts";',
      "agent/main.ts": '// import "../client/b.ts"\nimport { nft } from "./host/nft.ts";\nimport "../tests/x.ts";',
      "client/b.ts": 'import { Hono } from "hono";\nimport("../agent/host/nft.ts");\nimport { x } from "./missing.ts";',
      "client/main.ts": 'import { diff } from "../agent/core/diff.ts";',
      "schemas/ip.ts": 'import {\n  readFileSync,\n} from "node:fs";',
      "tests/x.ts": 'import "../agent/host/nft.ts";',
    },
    at: [
      ...["agent/core/diff.ts:1", "agent/core/diff.ts:2", "agent/entry.ts:1", "agent/http.ts:1", "agent/main.ts:3"],
      ...["client/b.ts:1", "client/b.ts:2", "client/b.ts:3", "schemas/ip.ts:3"],
    ],
  },
  {
    name: "no import cycles",
    rule: imports.cycles,
    breaks: { "a.ts": 'import "./b.ts";', "b.ts": '\nimport type { C } from "./c.ts";', "c.ts": 'import "./a.ts";' },
    at: ["c.ts:1"],
  },
  {
    name: "schemas and agent/core are pure",
    rule: imports.purity,
    breaks: {
      "agent/core/a.ts": `const t = Date.now(); // Date\nconst p = "process" + \`\${Math.random()} Date\`;\nx.process; DateText;`,
      "agent/host/a.ts": "Date.now();",
      "schemas/digest.ts": 'new Bun.CryptoHasher("sha256");\nBun.file("x");\ncrypto.getRandomValues(x);',
      "schemas/wire.ts": "const re = /process/; setTimeout(f, 1);\nperformance.now();",
    },
    at: ["agent/core/a.ts:1", "agent/core/a.ts:2"].concat(
      ["schemas/digest.ts:2", "schemas/digest.ts:3"],
      ["schemas/wire.ts:1", "schemas/wire.ts:2"],
    ),
  },
  {
    name: "the client starts and serves nothing",
    rule: imports.clientPowers,
    breaks: {
      "client/a.ts": 'Bun.spawn(["x"]);\nimport { spawn } from "node:child_process";\nBun.serve({});',
      "client/git.ts": 'Bun.spawnSync(["git"]);',
      "client/replay/tools.ts": 'Bun.spawn(["nft"]);',
      "client/replay/yard.ts": 'Bun.spawn(["nft"]);',
    },
    at: ["client/a.ts:1", "client/a.ts:3", "client/a.ts:2", "client/replay/yard.ts:1"],
  },
  {
    name: "no utils, shared or helpers",
    rule: house.names,
    breaks: { "agent/utils/a.ts": "", "client/helpers.ts": "", "client/sharedkey.ts": "" },
    at: ["agent/utils/a.ts:1", "client/helpers.ts:1"],
  },
  {
    name: "files fit in the head",
    rule: house.lengths,
    breaks: { "agent/a.ts": "x\n".repeat(401), "agent/b.ts": "x\n".repeat(400), "proto/gen/a.ts": "x\n".repeat(999) },
    at: ["agent/a.ts:401"],
  },
  {
    name: "the agent never uses Bun.write",
    rule: house.stateWrites,
    breaks: {
      "agent/host/store.ts": '// Bun.write(a)\nawait Bun.write("record", text);',
      "tests/a.ts": "Bun.write(a)",
    },
    at: ["agent/host/store.ts:2"],
  },
  {
    name: "no machine's paths and no registry's host",
    rule: house.machines,
    breaks: { "docs/a.md": `fine\n${machinePath}`, "docs/b.md": `/$bunfs${machinePath}` },
    at: ["docs/a.md:2"],
  },
  {
    name: "versions are pinned and the lock names no host",
    rule: house.versions,
    breaks: {
      "package.json": '{ "dependencies": {\n  "hono": "^4.0.0",\n  "yaml": "2.9.1" } }',
      "package-lock.json": '{\n"resolved": "https://example.net/x.tgz" }',
    },
    at: ["package.json:2", "package-lock.json:2"],
  },
  {
    name: "links lead somewhere",
    rule: house.links,
    breaks: {
      "README.md":
        "# A\n[ok](docs/b.md#two-words) [gone](docs/c.md)\n`[code](x)` [web](https://example.net)\n[b](docs/b.md#no)",
      "docs/b.md": "## Two `words`\n[up](../README.md) [folder](../docs)",
    },
    at: ["README.md:2", "README.md:4"],
  },
];

describe("rules", () => {
  for (const { name, rule, breaks, at } of rules) {
    test(name, () => expect(lines(rule(tree))).toEqual([]));
    test(`${name}: the rule can fail`, () => expect(places(rule(new Map(Object.entries(breaks))))).toEqual(at));
  }

  test("the tree that the rules see is the folder on disk", () => {
    const folder = mkdtempSync(join(tmpdir(), "house-"));
    try {
      mkdirSync(join(folder, "agent/helpers"), { recursive: true });
      mkdirSync(join(folder, "node_modules"));
      writeFileSync(join(folder, "agent/helpers/a.ts"), 'await Bun.write("x", y);\n');
      writeFileSync(join(folder, "node_modules/helpers.ts"), "");
      writeFileSync(join(folder, "picture.bin"), "\0");
      const found: Tree = readTree(folder);
      expect([...found.keys()]).toEqual(["agent/helpers/a.ts"]);
      expect(places([...house.names(found), ...house.stateWrites(found)])).toEqual([
        "agent/helpers/a.ts:1",
        "agent/helpers/a.ts:1",
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("code is told from text", () => {
    const { code, imports: found } = readSource(
      `a = /["\`]/; b = \`x \${c("}")} y\`; // d\nimport { e } from "./f.ts";`,
    );
    expect(code.replace(/ +/g, " ")).toBe('a = / /; b = ` {c(" ")} `; \nimport { e } from " ";');
    expect(found).toEqual([{ specifier: "./f.ts", line: 2, lazy: false }]);
  });
});

describe("wire", () => {
  test("every number is in the ledger, and none was reused", () => {
    expect(ledgerProblems(ledgerLines(declared), parseLedger(tree.get("proto/LEDGER.md") ?? ""))).toEqual([]);
  });

  test("the ledger only grows and refuses a reused number", () => {
    const line = { section: "message A", number: 1, name: "a", type: "bytes" };
    const first = extendLedger("", [line, { ...line, section: "message B" }]);
    const second = extendLedger(first, [{ ...line, number: 2, name: "b" }]);
    expect(parseLedger(second)).toEqual([line, { ...line, number: 2, name: "b" }, { ...line, section: "message B" }]);
    expect(second.split("\n")).toEqual(expect.arrayContaining(first.split("\n")));
    expect(() => extendLedger(second, [{ ...line, name: "c" }])).toThrow("take a new number");
    expect(() => extendLedger(second, [{ ...line, number: 3 }])).toThrow("already has another number");
    expect(ledgerProblems([{ ...line, type: "string" }], [line])).toHaveLength(1);
    expect(ledgerProblems([{ ...line, number: 9, name: "z" }], [line])).toHaveLength(1);
  });

  const refused: Record<string, string> = {
    map: "message A { map<string, string> a = 1; }",
    oneof: "message A { oneof b { string a = 1; } }",
    "proto3 optional": "message A { optional string a = 1; }",
    float: "message A { float a = 1; }",
    "signed number": "message A { sint64 a = 1; }",
    "enum without a refused zero": "enum A { A_ONE = 0; }",
    "enum with a gap": "enum A { A_UNSPECIFIED = 0; A_TWO = 2; }",
    "nested message": "message A { message B { string a = 1; } }",
    service: "service A {}",
    group: "message A { group B = 1 { string c = 1; } }",
  };
  for (const [what, text] of Object.entries(refused)) {
    test(`the generator refuses a ${what}`, () => {
      const folder = mkdtempSync(join(tmpdir(), "proto-"));
      try {
        writeFileSync(join(folder, "a.proto"), `syntax = "proto3"; package x.v1; ${text}`);
        expect(() => readDeclarations(protoFiles(folder))).toThrow(/^A(\.\w+)?: |^illegal token/);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }

  test("the table names the fields of the static code", () => {
    const wrong = Object.entries(table.messages).flatMap(([name, fields]) => {
      const made = (holdfast.v1[name] as unknown as { prototype: object }).prototype;
      return fields.filter((field) => !Object.hasOwn(made, field.name)).map((field) => `${name}.${field.name}`);
    });
    expect(wrong).toEqual([]);
    expect(Object.keys(codecs)).toEqual(Object.keys(table.messages));
  });

  test("uint64 is exact up to 2^64-1, and a bare bigint would be lost", () => {
    const carry = (generation: unknown): unknown =>
      codecs.Directive.decode(codecs.Directive.encode({ generation }).finish()).generation;
    for (const value of [1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      expect(bigint(carry(long(value)) as ReturnType<typeof long>)).toBe(value);
    }
    expect(Object.values(carry(5n) as object).slice(0, 2)).toEqual([0, 0]);
  });

  test("every field has a schema and every schema key a field", async () => {
    // Loaded here so that a broken codec fails this test and not the whole house.
    const { shapes } = (await import("../schemas/wire.ts")) as { shapes: Record<string, object> };
    expect(lines(shapeDifferences(declared, shapes))).toEqual([]);
  });

  test("a difference between wire and schema is found", () => {
    const field = { name: "a", repeated: false, packed: false };
    const wire = {
      messages: new Map([
        [
          "A",
          [
            { ...field, number: 1, key: "a", type: "string" as const },
            { ...field, number: 2, key: "b", type: "uint64" as const },
            { ...field, number: 3, key: "c", type: "enum" as const, of: "E" },
            { ...field, number: 4, key: "d", type: "bytes" as const, repeated: true },
          ],
        ],
        ["B", []],
      ]),
      enums: new Map([
        [
          "E",
          [
            { number: 0, key: "E_UNSPECIFIED", word: "unspecified" },
            { number: 1, key: "E_ONE", word: "one" },
          ],
        ],
      ]),
    };
    const fits = { a: v.pipe(v.string(), v.minLength(1)), b: v.bigint(), c: v.picklist(["one"]) };
    const good = { A: v.strictObject({ ...fits, d: v.optional(v.array(v.instance(Uint8Array)), []) }) };
    expect(shapeDifferences(wire, { ...good, B: v.strictObject({}) })).toEqual([]);
    const bad = v.strictObject({ a: v.number(), b: v.number(), c: v.picklist(["two"]), e: v.string() });
    expect(shapeDifferences(wire, { A: bad, C: bad }).map((one) => one.what)).toEqual([
      "C: no such message",
      "A.e: key without a field",
      "A.a: is string on the wire, number in the schema",
      "A.b: is uint64 on the wire, number in the schema",
      "A.c: two: not in enum E",
      "A.d: field without a key",
      "B: message without a shape",
    ]);
  });
});

describe("generated and promised", () => {
  test("a stale or missing file is named", () => {
    const folder = mkdtempSync(join(tmpdir(), "stale-"));
    try {
      writeFileSync(join(folder, "a"), "1");
      writeFileSync(join(folder, "b"), "2");
      expect(staleFiles(new Map(Object.entries({ a: "1", b: "3", c: "4" })), folder)).toEqual(["b", "c"]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("an unknown schema kind is an error, not a guess", () => {
    const schema = v.strictObject({ a: v.optional(v.pipe(v.string(), v.regex(/^x$/, "must be x")), "x") });
    expect(toJsonSchema(schema)).toEqual({
      type: "object",
      additionalProperties: false,
      properties: { a: { type: "string", pattern: "^x$", description: "must be x", default: "x" } },
    });
    expect(() => toJsonSchema(v.date())).toThrow("no JSON Schema for the shape date");
    expect(() => toJsonSchema(v.pipe(v.string(), v.trim()))).toThrow("no JSON Schema for the action trim");
  });

  test("every problem code has its page", async () => {
    const { problems } = await import("../schemas/problem.ts");
    expect(problems.length).toBeGreaterThan(0);
    const codes = problems.map((entry) => entry.code);
    expect(lines(house.problemPages(tree, codes))).toEqual([]);
  });

  test("a code without a page and a page without a code are found", () => {
    const page = new Map([["docs/problems.md", "## a.b\n\n## c.d\n"]]);
    expect(house.problemPages(page, ["a.b", "e.f", "e.f"]).map((one) => one.what)).toEqual([
      "e.f has no heading of its own",
      "e.f has no heading of its own",
      "c.d is not a problem code",
      "e.f is listed twice",
    ]);
  });
});
