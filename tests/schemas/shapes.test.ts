/** Every rule of the shapes of intent and inventory has a case that breaks it, and the refusal points at it. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { IntentDocument } from "../../schemas/intent.ts";
import { InventoryDocument } from "../../schemas/inventory.ts";
import { brokenDocuments } from "./shape-rules.ts";
import { intentWith, inventoryWith } from "./sites.ts";

/** The lawful documents with whatever they lack, so that every rule has a place; shapes know no laws. */
const rich: Readonly<Record<string, readonly [shape: v.GenericSchema, document: unknown]>> = {
  intent: [
    IntentDocument,
    intentWith((i) => {
      i.routers[0]!.routes[0]!.metric = 1;
      i.routers[0]!.management.accept_foreign = ["inet fw4"];
      i.policies[0]!.services = ["dns"];
      i.profiles[0]!.services = ["web"];
      i.services[0]!.addresses = ["10.0.0.53"];
      i.zones[0]!.subnets = ["198.51.100.0/24"];
      i.contracts = [
        {
          id: "c",
          kind: "deny",
          from: "lab",
          to: "lan",
          services: ["web"],
          v4: true,
          v6: true,
          ports: [{ protocol: "tcp", from: 80, to: 0 }],
        },
      ];
    }),
  ],
  inventory: [InventoryDocument, inventoryWith((i) => (i.clients[0]!.services = ["ping"]))],
};

for (const [name, [shape, document]] of Object.entries(rich)) {
  describe(name, () => {
    test("the document that is broken below fits", () => {
      expect(v.safeParse(shape, document).success).toBe(true);
    });

    const cases = brokenDocuments(shape, document);
    test("there is a case for every rule", () => expect(cases.length).toBeGreaterThan(100));

    for (const { rule, path, document: broken } of cases) {
      test(rule, () => {
        const found = v.safeParse(shape, broken);
        expect(found.success).toBe(false);
        const places = (found.issues ?? []).map((issue) => (issue.path ?? []).map((item) => item.key).join("."));
        expect(places).toContain(path.join("."));
      });
    }
  });
}

test("a rule without a violating case is an error, not a gap", () => {
  expect(() =>
    brokenDocuments(
      v.pipe(
        v.string(),
        v.check(() => true, "new rule"),
      ),
      "a",
    ),
  ).toThrow("new rule");
  expect(() => brokenDocuments(v.date(), "a")).toThrow("no violating value for the shape date");
  expect(() => brokenDocuments(v.array(v.string()), [])).toThrow("no entry");
});
