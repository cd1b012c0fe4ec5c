/** Cases of laws as tables: a change to the lawful site, and the problem that it must give. */
import { expect, test } from "bun:test";
import type { Intent } from "../../schemas/intent.ts";
import { intentProblems } from "../../schemas/intent-laws.ts";
import type { Inventory } from "../../schemas/inventory.ts";
import { inventoryProblems } from "../../schemas/inventory-laws.ts";
import type { Problem } from "../../schemas/problem.ts";
import { intentWith, inventoryWith, type Loose } from "./sites.ts";

export type Change = (intent: Loose<Intent>) => void;
export type InventoryChange = (inventory: Loose<Inventory>, intent: Loose<Intent>) => void;

type Case<C> = readonly [what: string, change: C, code: string, path: string];

function expectProblem(found: readonly Problem[], code: string, path: string): void {
  expect(found.map((one) => `${one.code} ${one.path}`)).toContain(`${code} ${path}`);
  // A sentence and, after a colon or a comma, what to do.
  for (const { detail } of found) expect(detail).toMatch(/^\S.*[:,;].*\.$/);
}

/** One test per way to break the intent. */
export function breaks(cases: readonly Case<Change>[]): void {
  for (const [what, change, code, path] of cases) {
    test(what, () => expectProblem(intentProblems(intentWith(change)), code, path));
  }
}

/** What the laws say of the inventory after a change to it, or to the intent below it. */
export function problemsAfter(change: InventoryChange): readonly Problem[] {
  let inventory = inventoryWith();
  const intent = intentWith((i) => {
    inventory = inventoryWith((one) => change(one, i));
  });
  return inventoryProblems(intent, inventory);
}

/** One test per way to break the inventory. */
export function inventoryBreaks(cases: readonly Case<InventoryChange>[]): void {
  for (const [what, change, code, path] of cases) {
    test(what, () => expectProblem(problemsAfter(change), code, path));
  }
}
