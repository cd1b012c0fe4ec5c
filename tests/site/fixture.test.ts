/** The trust of other tests is the real thing: signed, accepted by the rules of trust, and the same every time. */
import { expect, test } from "bun:test";
import { acceptRoot, acceptRoster } from "../../agent/core/trust.ts";
import { encode } from "../../schemas/wire.ts";
import { crypto, makeTrust } from "./fixture.ts";

test("root and roster are accepted by the rules of trust", () => {
  const { signedRoot, signedRoster } = makeTrust(["r1", "r2"], ["home"]);
  const root = acceptRoot(crypto, null, signedRoot.envelope);
  expect(root).toMatchObject({ ok: true });
  if (!root.ok) return;
  expect(acceptRoster(crypto, root.value, null, signedRoster.envelope)).toMatchObject({ ok: true });
});

test("the same names give the same bytes, another name another site", () => {
  const bytes = (network: string): string => {
    const { signedRoot, signedRoster, reports } = makeTrust(["r1"], ["home"], { network });
    const report = encode("KeyReport", reports.get("r1")!);
    return [signedRoot.envelope, signedRoster.envelope, report].map((one) => Buffer.from(one).toString("hex")).join();
  };
  expect(bytes("homelab")).toBe(bytes("homelab"));
  expect(bytes("homelab")).not.toBe(bytes("branch"));
});
