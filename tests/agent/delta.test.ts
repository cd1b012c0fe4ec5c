/** A blob that arrives as a difference: the agent makes it from one that it holds, and believes its digest only. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeDelta } from "../../client/delta.ts";
import { sha256, toHex } from "../../schemas/digest.ts";
import type { BlobDelta } from "../../schemas/directive.ts";
import { type Enrolled, enrolledDesk } from "./desk.ts";
import { randomBytes } from "./operator.ts";

setDefaultTimeout(120_000);

describe("put_delta", () => {
  let enrolled: Enrolled;
  beforeAll(async () => {
    enrolled = await enrolledDesk();
  });
  afterAll(() => enrolled.desk.close());

  const base = randomBytes(60_000);
  const next = new Uint8Array([...base.slice(0, 30_000), ...randomBytes(50), ...base.slice(30_000)]);
  const delta = (): BlobDelta => ({
    ...{ digest: sha256(next), size: next.length, base: sha256(base), parts: [...(makeDelta(base, next) ?? [])] },
  });
  const put = async (more: Partial<BlobDelta> = {}): Promise<string> =>
    (await enrolled.session.ask({ kind: "put_delta", delta: { ...delta(), ...more } })).code;
  const lacks = async (digest: Uint8Array): Promise<boolean> =>
    (await enrolled.session.ask({ kind: "need_blobs", need: [digest] })).missing.length > 0;

  test("needs its base first: blob.missing", async () => {
    expect(await put()).toBe("blob.missing");
    await enrolled.session.upload(base);
    expect(await lacks(sha256(next))).toBe(true);
  });

  test("that makes something else is thrown away: blob.delta, blob.digest", async () => {
    expect(await put({ size: next.length + 1 })).toBe("blob.delta");
    expect(await put({ parts: [] })).toBe("blob.delta");
    expect(await put({ digest: randomBytes(32) })).toBe("blob.digest");
    expect((await enrolled.session.ask({ kind: "put_delta" })).code).toBe("blob.delta");
    expect(await lacks(sha256(next))).toBe(true);
  });

  test("makes the blob, durably and exactly; again is no change", async () => {
    expect(await put()).toBe("");
    expect(await lacks(sha256(next))).toBe(false);
    expect(enrolled.desk.agent.store.readBlob(toHex(sha256(next)))).toEqual(next);
    expect(await put()).toBe("");
    expect(await put({ parts: [] })).toBe(""); // it is there: nothing is made of what came
  });

  test("of a base that is damaged on disk is refused, and the base is asked for again", async () => {
    const other = new Uint8Array([...base, 1]);
    const parts = [{ offset: 0, length: base.length, data: new Uint8Array([1]) }];
    writeFileSync(join(enrolled.desk.folder, "state/blobs", toHex(sha256(base))), "spoiled");
    expect(await put({ digest: sha256(other), size: other.length, parts })).toBe("blob.missing");
    expect(await lacks(sha256(base))).toBe(true);
  });
});
