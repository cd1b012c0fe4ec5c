/** Directives for others, out of their place, or not fresh; and confirms of another trial. */

import type { Confirm, Directive } from "../../schemas/directive.ts";
import { limits } from "../../schemas/limits.ts";
import * as bases from "./bases.ts";
import { envelope, typeOf } from "./raw.ts";
import { family, type Vector } from "./vector.ts";
import * as world from "./world.ts";
import { written } from "./written.ts";

const { id, none, CHALLENGE_MS, BEACON_MS } = world;
const of = (change: Partial<Directive>): Uint8Array => bases.signedDirective(change).envelope;
const base = bases.directiveBase.envelope;

export const audienceVectors: readonly Vector[] = [
  family("E_AUD_NETWORK", "directive")(
    "other-network",
    "trust.network",
    "The directive is for another network.",
    of({ network_id: id(16, "staging") }),
  ),
  family("E_AUD_ROUTER", "directive")(
    "sibling-router",
    "trust.router",
    "The directive is for another router of the network.",
    of({ router_id: id(16, "sibling") }),
  ),
  family("E_AUD_INCARNATION", "directive")(
    "old-incarnation",
    "trust.incarnation",
    "The directive is for the first unit; this is the second.",
    base,
    { state: { incarnation: 2 } },
  ),
  family("E_AUD_INCARNATION", "directive")(
    "future-incarnation",
    "trust.incarnation",
    "The directive is for a unit after this one.",
    of({ incarnation: 2 }),
  ),
  family("E_AUD_ROUTER", "directive")(
    "zero-router-id",
    "trust.router",
    "The router id is sixteen zeros.",
    of({ router_id: new Uint8Array(16) }),
  ),
];

const seq = family("E_SEQ", "directive");

export const placeVectors: readonly Vector[] = [
  seq(
    "seq-equal-other-digest",
    "trust.generation_burnt",
    "The generation was burnt by another directive.",
    of({ generation: 7n }),
  ),
  seq("seq-lower", "trust.generation_burnt", "The generation is below the last one.", of({ generation: 6n })),
  seq(
    "seq-plus-1025",
    "trust.generation_jump",
    "The generation is 1,025 above the last one.",
    of({ generation: 7n + 1025n }),
  ),
  seq("seq-max", "trust.generation_jump", "The generation is 2^64 - 1.", of({ generation: 2n ** 64n - 1n })),
  seq(
    "replay-rolled-back",
    "trust.generation_burnt",
    "A directive that was burnt and rolled back comes again, long after.",
    base,
    { state: { generation: "8", challenges: [{ challenge: world.challenge.toHex(), at_ms: CHALLENGE_MS }] } },
  ),
  family("E_PARENT", "directive")(
    "parent-stale",
    "trust.parent",
    "Another generation was confirmed since the directive was made.",
    base,
    { state: { parent: id(32, "another directive").toHex() } },
  ),
  family("E_PARENT", "directive")("parent-zero", "trust.parent", "The parent is zero.", of({ parent: world.ZEROS })),
  family("E_LOG_HEAD", "directive")(
    "head-unknown-index",
    "trust.log_head",
    "The directive cites a log entry that this router has not written.",
    of({ observed_log_index: 4n }),
  ),
  family("E_LOG_HEAD", "directive")(
    "head-other-digest",
    "trust.log_head",
    "The directive cites the newest log entry with another digest.",
    of({ observed_log_head: id(32, "another head") }),
  ),
  family("E_STATE", "directive")(
    "state-older-than-observed-head",
    "trust.log_head",
    "The router was put back to before the log entry that the directive cites.",
    base,
    {
      state: {
        log: {
          index: "2",
          head: world.log[1]!.digest.toHex(),
          known: world.baseState.log.known.slice(0, 2),
        },
      },
    },
  ),
];

const fresh = family("E_FRESHNESS", "directive");
const withBeacon = (change: Partial<Directive> = {}): Uint8Array =>
  of({ challenge: none, beacon: world.beacon.digest, beacon_max_age_s: 7200, ...change });
const YEARS_S = 10 * 365 * 86_400;

