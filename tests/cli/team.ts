/** Three people and one enrolled router: alice began alone, bob and carol came with homes and copies of the site. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SignKeys } from "../../agent/core/crypto.ts";
import { type Opened, openStatement, signStatement } from "../../agent/core/dsse.ts";
import { extendTrust, type TrustView } from "../../agent/core/trust.ts";
import { operatorOfSeeds, writeKeyFile } from "../../client/keys.ts";
import { loadCrypto } from "../../client/sodium.ts";
import { toBase64, toHex } from "../../schemas/digest.ts";
import type { Directive } from "../../schemas/directive.ts";
import type { Operator, RiskClass, Root } from "../../schemas/trust.ts";
import { decode, encode, type Messages } from "../../schemas/wire.ts";
import { type Enrolled, enrolled } from "./enrolled.ts";
import type { FakeRouter } from "./fake-router.ts";
import { Place, type Said } from "./place.ts";

const crypto = await loadCrypto();
const random = (bytes: number): Uint8Array => globalThis.crypto.getRandomValues(new Uint8Array(bytes));

/** The seeds in a key file that has no lock. */
function seedsIn(place: Place, name: string): Uint8Array[] {
  const { seeds } = JSON.parse(readFileSync(join(place.keys, `${name}.key`), "utf8")) as { seeds: string };
  const bytes = Uint8Array.fromBase64(seeds);
  return Array.from({ length: bytes.length / 32 }, (_, i) => bytes.slice(32 * i, 32 * (i + 1)));
}

const signKeysIn = (place: Place, name: string): SignKeys => crypto.signKeys(seedsIn(place, name)[0]);

/** Keys of a new person in a home of their own; the site's copy follows later. */
async function newcomer(holder: string, first: Opened<"root">, passphrase: string, maxClass: RiskClass) {
  const place = new Place();
  mkdirSync(place.keys, { recursive: true, mode: 0o700 });
  const seeds = [random(32), random(32), random(32)];
  const head = { role: "operator" as const, network: "homelab", root: toHex(first.digest), holder };
  const words = passphrase === "" ? null : new TextEncoder().encode(passphrase);
  await writeKeyFile(join(place.keys, `${holder}.key`), head, seeds, words);
  const keys = operatorOfSeeds(crypto, holder, seeds);
  const entry: Operator = {
    ...{ holder, sign_key: keys.sign.publicKey, seal_key: keys.seal.publicKey },
    ...{ lane_key: toBase64(keys.lane.publicKey), max_class: maxClass, status: "active" },
  };
  return { place, entry };
}

export class Team implements Disposable {
  readonly story: Enrolled;
  readonly alice: Place;
  readonly bob: Place;
  readonly carol: Place; // may sign routine changes only

  constructor(story: Enrolled, bob: Place, carol: Place) {
    this.story = story;
    this.alice = story.place;
    this.bob = bob;
    this.carol = carol;
  }

  get router(): FakeRouter {
    return this.story.router;
  }

  /** A command of somebody in their site, at the router's real place. */
  ask(who: Place, ...words: readonly string[]): Promise<Said> {
    return who.at(...words, "--at", this.router.at);
  }

  /** The bundle's file, where everybody can reach it. */
  get file(): string {
    return join(this.alice.home, "change.bundle");
  }

  /** Alice proposes her site; a change that makes it another site comes first. */
  async propose(...words: readonly string[]): Promise<Said> {
    const said = await this.ask(this.alice, "push", "--propose", this.file, ...words);
    if (said.exit !== 0) throw new Error(`propose: ${said.stderr}`);
    return said;
  }

  read(): Messages["Bundle"] {
    const parts = decode("Bundle", new Uint8Array(readFileSync(this.file)));
    if (!parts.ok) throw new Error("no bundle");
    return parts.value;
  }

  directive(): Opened<"directive"> {
    const opened = openStatement(crypto, "directive", this.read().directive);
    if (!opened.ok) throw new Error("no directive");
    return opened.value;
  }

  /** Puts other parts into the file, as whoever carries it could. */
  spoil(change: Partial<Messages["Bundle"]>): void {
    writeFileSync(this.file, encode("Bundle", { ...this.read(), ...change }));
  }

  /** As spoil, with a directive that alice signs anew: what one bad operator could do. */
  resign(change: Partial<Directive>, parts: Partial<Messages["Bundle"]> = {}): void {
    const message = { ...this.directive().message, ...change };
    const signed = signStatement(crypto, "directive", message, [signKeysIn(this.alice, "alice")]);
    this.spoil({ ...parts, directive: signed.envelope });
  }

  [Symbol.dispose](): void {
    this.story[Symbol.dispose]();
    this.bob[Symbol.dispose]();
    this.carol[Symbol.dispose]();
  }
}

/** `classes`: how many people each class needs; the others need one. `passphrase` locks bob's keys. */
export async function team(
  classes: Root["classes"] = [{ risk_class: "sensitive", threshold: 2 }],
  passphrase = "",
): Promise<Team> {
  const story = await enrolled();
  const { place, router } = story;
  const view = router.view!;
  const bob = await newcomer("bob", view.root, passphrase, "recovery");
  const carol = await newcomer("carol", view.root, "", "routine");
  const { message: before } = view.root;
  const rootMessage = { ...before, version: 2, prev_digest: view.root.digest, classes };
  const root = signStatement(crypto, "root", rootMessage, [signKeysIn(place, "root")]);
  const operators = [...view.roster.message.operators, bob.entry, carol.entry];
  const version = view.roster.message.version + 1;
  const rosterMessage = {
    ...{ ...view.roster.message, version, prev_digest: view.roster.digest },
    ...{ root_digest: root.digest, operators },
  };
  const roster = signStatement(crypto, "roster", rosterMessage, [signKeysIn(place, "admin")]);
  writeFileSync(join(place.site, "trust/root.2.dsse"), root.envelope);
  writeFileSync(join(place.site, `trust/roster.${version}.dsse`), roster.envelope);
  router.view = extended(view, [root.envelope, roster.envelope]);
  for (const one of [bob, carol]) cpSync(place.site, one.place.site, { recursive: true });
  return new Team(story, bob.place, carol.place);
}

function extended(view: TrustView, updates: readonly Uint8Array[]): TrustView {
  const next = extendTrust(crypto, view, updates);
  if (!next.ok) throw new Error(JSON.stringify(next.problems));
  return next.value;
}
