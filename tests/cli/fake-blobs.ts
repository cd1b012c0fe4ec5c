/** The blobs of a router without a kernel: parts come together, and a delta makes one of another. */
import { applyDelta } from "../../agent/core/delta.ts";
import { equalBytes, sha256, toHex } from "../../schemas/digest.ts";
import type { Request } from "../../schemas/directive.ts";
import type { AnswerBody } from "../../schemas/report.ts";
import { body, refusal } from "./answers.ts";

export class FakeBlobs {
  readonly held = new Map<string, Uint8Array>(); // by digest in hex
  readonly #parts = new Map<string, Uint8Array[]>();

  put({ chunk }: Request): AnswerBody {
    const name = toHex(chunk!.digest);
    const parts = [...(chunk!.offset === 0 ? [] : (this.#parts.get(name) ?? [])), chunk!.data];
    this.#parts.set(name, parts);
    const whole = new Uint8Array(Buffer.concat(parts));
    if (whole.length === chunk!.size && equalBytes(sha256(whole), chunk!.digest)) this.held.set(name, whole);
    return body();
  }

  putDelta({ delta }: Request): AnswerBody {
    const base = this.held.get(toHex(delta!.base));
    if (base === undefined) return body({ code: "blob.missing" });
    const made = applyDelta(base, delta!);
    if (!made.ok) return refusal(made.problems);
    this.held.set(toHex(delta!.digest), made.value);
    return body();
  }
}
