/**
 * Beacons: signed words on where this router stands. A directive that names one is fresh for a while by CLOCK_BOOTTIME,
 * so it can be signed by several people at leisure. What was signed is noted in the run folder: a new agent process
 * of the same boot still knows it, another boot does not.
 */
import { toHex } from "../schemas/digest.ts";
import { limits } from "../schemas/limits.ts";
import { type Opened, signStatement } from "./core/dsse.ts";
import { NO_DIGEST } from "./journal.ts";
import type { Parts } from "./ports.ts";
import { hexBytes, type Standing } from "./standing.ts";

const FILE = "beacons";

export type Beacons = {
  /** Signs one and remembers it. The oldest gives way when too many are out. */
  make(): Opened<"beacon">;
  /** Seconds since this boot signed that beacon, rounded up; undefined when it did not, or long ago. */
  ageS(digest: Uint8Array): number | undefined;
};

/** Of one boot: how many were signed, and when each of the last ones was. */
type Noted = { count: number; readonly atMs: Map<string, number> };

/** The note of this boot; empty when it is of another one or when a character of it is not as written here. */
function readNote(text: string | undefined, boot: string, nowMs: number): Noted {
  const nothing: Noted = { count: 0, atMs: new Map() };
  const [head = "", ...lines] = (text ?? "").split("\n");
  const named = /^boot ([0-9a-f]{32}) count ([1-9][0-9]{0,14})$/.exec(head);
  if (named?.[1] !== boot || lines.pop() !== "" || lines.length > limits.beaconsOutstanding) return nothing;
  const noted: Noted = { count: Number(named[2]), atMs: new Map() };
  for (const line of lines) {
    const [, digest = "", atMs = ""] = /^([0-9a-f]{64}) (0|[1-9][0-9]{0,14})$/.exec(line) ?? [];
    if (digest === "" || Number(atMs) > nowMs) return nothing;
    noted.atMs.set(digest, Number(atMs));
  }
  return noted;
}

export function createBeacons({ host, store, crypto }: Parts, standing: Standing): Beacons {
  const { clock } = host;
  const boot = (): string => toHex(clock.bootId());
  let held: (Noted & { readonly boot: string }) | undefined;
  const noted = (): Noted => {
    if (held?.boot !== boot()) held = { boot: boot(), ...readNote(store.note(FILE), boot(), clock.bootMs()) };
    return held;
  };
  return {
    make() {
      const self = standing.self();
      const record = store.record();
      const mine = noted();
      const orZeros = (hex: string): Uint8Array => (hex === "" ? NO_DIGEST : hexBytes(hex));
      mine.count += 1;
      const message = {
        network_id: self.networkId,
        router_id: self.routerId,
        incarnation: self.incarnation,
        boot_id: clock.bootId(),
        number: BigInt(mine.count),
        uptime_ms: BigInt(clock.bootMs()),
        root_digest: orZeros(record.root),
        roster_digest: orZeros(record.roster),
        keys_digest: orZeros(record.keys),
        generation: record.generation,
        lkg_directive: standing.parent(),
        log_index: BigInt(record.logIndex),
        log_head: orZeros(record.logHead),
      };
      const beacon = signStatement(crypto, "beacon", message, [self.sign]);
      mine.atMs.set(toHex(beacon.digest), Number(message.uptime_ms));
      for (const old of [...mine.atMs.keys()].slice(0, -limits.beaconsOutstanding)) mine.atMs.delete(old);
      const lines = [...mine.atMs].map(([digest, atMs]) => `${digest} ${atMs}\n`);
      store.putNote(FILE, `boot ${boot()} count ${mine.count}\n${lines.join("")}`);
      return beacon;
    },
    ageS(digest) {
      const atMs = noted().atMs.get(toHex(digest));
      return atMs === undefined ? undefined : Math.ceil(Math.max(0, clock.bootMs() - atMs) / 1000);
    },
  };
}
