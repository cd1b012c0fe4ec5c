/**
 * `trust rotate`: a new key of one's own for root, admin or recovery, as a proposed root that names it. The old key
 * file is put aside, since it has to sign until the new root is in force.
 */
import { existsSync, readFileSync } from "node:fs";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { OperatorCard, Root } from "../../schemas/trust.ts";
import { usageError } from "../args.ts";
import { keyFingerprint } from "../fingerprints.ts";
import { keyPath, localHolders, readKeyHead, writeKeyFile } from "../keys.ts";
import { type Ending, refused } from "../out.ts";
import { newPassphrase, type Passphrase, passphraseOf } from "../passphrase.ts";
import { keyFolder, makePrivateFolder, writeWhole } from "../places.ts";
import { openOnes, readProposals } from "../proposals.ts";
import { hasRole, type OfflineRole, openRole, openRoleKey, type RoleKey, signersFor } from "../role-keys.ts";
import { now } from "../roster-step.ts";
import { type Context, type Home, openHome } from "../session.ts";
import { nextRoot } from "../trust-change.ts";
import { stateEnding } from "./trust.ts";
import { proposePair } from "./trust-propose.ts";

const EMPTY = new Uint8Array();

/** Whose role it is: --as, the key file's owner, or the only operator here. Codes cli.usage, keys.which, cli.no_operator. */
function holderOf({ args }: Context, home: Home, role: OfflineRole): Result<string> {
  const head = readKeyHead(keyPath(home.network, role));
  const holders = localHolders(home.network);
  const name = args.one("as") ?? (head.ok ? head.value.holder : holders.length === 1 ? holders[0] : undefined);
  if (name === undefined)
    return refuse("keys.which", keyFolder(home.network), `whose ${role} key: say with --as HOLDER`);
  if (home.chain.view.root.message.keys.some((one) => one.role === role && one.holder === name)) return done(name);
  return refuse(
    "cli.no_operator",
    name,
    `the root gives them no ${role.toUpperCase()} role: holdfast trust propose --join`,
  );
}

/** A rotation that would only be refused later must not make keys. Codes cli.proposal_open, keys.*. */
async function mayPropose(home: Home, role: OfflineRole, passphrase: Passphrase): Promise<Result<void>> {
  const open = readProposals(home.crypto, home.folder, home.chain);
  if (!open.ok) return open;
  const [other] = openOnes(open.value);
  if (other !== undefined) return refuse("cli.proposal_open", other.name, other.words.join("; "));
  for (const needed of ["root", "admin"] as const) {
    if (needed === role) continue; // the new key signs
    const { root } = home.chain.view;
    const keys = await signersFor(home.crypto, home.owner, needed, [root.message], passphrase);
    if (!keys.ok) return keys;
  }
  return done(undefined);
}

/** The new key: one that an earlier, withdrawn rotation made, or a fresh one. The old file goes aside first. */
async function newKey(
  context: Context,
  home: Home,
  role: OfflineRole,
  holder: string,
  passphrase: Passphrase,
): Promise<Result<RoleKey>> {
  const { crypto, owner, network } = home;
  const root = home.chain.view.root.message;
  const held = await openRole(crypto, owner, role, passphrase);
  if (!held.ok) return held;
  const path = keyPath(network, role);
  const present = held.value.find((key) => key.path === path);
  if (present !== undefined && !hasRole([root], role, present.sign.publicKey)) return done(present);
  let lock: Result<Uint8Array | null>;
  if (present === undefined) lock = await newPassphrase(context.args);
  else {
    const head = readKeyHead(path);
    lock = head.ok && head.value.locked ? await passphrase.get(path) : done(null);
  }
  if (!lock.ok) return lock;
  if (present !== undefined) {
    const aside = `${path.slice(0, -".key".length)}.${root.version}.key`;
    const bytes = readFileSync(path);
    if (existsSync(aside) && !readFileSync(aside).equals(bytes)) {
      return refuse("cli.exists", aside, "another key was put aside there");
    }
    writeWhole(aside, new Uint8Array(bytes));
  }
  makePrivateFolder(keyFolder(network));
  const count = role === "recovery" ? 2 : 1;
  const seeds = Array.from({ length: count }, () => globalThis.crypto.getRandomValues(new Uint8Array(32)));
  await writeKeyFile(path, { role, network, root: owner.root, holder }, seeds, lock.value);
  for (const one of seeds) one.fill(0);
  return openRoleKey(crypto, owner, role, path, passphrase);
}

/** The root with one key of one person exchanged. */
function rotated(home: Home, key: RoleKey, holder: string): Root {
  const own = (role: OfflineRole): Uint8Array => (key.role === role ? key.sign.publicKey : EMPTY);
  const card: OperatorCard = {
    ...{ network_id: EMPTY, holder, sign_key: EMPTY, seal_key: EMPTY, lane_key: "" },
    ...{ root_key: own("root"), admin_key: own("admin"), recovery_key: own("recovery") },
    escrow_key: key.escrow?.publicKey ?? EMPTY,
  };
  return nextRoot(home.chain.view.root, { join: [card], drop: [], thresholds: {}, classes: [] }, now());
}

/** `holdfast trust rotate ROLE` */
export async function trustRotate(context: Context): Promise<Ending> {
  const { args, voice, json } = context;
  const role = (["root", "admin", "recovery"] as const).find((one) => one === args.operands[0]);
  if (role === undefined) return refused(usageError("The role is root, admin or recovery.").problems);
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const holder = holderOf(context, home.value, role);
  if (!holder.ok) return refused(holder.problems);
  const passphrase = passphraseOf(args);
  const may = await mayPropose(home.value, role, passphrase);
  if (!may.ok) return refused(may.problems);
  const yes = args.has("yes")
    ? done(undefined)
    : await voice.ask(`Make a new ${role} key of ${holder.value}?`, "--yes");
  if (!yes.ok) return refused(yes.problems);
  const key = await newKey(context, home.value, role, holder.value, passphrase);
  if (!key.ok) return refused(key.problems);
  const next = {
    root: rotated(home.value, key.value, holder.value),
    operators: [...home.value.chain.view.roster.message.operators],
  };
  const proposed = await proposePair(home.value, next, passphrase, async (words) => {
    if (!json) voice.say(words.map((line) => `  ${line}`).join("\n"));
    return done(undefined);
  });
  if (!proposed.ok) return refused(proposed.problems);
  const fields = {
    role,
    holder: holder.value,
    key_file: key.value.path,
    fingerprint: keyFingerprint(role, key.value.sign.publicKey),
  };
  return stateEnding(
    home.value,
    `New ${role} key of ${holder.value} in ${key.value.path}; the old one signs until then.`,
    fields,
  );
}
