/**
 * Golden cases: folders that tell a story. intent.yaml, inventory.yaml and trust.json go in; ruleset.nft and
 * desired.txt (all but the ruleset, as plan and artifacts spell it) come out. A folder "next" holds what is pushed afterwards: next.nft is the text
 * that takes the kernel there. story.md says what to look at: lines under "must" have to be in the ruleset whatever an
 * update wrote, and lines under "never" in none.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { type CompileInput, compile } from "../../agent/core/compile.ts";
import { widensOnly } from "../../agent/core/epoch.ts";
import { addressLine, linkLine, peerLine, routeLine, ruleLine } from "../../agent/core/lines.ts";
import { deltaText, fullText, markerOf, rulesetText } from "../../agent/core/nft-text.ts";
import { type Desired, desiredText } from "../../schemas/desired.ts";
import { fromHex, sha256Hex } from "../../schemas/digest.ts";
import type { IntentInput } from "../../schemas/intent.ts";
import type { InventoryInput } from "../../schemas/inventory.ts";
import { intentOf, inventoryOf, operatorOf, rootOf, rosterOf } from "../core/compile-sites.ts";

export const folder = import.meta.dir;

export type Story = {
  readonly name: string;
  readonly input: CompileInput;
  readonly desired: Desired;
  readonly next: Desired | null;
  readonly must: readonly string[];
  readonly never: readonly string[];
};

type Trust = {
  readonly router: string;
  readonly network_id: string; // hex
  readonly operators: readonly { readonly holder: string; readonly lane_key: string; readonly status?: "revoked" }[];
  readonly keys: Readonly<Record<string, string>>; // by network id
};

const yaml = (path: string): unknown => parse(readFileSync(path, "utf8"));

function compiled(input: CompileInput, name: string): Desired {
  const result = compile(input);
  if (!result.ok) throw new Error(`${name}: ${JSON.stringify(result.problems)}`);
  return result.value;
}

/** Documents of a folder; what it lacks is taken from the folder before it. */
function documents(path: string, before: CompileInput | null): CompileInput {
  const has = (file: string): boolean => existsSync(join(path, file));
  const trust = has("trust.json") ? (JSON.parse(readFileSync(join(path, "trust.json"), "utf8")) as Trust) : null;
  const networkId = trust === null ? before!.root.network_id : fromHex(trust.network_id)!;
  return {
    intent: has("intent.yaml") ? intentOf(yaml(join(path, "intent.yaml")) as IntentInput) : before!.intent,
    inventory: has("inventory.yaml")
      ? inventoryOf(yaml(join(path, "inventory.yaml")) as InventoryInput)
      : before!.inventory,
    root: rootOf(networkId),
    roster:
      trust === null
        ? before!.roster
        : rosterOf(
            trust.operators.map(({ holder, ...more }) => operatorOf(holder, more)),
            networkId,
          ),
    keys:
      trust === null
        ? before!.keys
        : {
            network_id: networkId,
            router_id: new Uint8Array(16),
            incarnation: 1,
            version: 1,
            keys: Object.entries(trust.keys).map(([network, public_key]) => ({ network, public_key })),
          },
    router: trust?.router ?? before!.router,
  };
}

/** Lines of every block of a kind in story.md. */
function block(text: string, kind: "must" | "never"): readonly string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${kind}\\n([^]*?)^\`\`\``, "gm"))].flatMap((found) =>
    found[1]!.split("\n").filter(Boolean),
  );
}

export function readStory(name: string): Story {
  const path = join(folder, name);
  const input = documents(path, null);
  const text = readFileSync(join(path, "story.md"), "utf8");
  const nextInput = existsSync(join(path, "next")) ? documents(join(path, "next"), input) : null;
  return {
    name,
    input,
    desired: compiled(input, name),
    next: nextInput === null ? null : compiled(nextInput, `${name}/next`),
    must: block(text, "must"),
    never: block(text, "never"),
  };
}

export const storyNames = (): readonly string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();

const marker = (desired: Desired): string => markerOf(sha256Hex(desiredText(desired)));

/** The text that takes a kernel from one generation to the next: elements where that is enough. */
function nextText(from: Desired, to: Desired): string {
  const delta = deltaText(from.nft, to.nft, marker(from), marker(to));
  if (delta !== null && widensOnly(from.nft, to.nft)) return `# elements, same epoch\n${delta}`;
  return `# whole, next epoch\n${fullText(to.nft, from.nft, marker(to))}`;
}

/** Everything but the ruleset, one fact a line, under a heading for each kind. */
function desiredLines(desired: Desired): string {
  const { windowS, capS, rebootAllowed } = desired;
  const parts: readonly (readonly [string, readonly string[]])[] = [
    ["sysctls, in this order", desired.sysctls.map(({ key, value }) => `${key} ${value}`)],
    ["links", desired.links.map(linkLine)],
    ["peers", desired.links.flatMap((link) => link.peers.map((peer) => peerLine(link.name, peer)))],
    ["addresses", desired.addresses.map(addressLine)],
    ["routes", desired.routes.map(routeLine)],
    ["rules", desired.rules.map(ruleLine)],
    [
      "lanes",
      desired.lanes.map(({ name, protocol, port, address, counter, fingerprint }) =>
        [name, protocol, port, address || "-", counter, fingerprint.slice(0, 16)].join(" "),
      ),
    ],
    ["api", desired.api.map(({ address, port, lane }) => `${address} ${port} ${lane}`)],
    ["confirm", [`window ${windowS} cap ${capS} reboot ${rebootAllowed}`]],
  ];
  return parts.map(([title, lines]) => `# ${title}\n${lines.map((line) => `${line}\n`).join("")}`).join("\n");
}

/** Files that a story comes to, by name. */
export function outcomes(story: Story): ReadonlyMap<string, string> {
  const files = new Map([
    ["ruleset.nft", rulesetText(story.desired.nft, marker(story.desired))],
    ["desired.txt", desiredLines(story.desired)],
  ]);
  if (story.next !== null) files.set("next.nft", nextText(story.desired, story.next));
  return files;
}
