/**
 * A bundle as a file: what a second operator reviews and signs, and what anybody can carry to the router. Nothing in
 * the file is believed: the directive pins every part by digest, and the site's documents of trust say who may sign.
 */
import { basename, dirname } from "node:path";
import { openBeacon } from "../agent/core/beacon.ts";
import { type Opened, openStatement } from "../agent/core/dsse.ts";
import { asSigned, type Proven } from "../agent/core/prove.ts";
import { extendTrust, openKeyReport, rosterRouter, type TrustView } from "../agent/core/trust.ts";
import { equalBytes, sha256, toHex } from "../schemas/digest.ts";
import type { Directive } from "../schemas/directive.ts";
import { limits } from "../schemas/limits.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { RiskClass, RosterRouter } from "../schemas/trust.ts";
import { decode, encode, type Messages } from "../schemas/wire.ts";
import { type Content, proveContent } from "./content.ts";
import { readRevocations } from "./revocations.ts";
import type { Home } from "./session.ts";
import { type Signers, signersOf } from "./signers.ts";
import { createFile, readCapped, replaceFile } from "./site/files.ts";

export type BundleFile = {
  readonly path: string;
  readonly bytes: Uint8Array; // as they were read
  readonly parts: Messages["Bundle"];
  readonly directive: Opened<"directive">;
};

/** A bundle that is whole and rightly signed so far; what it means is in `proven`, good or bad. */
export type Review = {
  readonly file: BundleFile;
  readonly view: TrustView; // root and roster that the directive names
  readonly newTrust: boolean; // the site does not have them yet, the bundle brings them
  readonly router: RosterRouter;
  readonly beacon: Opened<"beacon">;
  readonly content: Content;
  readonly signers: Signers;
  readonly proven: Result<Proven>;
};

/** The longest that a beacon may serve a directive of this class, in seconds. */
export const beaconLimitS = (riskClass: RiskClass): number =>
  riskClass === "routine" ? limits.beaconAgeS : limits.beaconSensitiveAgeS;

/** Reads the file and opens the directive: every signature verifies. Codes site.*, wire.*, trust.*. */
function readBundle(home: Home, path: string): Result<BundleFile> {
  const bytes = readCapped(dirname(path), basename(path), limits.bundleBytes);
  if (!bytes.ok) return bytes;
  const parts = decode("Bundle", bytes.value);
  if (!parts.ok) return parts;
  const directive = openStatement(home.crypto, "directive", parts.value.directive);
  return directive.ok ? done({ path, bytes: bytes.value, parts: parts.value, directive: directive.value }) : directive;
}

/** The trust that the directive was made under, which must be the newest that site and bundle know. */
function viewOf(home: Home, { parts, directive }: BundleFile): Result<{ view: TrustView; newTrust: boolean }> {
  const revoked = readRevocations(home);
  if (!revoked.ok) return revoked;
  const held = { ...home.chain.view, revoked: revoked.value.map((one) => one.key) };
  const { root_digest, roster_digest, network_id } = directive.message;
  if (!equalBytes(network_id, held.root.message.network_id)) {
    return refuse("trust.network", "directive.network_id", "of another network than this site");
  }
  const names = (view: TrustView): boolean =>
    equalBytes(view.root.digest, root_digest) && equalBytes(view.roster.digest, roster_digest);
  if (names(held)) return done({ view: held, newTrust: false });
  const view = extendTrust(home.crypto, held, parts.trust);
  if (!view.ok) return view;
  if (names(view.value)) return done({ view: view.value, newTrust: true });
  const { version } = view.value.roster.message;
  return refuse(
    "trust.view",
    "directive",
    `made under other documents than roster ${version}: git pull, or propose again`,
  );
}

/** The active unit that the directive is for. */
function unitOf(view: TrustView, { router_id, incarnation }: Directive): Result<RosterRouter> {
  const unit = rosterRouter(view, router_id);
  if (unit === undefined) return refuse("trust.router", "directive.router_id", "the roster has no such router");
  if (unit.incarnation !== incarnation) {
    return refuse("trust.incarnation", "directive.incarnation", `${incarnation}, the roster says ${unit.incarnation}`);
  }
  return unit.status === "active" ? done(unit) : refuse("trust.router_retired", "directive.router_id", unit.status);
}

/** The three blobs by the digests that were signed; one too many is refused as well. */
function blobsOf({ parts, directive }: BundleFile): Result<Content["blobs"]> {
  const { intent_digest, inventory_digest, secrets_digest } = directive.message;
  const named = parts.blobs.map((bytes) => ({ bytes, digest: sha256(bytes) }));
  const empty = new Uint8Array();
  const found = [intent_digest, inventory_digest, secrets_digest].map((digest) =>
    equalBytes(digest, sha256(empty)) ? empty : named.find((one) => equalBytes(one.digest, digest))?.bytes,
  );
  const [intent, inventory, secrets] = found;
  if (intent === undefined) return refuse("blob.missing", "intent", toHex(intent_digest));
  if (inventory === undefined) return refuse("blob.missing", "inventory", toHex(inventory_digest));
  if (secrets === undefined) return refuse("blob.missing", "secrets", toHex(secrets_digest));
  if (named.some((one) => !found.includes(one.bytes))) {
    return refuse("cli.bad_bundle", "blobs", "it carries a blob that the directive does not name");
  }
  return done({ intent, inventory, secrets });
}

