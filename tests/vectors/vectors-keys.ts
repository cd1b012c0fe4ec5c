/** Keys that may not be used, and keys of people who may not sign. */
import { add, encodePoint, readPoint, torsion, writeScalar } from "../trust/curve.ts";
import * as bases from "./bases.ts";
import { boxPair, signPair } from "./raw.ts";
import { family, type Vector } from "./vector.ts";
import * as world from "./world.ts";
import { rosterOf } from "./written.ts";

const PRIME = 2n ** 255n - 19n;

const eve = world.operator("eve");
/** The next roster with one more operator, some of whose keys are others. */
const withEve = (change: Partial<typeof eve>): Uint8Array =>
  rosterOf({ operators: [...world.roster2.message.operators, { ...eve, ...change }] });
const withSignKey = (key: Uint8Array): Uint8Array => withEve({ sign_key: key });

const key = family("E_KEY_INADMISSIBLE", "roster");

const small = torsion.map((point, n) =>
  key(
    `key-small-order-${n + 1}`,
    "trust.key_inadmissible",
    `An operator's sign key is the point of small order number ${n}.`,
    withSignKey(encodePoint(point)),
  ),
);

/** y and the sign of x: the prime and 1 above it spell 0 and 1; x = 0 has no other sign. */
const spellings: readonly (readonly [y: bigint, sign: bigint, what: string])[] = [
  [PRIME, 0n, "y = p, which is 0"],
  [PRIME, 1n, "y = p, which is 0, with the other sign"],
  [PRIME + 1n, 0n, "y = p + 1, which is 1"],
  [PRIME + 1n, 1n, "y = p + 1, which is 1, with a sign that x = 0 has not"],
  [1n, 1n, "y = 1 with a sign that x = 0 has not"],
  [PRIME - 1n, 1n, "y = -1 with a sign that x = 0 has not"],
];
const noncanonical = spellings.map(([y, sign, what], n) =>
  key(
    `key-noncanonical-${n + 1}`,
    "trust.key_inadmissible",
    `An operator's sign key is ${what}.`,
    withSignKey(writeScalar(y | (sign << 255n))),
  ),
);

const honest = readPoint(eve.sign_key)!;
const twins = torsion
  .slice(1)
  .map((point, n) =>
    key(
      `key-torsion-twin-${n + 1}`,
      "trust.key_inadmissible",
      `An operator's sign key is an honest one plus the point of small order number ${n + 1}.`,
      withSignKey(encodePoint(add(honest, point))),
    ),
  );

const highBit = eve.seal_key.map((byte, i) => (i === 31 ? byte | 0x80 : byte));
const card = family("E_KEY_INADMISSIBLE", "operator-card");

export const keyVectors: readonly Vector[] = [
  ...small,
  ...noncanonical,
  ...twins,
  key("key-31-bytes", "wire.shape", "An operator's sign key has 31 bytes.", withSignKey(eve.sign_key.slice(0, 31))),
  card(
    "key-without-pop",
    "trust.card_proof",
    "A card names a ROOT key that did not sign it.",
    world.signed("operator-card", bases.card(), "eve").envelope,
  ),
  card(
    "pop-of-other-network",
    "trust.network",
    "A card was made for another network.",
    world.signed("operator-card", bases.card({ network_id: world.id(16, "other network") }), "eve", "eve root")
      .envelope,
  ),
  key(
    "key-in-two-roles",
    "trust.key_reused",
    "An operator's sign key is an ADMIN key of the root as well.",
    withSignKey(signPair("cyd admin").publicKey),
  ),
  key(
    "x25519-bit255-alias",
    "trust.key_inadmissible",
    "An operator's seal key has its highest bit set: another spelling of the key without.",
    withEve({ seal_key: highBit }),
  ),
  family("E_SEAL", "roster")(
    "seal-to-small-order-key",
    "trust.key_inadmissible",
    "An operator's seal key is zero, to which anybody can read what is sealed.",
    withEve({ seal_key: world.ZEROS }),
  ),
  family("E_ENROL", "roster")(
    "enrol-key-already-listed",
    "trust.key_reused",
    "A second router is listed with the sign key of the first.",
    rosterOf({
      routers: [
        world.routerEntry,
        {
          ...world.routerEntry,
          ...{ id: "r2", router_id: world.id(16, "second router"), seal_key: boxPair("second").publicKey },
        },
      ],
    }),
  ),
];

// ---- who signed ----

const routine = bases.directive({ risk_class: "routine" });
const by = (...names: readonly string[]): Uint8Array => world.signed("directive", routine, ...names).envelope;
const role = family("E_SIGNER_ROLE", "directive");

export const signerVectors: readonly Vector[] = [
  family("E_SIGNER_UNKNOWN", "directive")(
    "stranger",
    "trust.signer_unknown",
    "A key signed that no document names.",
    by("mallory"),
  ),
  role("admin-signs-directive", "trust.signer_unknown", "An ADMIN key signed a directive.", by("ann admin")),
  family("E_SIGNER_ROLE", "roster")(
    "operator-signs-roster",
    "trust.signer_unknown",
    "Two operators signed a roster with their operator keys.",
    world.signed("roster", bases.roster3Message, "ann", "bob").envelope,
  ),
  role("router-signs-directive", "trust.signer_unknown", "The router signed its own directive.", by("router")),
  family("E_SIGNER_REVOKED", "directive")(
    "self-revoked",
    "trust.signer_revoked",
    "The only signer took the own key back.",
    by("bob"),
    { state: { revoked: [signPair("bob").publicKey.toHex()] } },
  ),
  role(
    "capability-missing",
    "trust.class_exceeded",
    "An operator for routine changes signed a sensitive one.",
    bases.signedDirective({}, "ann", "cyd").envelope,
  ),
  family("E_TRUST_VIEW", "directive")(
    "mailbox-directive-after-revocation",
    "trust.signer_revoked",
    "A directive of an operator arrives after the roster that revokes him.",
    by("bob"),
    { state: { roster: withoutBob().toBase64() } },
  ),
];

/** The roster after the base one, in which bob is revoked. */
function withoutBob(): Uint8Array {
  const operators = world.roster2.message.operators.map((one) =>
    one.holder === "bob" ? { ...one, status: "revoked" as const } : one,
  );
  return world.signed("roster", { ...world.after(world.roster2), operators }, "ann admin", "bob admin").envelope;
}
