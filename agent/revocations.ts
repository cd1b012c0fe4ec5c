/**
 * Keys that took themselves back. One holder's word is enough, it counts from the moment it is on disk, and no roster
 * is needed for it; a later roster that says the same makes the entry redundant.
 */
import { equalBytes } from "../schemas/digest.ts";
import { limits } from "../schemas/limits.ts";
import type { Roster } from "../schemas/trust.ts";
import { openStatement } from "./core/dsse.ts";
import type { Parts } from "./ports.ts";

export type Revocations = {
  /** Sign keys, in the order in which they were taken back. The same array until there is one more. */
  keys(): readonly Uint8Array[];
  /** Durable when it returns. A key that is held already changes nothing. */
  add(key: Uint8Array, envelope: Uint8Array, roster: Roster): void;
};

type Entry = { readonly number: number; readonly key: Uint8Array };

export function createRevocations({ store, crypto }: Parts): Revocations {
  let entries: readonly Entry[] | undefined;
  let keys: readonly Uint8Array[] = [];
  const take = (next: readonly Entry[]): readonly Entry[] => {
    entries = next;
    keys = next.map((entry) => entry.key);
    return next;
  };
  const held = (): readonly Entry[] =>
    entries ??
    take(
      store.documentNumbers("self-revoke").flatMap((number) => {
        const opened = openStatement(crypto, "self-revoke", store.document("self-revoke", number) ?? new Uint8Array());
        // Checked when it came. One that is damaged on disk cannot be told from none.
        return opened.ok ? [{ number, key: opened.value.message.key }] : [];
      }),
    );
  return {
    keys() {
      held();
      return keys;
    },
    add(key, envelope, roster) {
      if (held().some((entry) => equalBytes(entry.key, key))) return;
      const number = (store.documentNumbers("self-revoke").at(-1) ?? 0) + 1;
      store.putDocument("self-revoke", number, envelope);
      const all = [...held(), { number, key }];
      // A roster holds no more active operators than that, so what goes is not one of them.
      const active = roster.operators.filter((one) => one.status === "active");
      const idle = all.filter((entry) => !active.some((one) => equalBytes(one.sign_key, entry.key)));
      const over = idle.slice(0, Math.max(0, all.length - limits.selfRevocations));
      for (const entry of over) store.dropDocument("self-revoke", entry.number);
      take(all.filter((entry) => !over.includes(entry)));
    },
  };
}
