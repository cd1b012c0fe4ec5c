/** What a vector is, before it is written to the corpus. */
import type { FileKind } from "../../agent/core/verify.ts";
import type { VerifyState } from "../../agent/core/verify-state.ts";

export type Vector = {
  readonly name: string; // nv-…, of the catalogue that the corpus was made from
  readonly kind: FileKind; // what the file is judged as
  readonly from: string; // E_… of that catalogue
  readonly mutation: string; // one sentence: how it differs from the valid base
  readonly code: string; // what it must be refused with; "" for a positive control
  readonly bytes: Uint8Array;
  readonly state?: Partial<VerifyState>; // in place of fields of the base state
  readonly bootMs?: number; // when it is judged; NOW_MS otherwise
};

type Rest = Pick<Vector, "state" | "bootMs">;

/** Vectors of one kind and one family, in short. */
export const family =
  (from: string, kind: FileKind) =>
  (name: string, code: string, mutation: string, bytes: Uint8Array, rest: Rest = {}): Vector => ({
    ...{ name: `nv-${name}`, kind, from, mutation, code, bytes },
    ...rest,
  });