export const freshVectors: readonly Vector[] = [
  fresh("nonce-reused", "trust.not_fresh", "The challenge was used by another directive.", base, {
    state: { challenges: [] },
  }),
  fresh("nonce-other-boot", "trust.not_fresh", "The router has booted since it gave out the challenge.", base, {
    state: { challenges: [], beacons: [], boot_id: id(16, "next boot").toHex() },
    bootMs: 60_000,
  }),
  fresh("nonce-never-issued", "trust.not_fresh", "The challenge was made up.", of({ challenge: id(32, "made up") })),
  fresh("nonce-after-121s", "trust.not_fresh", "The challenge is 121 seconds old.", base, {
    bootMs: CHALLENGE_MS + 121_000,
  }),
  fresh("beacon-before-reboot", "trust.beacon", "The router has booted since it signed the beacon.", withBeacon(), {
    state: { challenges: [], beacons: [], boot_id: id(16, "next boot").toHex() },
    bootMs: 60_000,
  }),
  fresh(
    "beacon-too-old",
    "trust.beacon",
    "The beacon is 7,201 seconds old, the directive allows 7,200.",
    withBeacon(),
    { bootMs: BEACON_MS + 7_201_000 },
  ),
  fresh(
    "beacon-age-above-class",
    "trust.beacon",
    "A sensitive directive allows its beacon one second more than a day.",
    withBeacon({ beacon_max_age_s: limits.beaconSensitiveAgeS + 1 }),
  ),
  fresh(
    "beacon-age-alone",
    "trust.beacon",
    "The directive has a challenge, and the age of a beacon that it does not cite.",
    of({ beacon_max_age_s: 60 }),
  ),
  fresh("no-freshness", "trust.not_fresh", "The directive has neither challenge nor beacon.", of({ challenge: none })),
  fresh(
    "clock-back-10y",
    "",
    "Positive control: advisory times ten years back; the live challenge decides.",
    of({ issued_at: world.ISSUED_S - BigInt(YEARS_S) }),
  ),
  fresh(
    "clock-ahead-10y",
    "",
    "Positive control: advisory times ten years ahead; the live challenge decides.",
    of({ issued_at: world.ISSUED_S + BigInt(YEARS_S) }),
  ),
  fresh("beacon-fresh", "", "Positive control: a beacon of this boot, an hour old.", withBeacon()),
];

// ---- confirms ----

const confirm = family("E_CONFIRM", "confirm");
const by = (change: Partial<Confirm>): Uint8Array => world.signed("confirm", bases.confirm(change), "ann").envelope;
const pending = { state: { generation: "8", trial: bases.trial, directives: [bases.trial.directive] } };
const confirmType = typeOf("confirm");
const payload = written("Confirm", bases.confirm());

export const confirmVectors: readonly Vector[] = [
  confirm(
    "confirm-old-nonce",
    "confirm.unknown_trial",
    "The nonce is that of the trial before.",
    by({ nonce: id(32, "nonce 7") }),
    pending,
  ),
  confirm(
    "confirm-other-directive",
    "confirm.unknown_trial",
    "The confirm names another directive.",
    by({ directive_digest: id(32, "directive 7") }),
    pending,
  ),
  confirm("confirm-after-deadline", "confirm.window_expired", "The confirm comes a millisecond too late.", by({}), {
    ...pending,
    bootMs: bases.trial.deadline_ms,
  }),
  confirm("confirm-after-reboot", "agent.power_cut", "The router has booted since the trial began.", by({}), {
    state: { ...pending.state, boot_id: id(16, "next boot").toHex() },
    bootMs: 60_000,
  }),
  confirm(
    "confirm-twice",
    "",
    "Positive control: a trial that is kept is confirmed again; the outcome is told again.",
    by({}),
    {
      state: { generation: "8", parent: bases.trial.directive, directives: [bases.trial.directive] },
    },
  ),
  confirm(
    "confirm-unsigned",
    "trust.unsigned",
    "The confirm carries no signature.",
    envelope(confirmType, payload, []),
    pending,
  ),
  confirm(
    "confirm-by-stranger",
    "trust.signer_unknown",
    "A ROOT key signed the confirm.",
    world.signed("confirm", bases.confirm(), "ann root").envelope,
    pending,
  ),
  confirm(
    "confirm-pre-signed",
    "confirm.unknown_trial",
    "The confirm was signed with a made-up nonce before the trial receipt revealed the real one.",
    by({ nonce: id(32, "made up") }),
    { state: { ...pending.state, trial: { ...bases.trial, nonce: "" } } },
  ),
];
