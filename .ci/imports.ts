/**
 * Who may import whom: proto <- schemas <- agent/core <- {agent, client}. Only agent/main.ts loads agent/host,
 * agent/entry.ts reaches agent/main.ts and client/main.ts lazily, and the client knows no host, server or spawn.
 */
import { posix } from "node:path";
import { type Import, readSource } from "./source.ts";
import type { Rule, Tree, Violation } from "./tree.ts";

/** The part of the house that a path belongs to; "work" is tests, bench and .ci, which may look anywhere. */
function roomOf(path: string): string {
  if (path.startsWith("proto/")) return "proto";
  if (path.startsWith("schemas/")) return "schemas";
  if (path.startsWith("agent/core/")) return "agent/core";
  if (path.startsWith("agent/host/")) return "agent/host";
  if (path.startsWith("agent/")) return "agent";
  if (path.startsWith("client/")) return "client";
  return "work";
}

const ROOMS: Readonly<Record<string, readonly string[]>> = {
  proto: ["proto"],
  schemas: ["schemas", "proto"],
  "agent/core": ["agent/core", "schemas"],
  "agent/host": ["agent/host", "agent/core", "schemas"],
  agent: ["agent", "agent/core", "schemas"],
  client: ["client", "agent/core", "schemas"],
};

/** Packages that each room may import; "node:" stands for every built-in, "bun" for the runtime's own modules. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  proto: ["protobufjs/minimal.js"],
  schemas: ["valibot", "protobufjs/minimal.js"],
  "agent/core": ["valibot"],
  "agent/host": ["valibot", "libsodium-wrappers", "node:", "bun"],
  agent: ["valibot", "libsodium-wrappers", "hono", "yaml", "node:", "bun"],
  client: ["valibot", "libsodium-wrappers", "yaml", "uqr", "node:"],
};

const isLocal = (specifier: string): boolean => /^\.{1,2}\//.test(specifier);

/** Path of a relative import inside the tree. */
export function resolveImport(from: string, specifier: string): string {
  return posix.normalize(posix.join(posix.dirname(from), specifier));
}

function packageAllowed(room: string, specifier: string): boolean {
  return (PACKAGES[room] ?? []).some((name) =>
    name === "node:" || name === "bun"
      ? specifier.startsWith(name)
      : specifier === name || specifier.startsWith(`${name}/`),
  );
}

/** Named exceptions to the table of rooms; package.json is where the version is written. */
function exception(from: string, to: string, found: Import): boolean {
  if (to === "package.json") return ["agent", "client"].includes(roomOf(from));
  if (from === "agent/main.ts" && roomOf(to) === "agent/host") return true;
  if (from === "agent/entry.ts") return found.lazy && (to === "agent/main.ts" || to === "client/main.ts");
  return roomOf(from) === "agent/host" && to === "agent/ports.ts";
}

function judge(tree: Tree, from: string, found: Import): string | undefined {
  const room = roomOf(from);
  if (!isLocal(found.specifier)) {
    if (room === "work" || packageAllowed(room, found.specifier)) return undefined;
    if (from === "client/git.ts" && found.specifier === "bun") return undefined;
    if (from === "client/replay/libc.ts" && found.specifier === "bun:ffi") return undefined;
    return `${room} must not import ${found.specifier}`;
  }
  const to = resolveImport(from, found.specifier);
  if (!tree.has(to)) return `${found.specifier} does not exist (relative imports name the file with its ending)`;
  if (room === "work" || exception(from, to, found)) return undefined;
  if (from === "agent/entry.ts") return `the entry only imports the two mains, lazily; not ${to}`;
  const there = roomOf(to);
  return (ROOMS[room] ?? []).includes(there) ? undefined : `${room} must not import ${there} (${to})`;
}

const importsOf = (path: string, text: string): readonly Import[] =>
  /\.(ts|mjs)$/.test(path) ? readSource(text).imports : [];

export const direction: Rule = (tree) =>
  [...tree].flatMap(([path, text]) =>
    importsOf(path, text).flatMap((found): Violation[] => {
      const what = judge(tree, path, found);
      return what === undefined ? [] : [{ path, line: found.line, what }];
    }),
  );

/** Import cycles, type imports included: two files that need each other are one noun cut in half. */
export const cycles: Rule = (tree) => {
  const violations: Violation[] = [];
  const state = new Map<string, "open" | "done">();
  const visit = (path: string, trail: readonly string[]): void => {
    state.set(path, "open");
    for (const found of importsOf(path, tree.get(path) ?? "")) {
      const to = resolveImport(path, found.specifier);
      if (!isLocal(found.specifier) || !tree.has(to)) continue;
      const circle = [...trail, path];
      if (state.get(to) === "open") {
        const what = `import cycle: ${[...circle.slice(circle.indexOf(to)), to].join(" -> ")}`;
        violations.push({ path, line: found.line, what });
      } else if (state.get(to) === undefined) visit(to, circle);
    }
    state.set(path, "done");
  };
  for (const path of tree.keys()) if (state.get(path) === undefined) visit(path, []);
  return violations;
};

/** schemas and agent/core know no clock, randomness, process, file or network. Text and comments may name them. */
export const purity: Rule = (tree) =>
  [...tree]
    .filter(([path]) => path.endsWith(".ts") && ["schemas", "agent/core"].includes(roomOf(path)))
    .flatMap(([path, text]) => {
      const { code } = readSource(text);
      const impure =
        /(?<![\w$.])(?:Date|performance|process|setTimeout|setInterval|setImmediate|queueMicrotask|fetch|require)\b(?!\s*\??:)|\bMath\.random\b|\bgetRandomValues\b|\brandomUUID\b|\bBun\.\w+/g;
      return [...code.matchAll(impure)]
        .filter((match) => !(path === "schemas/digest.ts" && match[0] === "Bun.CryptoHasher"))
        .map((match) => ({
          path,
          line: code.slice(0, match.index).split("\n").length,
          what: `${match[0]}: schemas and agent/core are pure; pass it in through a port`,
        }));
    });

/** Where the client starts programs: Git, which is asked about the site, and those that build a namespace for `test`. */
const STARTERS = ["client/git.ts", "client/replay/tools.ts"];

/** The client starts no program but in the two files that say why; it never listens. */
export const clientPowers: Rule = (tree) =>
  [...tree]
    .filter(([path]) => path.startsWith("client/") && path.endsWith(".ts"))
    .flatMap(([path, text]) => {
      const { code, imports } = readSource(text);
      const spawning = STARTERS.includes(path) ? [] : [...code.matchAll(/\bBun\.(?:spawn|spawnSync|\$)|\$`/g)];
      const serving = [...code.matchAll(/\bBun\.(?:serve|listen|udpSocket)\b/g)];
      const found = [...spawning, ...serving].map((match) => ({
        path,
        line: code.slice(0, match.index).split("\n").length,
        what: `${match[0]}: the client asks, signs and shows; it starts and serves nothing`,
      }));
      const modules = imports
        .filter((entry) => entry.specifier === "node:child_process" && path !== "client/git.ts")
        .map((entry) => ({ path, line: entry.line, what: "node:child_process: only client/git.ts asks Git" }));
      return [...found, ...modules];
    });
