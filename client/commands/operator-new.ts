/**
 * `operator new`: the keys of one more person on this machine, and the card that tells the others of them. May be
 * repeated: key files that are there are used again, so a card can be made anew and roles can be added to it.
 */
import { existsSync } from "node:fs";
import * as v from "valibot";
import type { Crypto, SignKeys } from "../../agent/core/crypto.ts";
import { signStatement } from "../../agent/core/dsse.ts";
import { equalBytes, toBase64 } from "../../schemas/digest.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { Name } from "../../schemas/scalars.ts";
import { type Args, usageError } from "../args.ts";
import { type Card, cardText, readCardFile } from "../cards.ts";
import { cardFingerprint, keyFingerprint, rootFingerprint } from "../fingerprints.ts";
import {
  checkOwner,
  type KeyRole,
  keyPath,
  type Owner,
  openSeeds,
  operatorOfSeeds,
  RESERVED_HOLDERS,
  readKeyHead,
  writeKeyFile,
} from "../keys.ts";
import { type Ending, finished, refused } from "../out.ts";
import { newPassphrase, type Passphrase, passphraseOf } from "../passphrase.ts";
import { keyFolder, makePrivateFolder } from "../places.ts";
import type { OfflineRole } from "../role-keys.ts";
import { type Context, type Home, openHome } from "../session.ts";
import { createFile, replaceFile } from "../site/files.ts";
import { cardKeys } from "../trust-change.ts";

const ROLES: readonly OfflineRole[] = ["root", "admin", "recovery"];
const SEEDS: Readonly<Record<KeyRole, number>> = { operator: 3, root: 1, admin: 1, recovery: 2 };

type Wanted = { readonly holder: string; readonly roles: readonly OfflineRole[]; readonly out: string };

/** What the flags ask for. Code cli.usage. */
function readWanted(args: Args): Result<Wanted> {
  const holder = args.one("holder");
  if (holder === undefined) return usageError("--holder NAME is missing: the name of the person at this machine.");
  if (!v.is(Name, holder) || RESERVED_HOLDERS.includes(holder)) {
    return usageError("--holder must be a lower-case letter, then up to 30 of a-z, 0-9 and -, and no role.");
  }
  const given = args.all("role");
  const odd = given.find((one) => !ROLES.some((role) => role === one));
  if (odd !== undefined) return usageError(`--role is root, admin or recovery, not ${odd}.`);
  return done({
    holder,
    roles: ROLES.filter((role) => given.includes(role)),
    out: args.one("out") ?? `${holder}.card`,
  });
}

type Slot = { readonly role: KeyRole; readonly path: string; readonly there: boolean };

/** The key files that a card is made of. Code cli.exists for one of another person. */
function slotsOf(home: Home, { holder, roles }: Wanted): Result<readonly Slot[]> {
  const slots: Slot[] = [];
  for (const role of ["operator", ...roles] as const) {
    const path = keyPath(home.network, role === "operator" ? holder : role);
    const there = existsSync(path);
    if (there) {
      const head = checkOwner(path, home.owner);
      if (!head.ok) return head;
      if (head.value.holder !== holder) return refuse("cli.exists", path, `it is ${head.value.holder}'s`);
    }
    slots.push({ role, path, there });
  }
  return done(slots);
}

/** New files are locked like the ones that are there: one passphrase for one person. */
async function lockFor(args: Args, slots: readonly Slot[], words: Passphrase): Promise<Result<Uint8Array | null>> {
  if (slots.every((slot) => slot.there)) return done(null);
  for (const { there, path } of slots) {
    const head = there ? readKeyHead(path) : undefined;
    if (head?.ok && head.value.locked) return words.get(path);
  }
  return newPassphrase(args);
}

type Seeds = Readonly<Partial<Record<KeyRole, readonly Uint8Array[]>>>;

async function seedsOf(
  owner: Owner & { readonly holder: string },
  slots: readonly Slot[],
  lock: Uint8Array | null,
  words: Passphrase,
): Promise<Result<Seeds>> {
  const seeds: Partial<Record<KeyRole, readonly Uint8Array[]>> = {};
  // What is there first: a wrong passphrase must not leave new files that only it opens.
  for (const { role, path } of slots.filter((slot) => slot.there)) {
    const held = await openSeeds(path, role, words);
    if (!held.ok) return held;
    seeds[role] = held.value;
  }
  for (const { role, path } of slots.filter((slot) => !slot.there)) {
    const made = Array.from({ length: SEEDS[role] }, () => globalThis.crypto.getRandomValues(new Uint8Array(32)));
    await writeKeyFile(path, { role, network: owner.network, root: owner.root, holder: owner.holder }, made, lock);
    seeds[role] = made;
  }
  return done(seeds);
}

