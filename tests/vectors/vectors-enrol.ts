/** How a router gets its place, and who may ask it: enrolments, requests, cards, revocations. */
import * as bases from "./bases.ts";
import { signPair } from "./raw.ts";
import { family, type Vector } from "./vector.ts";
import * as world from "./world.ts";

const { id, signed } = world;

// ---- enrolment ----

const enrol = family("E_ENROL", "enrol-request");
const fresh = { token: bases.tokenText };
const enrolment = (change: Partial<typeof world.token>): Uint8Array => world.enrolmentBy(change).envelope;

export const enrolVectors: readonly Vector[] = [
  enrol(
    "token-hmac-bad",
    "trust.enrol_mac",
    "The enrolment was made without the secret of the token.",
    enrolment({ secret: id(32, "guess") }),
    { state: fresh },
  ),
  enrol(
    "enrol-other-token",
    "trust.enrol_token",
    "The enrolment names another token.",
    enrolment({ token_id: id(16, "other token") }),
    { state: fresh },
  ),
  enrol(
    "enrol-other-signer",
    "trust.signer_unknown",
    "Another key than the enrolment names signed it.",
    signed("enrol-request", world.enrolRequest.message, "racer").envelope,
    { state: fresh },
  ),
  family("E_ENROL", "request")(
    "enrol-other-root",
    "trust.network",
    "The roster that ends the enrolment belongs to another network.",
    signed("request", bases.request({ kind: "enrol", trust: [otherNetworkRoster()] }), "throw-away").envelope,
    { state: { ...fresh, ...bases.notEnrolled } },
  ),
  family("E_ENROL", "roster")(
    "roster-names-other-keys",
    "agent.not_named",
    "The first roster names this router with the sign key of another.",
    signed(
      "roster",
      {
        ...world.after(world.roster1),
        routers: [{ ...world.routerEntry, sign_key: signPair("racer").publicKey }],
      },
      ...["ann admin", "bob admin"],
    ).envelope,
    { state: { ...fresh, ...bases.notEnrolled } },
  ),
  family("E_ENROL", "request")(
    "enrol-without-roster",
    "trust.view",
    "The documents that end the enrolment have no roster among them.",
    signed("request", bases.request({ kind: "enrol", trust: [world.root1.envelope] }), "throw-away").envelope,
    { state: { ...fresh, ...bases.notEnrolled } },
  ),
  family("E_ENROL", "request")(
    "request-before-enrolment",
    "trust.not_enrolled",
    "An operator asks a router that no roster names yet for its status.",
    bases.requestBase.envelope,
    { state: { ...fresh, ...bases.notEnrolled } },
  ),
  family("E_ENROL", "directive")(
    "directive-before-enrolment",
    "trust.not_enrolled",
    "A directive comes to a router that no roster names yet.",
    bases.directiveBase.envelope,
    { state: bases.notEnrolled },
  ),
  enrol(
    "enrol-seal-key-zero",
    "trust.key_inadmissible",
    "The enrolment names a seal key of zero, to which anybody can read what is sealed.",
    world.enrolmentBy({}, { seal: world.ZEROS }).envelope,
    { state: fresh },
  ),
  enrol(
    "enrol-rescue-key-zero",
    "trust.key_inadmissible",
    "The enrolment names a WireGuard key of zero for the rescue lane.",
    world.enrolmentBy({}, { rescueKey: world.ZEROS.toBase64() }).envelope,
    { state: fresh },
  ),
  enrol("enrol-unasked", "trust.enrol_token", "An enrolment comes to somebody who made no token.", enrolment({})),
  family("E_ENROL", "request")(
    "enrol-when-enrolled",
    "trust.view",
    "Somebody asks a router to be enrolled that its operators have already.",
    signed("request", bases.request({ kind: "enrol" }), "throw-away").envelope,
  ),
  enrol("enrol-control", "", "Positive control: the router's answer to its token.", world.enrolRequest.envelope, {
    state: fresh,
  }),
];

/** Roster 1 of a network that only shares the names. */
function otherNetworkRoster(): Uint8Array {
  const message = { ...world.roster1.message, network_id: id(16, "other network") };
  return signed("roster", message, "ann admin", "bob admin").envelope;
}

// ---- requests, cards, revocations ----

const who = family("E_SIGNER_UNKNOWN", "request");
const revoke = family("E_SIGNER_ROLE", "self-revoke");

export const requestVectors: readonly Vector[] = [
  who(
    "request-by-stranger",
    "trust.signer_unknown",
    "A key that no document names asks for the status.",
    signed("request", bases.request(), "mallory").envelope,
  ),
  family("E_SIGNER_REVOKED", "request")(
    "request-by-revoked",
    "trust.signer_revoked",
    "A revoked operator asks for the status.",
    signed("request", bases.request(), "dan").envelope,
  ),
  family("E_SIGNER_ROLE", "request")(
    "request-by-two",
    "trust.one_signer",
    "Two operators signed one request.",
    signed("request", bases.request(), "ann", "bob").envelope,
  ),
  family("E_AUD_NETWORK", "request")(
    "request-other-network",
    "trust.network",
    "The request is for another network.",
    signed("request", bases.request({ network_id: id(16, "staging") }), "ann").envelope,
  ),
  family("E_AUD_ROUTER", "request")(
    "request-other-router",
    "trust.router",
    "The request is for another router.",
    signed("request", bases.request({ router_id: id(16, "sibling") }), "ann").envelope,
  ),
  family("E_KEY_INADMISSIBLE", "request")(
    "reply-key-zero",
    "trust.key_inadmissible",
    "The answer would be sealed to zero, which anybody can open.",
    signed("request", bases.request({ reply_key: world.ZEROS }), "ann").envelope,
  ),
  revoke(
    "revoke-for-another",
    "trust.signer_unknown",
    "ann takes bob's key back.",
    signed("self-revoke", bases.selfRevoke(), "ann").envelope,
  ),
  family("E_AUD_NETWORK", "self-revoke")(
    "revoke-other-network",
    "trust.network",
    "The revocation is of another network.",
    signed("self-revoke", bases.selfRevoke({ network_id: id(16, "staging") }), "bob").envelope,
  ),
  family("E_KEY_INADMISSIBLE", "operator-card")(
    "card-seal-key-zero",
    "trust.key_inadmissible",
    "The card's seal key is zero, to which anybody can read what is sealed.",
    signed("operator-card", bases.card({ seal_key: world.ZEROS }), "eve", "eve root").envelope,
  ),
  family("E_SIGNER_ROLE", "operator-card")(
    "card-signed-by-more",
    "trust.card_proof",
    "A key that the card does not name signed it too.",
    signed("operator-card", bases.card(), "eve", "eve root", "mallory").envelope,
  ),
];
