/**
 * holdfastd.yaml: how the agent meets its machine before any intent does. Everything has a default; an unknown key
 * is an error, as everywhere.
 */
import { networkInterfaces } from "node:os";
import * as v from "valibot";
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from "yaml";
import { done, type Problem, problem, type Result } from "../schemas/problem.ts";
import { Address, Count, InterfaceName, Port } from "../schemas/scalars.ts";
import type { Endpoint } from "./listeners.ts";

const ListenEntry = v.strictObject({ address: Address, port: v.optional(Port, 8022) });

export const Config = v.strictObject({
  /** Where to listen before the first generation; afterwards the intent says. */
  listen: v.optional(
    v.pipe(v.array(ListenEntry, "must be a list"), v.maxLength(16, "must have at most 16 entries")),
    [],
  ),
  backend: v.optional(v.picklist(["auto", "kernel", "userspace"], "must be auto, kernel or userspace"), "auto"),
  /** How long a generation has after its first reboot before the one before it is tried again; 0: for ever. */
  probation_s: v.optional(Count(0, 86_400), 600),
  /** Without `listen`: only on the addresses of this interface. */
  uplink: v.optional(v.union([v.literal(""), InterfaceName], "must be an interface name or absent"), ""),
});
export type Config = v.InferOutput<typeof Config>;

type Step = string | number;

const pathText = (steps: readonly Step[]): string =>
  steps.map((step, i) => (typeof step === "number" ? `[${step}]` : `${i > 0 ? "." : ""}${step}`)).join("");

/** Offset of the value at a path, or of its key; of the nearest thing around it when there is no such value. */
function placeOf(document: Document.Parsed, steps: readonly Step[], ofKey: boolean): number {
  for (let length = steps.length; length >= 0; length -= 1) {
    const parent = document.getIn(steps.slice(0, length - 1), true);
    const pair = isMap(parent)
      ? parent.items.find((one) => isScalar(one.key) && one.key.value === steps[length - 1])
      : null;
    const node = ofKey && pair ? pair.key : document.getIn(steps.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

/** Reads the text of the file; "" is a whole configuration. Code agent.config, with line and column. */
export function readConfig(file: string, text: string): Result<Config> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const at = (offset: number, rest: string, detail: string): Problem => {
    const { line, col } = lines.linePos(offset);
    return problem("agent.config", `${file}:${line}:${col}${rest === "" ? "" : ` ${rest}`}`, detail);
  };
  if (document.errors.length > 0) {
    const problems = document.errors.map((error) =>
      at(error.pos[0], "", error.message.replace(/ at line [\s\S]*/, "")),
    );
    return { ok: false, problems };
  }
  const checked = v.safeParse(Config, document.toJS() ?? {});
  if (checked.success) return done(checked.output);
  const problems = checked.issues.map((issue) => {
    const steps = (issue.path ?? []).map((step) => step.key as Step);
    const unknown = issue.type === "strict_object" && issue.expected === "never";
    return at(
      placeOf(document, steps, unknown),
      pathText(steps),
      unknown ? "is not a key of this file" : issue.message,
    );
  });
  return { ok: false, problems };
}

/** Endpoints before the first generation: as configured, of the uplink, or every address. */
export function firstEndpoints(config: Config): readonly Endpoint[] {
  if (config.listen.length > 0) return config.listen.map((entry) => ({ ...entry, lane: "" }));
  if (config.uplink !== "") {
    return (networkInterfaces()[config.uplink] ?? [])
      .filter(({ address, scopeid }) => !(scopeid !== undefined && scopeid > 0) && !address.startsWith("fe80"))
      .map(({ address }) => ({ address, port: 8022, lane: "" }));
  }
  return [
    { address: "0.0.0.0", port: 8022, lane: "" },
    { address: "::", port: 8022, lane: "" },
  ];
}
