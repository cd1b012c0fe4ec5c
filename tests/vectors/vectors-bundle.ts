/** Bundles whose blobs are not those that were signed, or mean what no router may run; and secrets in wrong boxes. */
import { sha256 } from "../../schemas/digest.ts";
import type { Directive } from "../../schemas/directive.ts";
import type { Intent } from "../../schemas/intent.ts";
import type { Inventory } from "../../schemas/inventory.ts";
import { encode } from "../../schemas/wire.ts";
import * as bases from "./bases.ts";
import { laneKey } from "./raw.ts";
import { family, type Vector } from "./vector.ts";
import * as world from "./world.ts";

const { id } = world;
const digest = family("E_INTENT_DIGEST", "bundle");
const plan = family("E_PLAN", "bundle");
const invariant = family("E_INVARIANT", "bundle");

/** A bundle of these documents, honestly pinned; the desired digest is that of the base, which they never mean. */
function bundleOf(intent: Intent, inventory: Inventory, change: Partial<Directive> = {}): Uint8Array {
  const blobs = [encode("Intent", intent), encode("Inventory", inventory), bases.baseSecrets];
  const pinned = { intent_digest: sha256(blobs[0]!), inventory_digest: sha256(blobs[1]!) };
  return bases.bundle({ directive: bases.bundledDirective({ ...pinned, ...change }), blobs });
}

const otherIntent = encode("Intent", bases.intentWith({ masquerade: [] }));
const tablet = bases.client("tablet", "10.99.0.3");

export const bundleVectors: readonly Vector[] = [
  digest(
    "intent-swapped",
    "blob.missing",
    "The intent is another one than the directive pins, which is not there.",
    bases.bundle({ blobs: [otherIntent, bases.inventoryBlob, bases.baseSecrets] }),
  ),
  digest(
    "intent-missing",
    "blob.missing",
    "The intent is not in the bundle.",
    bases.bundle({ blobs: [bases.inventoryBlob, bases.baseSecrets] }),
  ),
  digest(
    "blob-not-pinned",
    "blob.digest",
    "The bundle carries sealed secrets that the directive does not pin.",
    bases.bundle({ directive: bases.bundledDirective({ secrets_digest: sha256("") }) }),
  ),
  plan(
    "plan-digest-other",
    "admit.desired_differs",
    "The signed digest of the desired state is another one than the blobs compile to.",
    bases.bundle({ directive: bases.bundledDirective({ desired_digest: id(32, "other desired") }) }),
  ),
  plan(
    "plan-format-newer",
    "trust.desired_format",
    "The desired state was compiled in a later format.",
    bases.bundle({ directive: bases.bundledDirective({ desired_format: 2 }) }),
  ),
  invariant(
    "duplicate-wg-pubkey",
    "inventory.key_reused",
    "Two clients of the inventory have one public key.",
    bundleOf(
      bases.intentWith(),
      bases.inventoryWith(bases.phone, bases.client("tablet", "10.99.0.3", laneKey("client phone"))),
    ),
  ),
  invariant(
    "overlapping-allowedips",
    "inventory.address_taken",
    "Two clients of the inventory have one address.",
    bundleOf(bases.intentWith(), bases.inventoryWith(bases.phone, bases.client("tablet", "10.99.0.2"))),
  ),
  invariant(
    "locks-out-input",
    "intent.management",
    "The API's address is one that the management zone cannot reach.",
    bundleOf(
      bases.intentWith({ routers: [{ ...bases.router, management: { addresses: ["10.9.0.1"], zones: ["lan"] } }] }),
      bases.inventoryWith(bases.phone),
    ),
  ),
  invariant(
    "default-route-removed",
    "intent.masquerade",
    "The uplink lost its gateway, and with it the default route.",
    bundleOf(
      bases.intentWith({
        routers: [{ ...bases.router, uplinks: [{ interface: "wan0", addresses: ["192.0.2.1/24"] }] }],
      }),
      bases.inventoryWith(bases.phone),
    ),
  ),
  invariant(
    "lawful-control",
    "admit.desired_differs",
    "A lawful inventory with one client more, under the digest of the state without it.",
    bundleOf(bases.intentWith(), bases.inventoryWith(bases.phone, tablet)),
  ),
  family("E_TYPE", "bundle")("bundle-control", "", "Positive control: the base bundle.", bases.bundle()),
];

// ---- sealed secrets ----

const seal = family("E_SEAL", "secrets");
const { sealed, secret, secretsBlob } = bases;
const box = sealed().to_router;

export const secretVectors: readonly Vector[] = [
  seal(
    "sealed-to-other-router",
    "trust.secret_sealed",
    "The box is sealed to another router.",
    secretsBlob(sealed(secret(), { to_router: bases.boxFor("sibling", secret()) })),
  ),
  seal(
    "sealed-other-slot",
    "trust.secret_slot",
    "The inside of the box names another router.",
    secretsBlob(sealed(secret({ router_id: id(16, "sibling") }))),
  ),
  seal(
    "sealed-old-incarnation",
    "trust.secret_slot",
    "The inside of the box names an incarnation that is gone.",
    secretsBlob(sealed(secret({ incarnation: 2 }))),
  ),
  seal(
    "commit-mismatch",
    "trust.secret_commitment",
    "The key inside is another one than its commitment says.",
    secretsBlob(sealed(secret({ secret: id(32, "another psk") }))),
  ),
  seal(
    "bitflip-box",
    "trust.secret_sealed",
    "One bit of the box is flipped.",
    secretsBlob(sealed(secret(), { to_router: box.map((byte, i) => (i === 60 ? byte ^ 1 : byte)) })),
  ),
  seal("secrets-control", "", "Positive control: a box for this router.", bases.baseSecrets),
];
