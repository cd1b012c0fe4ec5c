/** Every rule of every schema has a value that breaks this rule and no other, and nothing lets it through. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { decode, encode, type MessageName, shapes } from "../../schemas/wire.ts";
import { message } from "./bytes.ts";
import { MISSING, type Rule, replaced, rulesOf } from "./rules.ts";
import { samples } from "./samples.ts";

const names = Object.keys(shapes) as MessageName[];

const told = (rule: Rule): string => `${rule.path.join(".")} ${rule.type} ${String(rule.requirement).slice(0, 60)}`;

/** True when valibot names exactly this rule at this place. */
function isBrokenBy(schema: v.GenericSchema, rule: Rule, value: unknown): boolean {
  const read = v.safeParse(schema, value);
  return (read.issues ?? []).some((issue) => {
    const path = (issue.path ?? []).map((step) => step.key);
    const here = path.length === rule.path.length && path.every((step, i) => step === rule.path[i]);
    const same = issue.type === rule.type && (rule.requirement === undefined || issue.requirement === rule.requirement);
    return here && (same || rule.type === "union");
  });
}

/** A value that breaks the rule, put into the sample; undefined when no candidate does. */
function violation(name: MessageName, rule: Rule): { value: unknown; by: unknown } | undefined {
  return rule.breakers
    .map((by) => ({ value: replaced(samples[name], rule.path, by), by }))
    .find(({ value }) => isBrokenBy(shapes[name], rule, value));
}

const kind = (value: unknown): string =>
  value instanceof Uint8Array ? "bytes" : Array.isArray(value) ? "list" : value === null ? "null" : typeof value;

/** True for a value that the wire can carry at this place, so that the decoder can be asked as well. */
function travels(name: MessageName, rule: Rule, by: unknown): boolean {
  if (rule.type === "strict_object" || by === MISSING) return false;
  const valid = rule.path.reduce<unknown>((value, step) => (value as Record<string, unknown>)[step], samples[name]);
  if (kind(by) !== kind(valid)) return false;
  return (typeof by !== "number" || (by >= 0 && Number.isInteger(by))) && (typeof by !== "bigint" || by >= 0n);
}

describe("every rule of a schema", () => {
  for (const name of names) {
    const rules = rulesOf(shapes[name], samples[name]);

    test(`${name}: ${rules.length} rules can each be broken`, () => {
      expect(v.safeParse(shapes[name] as v.GenericSchema, samples[name]).issues).toBeUndefined();
      expect(rules.filter((rule) => violation(name, rule) === undefined).map(told)).toEqual([]);
    });

    test(`${name}: a value that breaks one is neither written nor read`, () => {
      for (const rule of rules) {
        const { value, by } = violation(name, rule)!;
        expect(() => encode(name, value as never), told(rule)).toThrow("encode");
        if (!travels(name, rule, by)) continue;
        const read = decode(name, message(name, value as Record<string, unknown>));
        expect(read.ok ? told(rule) : read.problems[0]?.code).toMatch(
          /^wire\.(shape|unknown_word|out_of_range|too_large|limit)$/,
        );
      }
    }, 60_000);
  }

  test("a rule that nothing breaks would be noticed", () => {
    const rule: Rule = { path: ["name"], type: "regex", requirement: /never/, breakers: ["!"] };
    expect(violation("Lane", rule)).toBeUndefined();
    expect(rulesOf(shapes.Directive, samples.Directive).length).toBeGreaterThan(60);
  });
});
