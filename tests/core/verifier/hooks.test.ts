/** What is asked of a hook alone changes nothing of what is asked of the whole way. */
import { describe, expect, test } from "bun:test";
import { ask, pipelineOf } from "../../../agent/core/verifier/model.ts";
import { modelOf } from "./cross.ts";
import { desiredWith } from "./tables.ts";

describe("hooks and ways", () => {
  const nobody = {
    region: { way: "arriving", flow: "first", family: 4, iif: ["lan0"], oif: ["wg0"], target: { in: ["10.9.0.77"] } },
    routes: "any",
  } as const;

  test("a tunnel takes only what a peer has, also after postrouting was looked at alone", () => {
    const model = modelOf(desiredWith({ forward: ["accept"] }));
    const pipeline = pipelineOf(model, 4, "original");
    const alone = pipeline.hook("postrouting");
    expect(pipeline.regions.arena.leafOf(alone)?.kind).toBe("next");
    const found = ask(model, nobody);
    expect(found.ok && found.value.verdict).toBe("dropped");
    expect(found.ok && found.value.dropped?.decided.hook).toBe("wireguard");
  });
});
