/** The first half of the walk, which needs no kernel: who signed, what the blobs mean, which keys they need. */
import { DESIRED_FORMAT, type Desired } from "../schemas/desired.ts";
import { toHex } from "../schemas/digest.ts";
import type { Directive, Request } from "../schemas/directive.ts";
import { done, type Problem, problem, type Result, refuse } from "../schemas/problem.ts";
import { decode, type Messages } from "../schemas/wire.ts";
import type { Agent } from "./agent.ts";
import { admitDirective } from "./core/directive.ts";
import type { Opened } from "./core/dsse.ts";
import { asSigned, type Proven, prove } from "./core/prove.ts";
import { openSecret } from "./core/secrets.ts";
import { extendTrust, type TrustView } from "./core/trust.ts";
import { holdersBehind } from "./past.ts";
import { hexBytes } from "./standing.ts";

export type Admitted = {
  readonly directive: Opened<"directive">;
  readonly holders: readonly string[];
  readonly view: TrustView;
};

/** PSKs that came with the bundle and that this router does not hold yet, by commitment. */
export type NewSecrets = ReadonlyMap<string, Uint8Array>;

export type Prepared = Admitted & { readonly proven: Proven; readonly secrets: NewSecrets };

/** The generation that a directive must follow, in the words of who comes second. */
function keptText({ standing, store }: Agent): string {
  const { lkg } = store.record();
  const kept = lkg === null ? undefined : standing.directive(lkg.directive);
  if (lkg === null) return "none yet";
  const view = kept === undefined ? undefined : standing.viewAt(kept.message.root_digest, kept.message.roster_digest);
  const by = kept === undefined || view === undefined ? [] : holdersBehind(view, kept);
  return `generation ${lkg.generation}${by.length === 0 ? "" : ` by ${by.join(", ")}`}`;
}

// ---- admit: who says so, for whom, in which place ----

/** Signatures, audience, trust, place, freshness. Uses the challenge up; burns nothing. */
export function admit(agent: Agent, request: Request): Result<Admitted> {
  const { standing, journal, store, crypto, challenges, beacons } = agent;
  const held = standing.view();
  if (held === undefined) return refuse("trust.not_enrolled", "", "no roster names this router yet");
  const view = request.trust.length === 0 ? done(held) : extendTrust(crypto, held, request.trust);
  if (!view.ok) return view;
  const self = standing.self();
  const context = {
    view: view.value,
    routerId: self.routerId,
    incarnation: self.incarnation,
    burnt: store.record().generation,
    parent: standing.parent(),
    parentText: keptText(agent),
    keysDigest: hexBytes(store.record().keys),
    desiredFormat: DESIRED_FORMAT,
    logDigestAt: journal.digestAt,
    challengeIsLive: challenges.isLive,
    beaconAgeS: beacons.ageS,
  };
  const admitted = admitDirective(crypto, context, request.directive);
  if (!admitted.ok) return admitted;
  challenges.use(admitted.value.message.challenge);
  return done({ directive: admitted.value, holders: admitted.value.holders, view: view.value });
}

// ---- prove: the blobs mean what was signed, and hold every invariant ----

function blobOf<K extends "Intent" | "Inventory" | "Secrets">(
  agent: Agent,
  kind: K,
  digest: Uint8Array,
): Result<Messages[K]> {
  const bytes = agent.store.readBlob(toHex(digest));
  if (bytes === undefined) return refuse("blob.missing", kind.toLowerCase(), toHex(digest));
  return decode(kind, bytes);
}

/** The blobs that the directive pins mean the desired state that was signed, hold every law, and need no key that is not here. */
export async function proveHere(agent: Agent, admitted: Admitted): Promise<Result<Prepared>> {
  const { message } = admitted.directive;
  const intent = blobOf(agent, "Intent", message.intent_digest);
  if (!intent.ok) return intent;
  const inventory = blobOf(agent, "Inventory", message.inventory_digest);
  if (!inventory.ok) return inventory;
  const keys = agent.standing.keyReport();
  if (keys === undefined) return refuse("trust.not_enrolled", "keys", "no key report yet");
  const { view } = admitted;
  const subject = {
    ...{ intent: intent.value, inventory: inventory.value, keys: keys.message },
    ...{ root: view.root.message, roster: view.roster.message, router: agent.standing.routerName() },
  };
  const digests = [message.intent_digest, message.inventory_digest, keys.digest, view.root.digest, view.roster.digest];
  const proven = asSigned(
    agent.proofs.of(digests, subject.router, () => prove(subject)),
    message.desired_digest,
  );
  if (!proven.ok) return proven;
  const secrets = await keysAtHand(agent, message, proven.value.desired);
  return secrets.ok ? done({ ...admitted, proven: proven.value, secrets: secrets.value }) : secrets;
}

/** Every private and preshared key that the generation names is here, or in the bundle's sealed secrets. */
async function keysAtHand(agent: Agent, directive: Directive, desired: Desired): Promise<Result<NewSecrets>> {
  const { host, standing, crypto } = agent;
  const missing: Problem[] = [];
  for (const link of desired.links) {
    if (await host.keys.hasWgKey(link.publicKey)) continue;
    missing.push(problem("apply.key_missing", `link ${link.name}`, `no private key of ${link.publicKey}`));
  }
  const psks = new Set(desired.links.flatMap((link) => link.peers.flatMap(({ psk }) => (psk === "" ? [] : [psk]))));
  const wanted: string[] = [];
  for (const psk of psks) if (!(await host.keys.hasPsk(psk))) wanted.push(psk);
  const found = new Map<string, Uint8Array>();
  if (wanted.length > 0) {
    const sealed = blobOf(agent, "Secrets", directive.secrets_digest);
    if (!sealed.ok) return sealed;
    const byCommitment = new Map(sealed.value.secrets.map((one) => [toHex(one.commitment), one]));
    const self = standing.self();
    for (const psk of wanted) {
      const box = byCommitment.get(psk);
      const secret = box === undefined ? undefined : openSecret(crypto, self.seal, self, box);
      if (secret === undefined) missing.push(problem("apply.key_missing", "secrets", `no preshared key ${psk}`));
      else if (secret.ok) found.set(psk, secret.value.psk);
      else missing.push(...secret.problems);
    }
  }
  return missing.length > 0 ? { ok: false, problems: missing } : done(found);
}