function contentOf(file: BundleFile): Result<Content> {
  const blobs = blobsOf(file);
  if (!blobs.ok) return blobs;
  const [intent, inventory] = [decode("Intent", blobs.value.intent), decode("Inventory", blobs.value.inventory)];
  if (!intent.ok) return intent;
  if (!inventory.ok) return inventory;
  const secrets = decode("Secrets", blobs.value.secrets);
  if (!secrets.ok) return secrets;
  return done({ intent: intent.value, inventory: inventory.value, blobs: blobs.value, locate: (one) => one });
}

/**
 * The beacon fits the directive: it is the one that is cited, it may serve this class that long, and it tells of the
 * very place that the directive builds on. Code trust.beacon, and trust.parent where somebody else came between.
 */
export function checkBeacon(beacon: Opened<"beacon">, directive: Directive): Result<void> {
  const { message, digest } = beacon;
  if (!equalBytes(directive.beacon, digest))
    return refuse("trust.beacon", "directive.beacon", "it cites another beacon");
  const most = beaconLimitS(directive.risk_class);
  if (directive.beacon_max_age_s > most) {
    return refuse("trust.beacon", "directive.beacon_max_age_s", `${directive.beacon_max_age_s} s, at most ${most}`);
  }
  if (!equalBytes(message.lkg_directive, directive.parent)) {
    return refuse("trust.parent", "beacon", "the router confirmed another generation than the directive builds on");
  }
  if (message.generation >= directive.generation) {
    return refuse("trust.generation_burnt", "beacon", `generation ${message.generation} was used already`);
  }
  return done(undefined);
}

/** The proof that the router will make, and its result compared with what was signed. Code admit.desired_differs. */
function proofOf(
  home: Home,
  view: TrustView,
  content: Content,
  router: string,
  keys: Opened<"key-report">,
  signed: Uint8Array,
) {
  const proven = proveContent({ ...home, chain: { ...home.chain, view } }, content, router, keys.message);
  return asSigned(proven, signed);
}

/**
 * Everything that can be known about a bundle without the router. Refused when a part is forged, missing, surplus or of
 * another network; content that breaks an invariant is no refusal here but the result in `proven`.
 */
export function reviewBundle(home: Home, path: string): Result<Review> {
  const file = readBundle(home, path);
  if (!file.ok) return file;
  const { message } = file.value.directive;
  const seen = viewOf(home, file.value);
  if (!seen.ok) return seen;
  const { view, newTrust } = seen.value;
  const router = unitOf(view, message);
  if (!router.ok) return router;
  const signers = signersOf(view, file.value.directive);
  if (!signers.ok) return signers;
  if (message.action !== "apply") return refuse("cli.bad_bundle", "directive.action", "it only asks for a plan");
  const { crypto } = home;
  const beacon = openBeacon(crypto, router.value, message.network_id, file.value.parts.beacon);
  if (!beacon.ok) return beacon;
  const fits = checkBeacon(beacon.value, message);
  if (!fits.ok) return fits;
  const keys = openKeyReport(crypto, router.value, message.network_id, file.value.parts.key_report);
  if (!keys.ok) return keys;
  if (!equalBytes(keys.value.digest, message.keys_digest)) {
    return refuse("trust.keys_digest", "directive.keys_digest", "of another key report than the bundle's");
  }
  const content = contentOf(file.value);
  if (!content.ok) return content;
  const proven = proofOf(home, view, content.value, router.value.id, keys.value, message.desired_digest);
  return done({
    ...{ file: file.value, view, newTrust, router: router.value, beacon: beacon.value },
    ...{ content: content.value, signers: signers.value, proven },
  });
}

/** Writes a new bundle. Code cli.exists: what is there may hold signatures. */
export function createBundle(path: string, parts: Messages["Bundle"]): Result<void> {
  const made = createFile(dirname(path), basename(path), encode("Bundle", parts));
  if (!made.ok) return made;
  return made.value ? done(undefined) : refuse("cli.exists", path, "there is a file of this name");
}

/** Puts a directive with more signatures into the file. Code site.changed when the file is not what was read. */
export function replaceDirective({ path, bytes, parts }: BundleFile, directive: Opened<"directive">): Result<void> {
  const next = encode("Bundle", { ...parts, directive: directive.envelope });
  return replaceFile(dirname(path), basename(path), bytes, next);
}

/** What `push --propose` is told to write when nobody chose a name. */
export const bundleName = (router: string, generation: bigint): string => `${router}.${generation}.bundle`;