function cardOf(crypto: Crypto, networkId: Uint8Array, holder: string, seeds: Seeds): Card {
  const operator = operatorOfSeeds(crypto, holder, seeds.operator ?? []);
  const keys = (role: OfflineRole): SignKeys | undefined => seeds[role] && crypto.signKeys(seeds[role][0]);
  const publicKey = (role: OfflineRole): Uint8Array => keys(role)?.publicKey ?? new Uint8Array();
  const signers = [operator.sign, ...ROLES.flatMap((role) => keys(role) ?? [])];
  const message = {
    network_id: networkId,
    holder,
    sign_key: operator.sign.publicKey,
    seal_key: operator.seal.publicKey,
    lane_key: toBase64(operator.lane.publicKey),
    root_key: publicKey("root"),
    admin_key: publicKey("admin"),
    recovery_key: publicKey("recovery"),
    escrow_key: seeds.recovery === undefined ? new Uint8Array() : crypto.boxKeys(seeds.recovery[1]).publicKey,
  };
  return signStatement(crypto, "operator-card", message, signers);
}

/** Writes the card; one with the same operator key is an earlier one of its owner, and is replaced. Code cli.exists. */
function writeCard(home: Home, path: string, card: Card): Result<void> {
  const bytes = new TextEncoder().encode(cardText(card));
  const made = createFile("", path, bytes);
  if (!made.ok) return made;
  if (made.value) return done(undefined);
  const there = readCardFile(home.crypto, card.message.network_id, path);
  const own = there.ok && equalBytes(there.value.message.sign_key, card.message.sign_key);
  if (!own) return refuse("cli.exists", path, "another file is there: give --out FILE");
  return replaceFile("", path, new TextEncoder().encode(cardText(there.value)), bytes);
}

/** `holdfast operator new --holder NAME` */
export async function operatorNew(context: Context): Promise<Ending> {
  const { args, voice } = context;
  const wanted = readWanted(args);
  if (!wanted.ok) return refused(wanted.problems);
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const { crypto, network, owner, chain } = home.value;
  const { holder, out } = wanted.value;
  const slots = slotsOf(home.value, wanted.value);
  if (!slots.ok) return refused(slots.problems);
  const words = passphraseOf(args);
  const lock = await lockFor(args, slots.value, words);
  if (!lock.ok) return refused(lock.problems);
  makePrivateFolder(keyFolder(network));
  const seeds = await seedsOf({ ...owner, holder }, slots.value, lock.value, words);
  if (!seeds.ok) return refused(seeds.problems);
  const card = cardOf(crypto, chain.view.root.message.network_id, holder, seeds.value);
  for (const list of Object.values(seeds.value)) for (const one of list) one.fill(0);
  const written = writeCard(home.value, out, card);
  if (!written.ok) return refused(written.problems);
  const shown = cardFingerprint(card);
  const first = rootFingerprint(chain.roots[0]!);
  voice.say(`Keys of ${holder} are in ${keyFolder(network)}.`);
  voice.say(`This site's trust begins with ${first}: ask an operator to read theirs from holdfast trust show.`);
  const answer = [
    `${out} is the card of ${holder}:`,
    "",
    `    ${shown}`,
    "",
    `Give the file to an operator, and read the letters to them over a phone. Next, there: ${nextVerb(card, out)}.`,
  ].join("\n");
  const keys = [{ role: "operator", key: card.message.sign_key }, ...cardKeys(card.message)];
  return finished(answer, {
    ...{ holder, card: out, fingerprint: shown, root_fingerprint: first, files: slots.value.map((slot) => slot.path) },
    keys: keys.map(({ role, key }) => ({ role, public_key: key, fingerprint: keyFingerprint(role, key) })),
  });
}

const nextVerb = (card: Card, out: string): string =>
  cardKeys(card.message).length === 0 ? `holdfast operator add ${out}` : `holdfast trust propose --join ${out}`;
