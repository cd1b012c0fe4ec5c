/** Contents that failed on this router for their own fault, and the file that remembers them. */
import { limits } from "../../schemas/limits.ts";

/** Content that was taken back for its own fault: what runs, whatever its generation, challenge or signers are. */
export type Quarantined = {
  readonly desired: string; // digest, 64 hex digits
  readonly generation: bigint; // under which it failed last
  readonly cause: string;
  readonly signers: readonly string[];
  readonly atUnixS: number; // advisory
};

const HEAD = "holdfast-quarantine 1";
const ENTRY = /^([0-9a-f]{64}) (0|[1-9][0-9]{0,19}) ([a-z][a-z0-9_.]{0,63}) ([0-9]{1,12}) (-|[\x21-\x7e]+)$/;

/** The file's text: a head with the version, one entry a line, the newest last. */
export function quarantineText(entries: readonly Quarantined[]): string {
  const lines = entries.map(
    (one) => `${one.desired} ${one.generation} ${one.cause} ${one.atUnixS} ${one.signers.join(",") || "-"}`,
  );
  return `${[HEAD, ...lines, `entries=${lines.length}`].join("\n")}\n`;
}

/** Reads the file; undefined when it is damaged or of another version. */
export function parseQuarantine(text: string): readonly Quarantined[] | undefined {
  const lines = text.split("\n");
  const [end, last] = [lines.pop(), lines.pop()];
  if (lines.shift() !== HEAD || end !== "" || last !== `entries=${lines.length}`) return undefined;
  const found = lines.flatMap((line): Quarantined[] => {
    const [, desired = "", generation = "", cause = "", atUnixS = "", signers = ""] = ENTRY.exec(line) ?? [];
    if (desired === "") return [];
    const names = signers === "-" ? [] : signers.split(",");
    return [{ desired, generation: BigInt(generation), cause, signers: names, atUnixS: Number(atUnixS) }];
  });
  return found.length === lines.length ? found : undefined;
}

/** With this content in it as the newest; the oldest ones are forgotten beyond the limit. */
export function withContent(entries: readonly Quarantined[], one: Quarantined): readonly Quarantined[] {
  return [...entries.filter(({ desired }) => desired !== one.desired), one].slice(-limits.quarantine);
}
