/** Contracts as questions to the verifier: what must not be accepted, and what must. */
import type { Contract } from "../../schemas/intent.ts";
import type { Family } from "../../schemas/ip.ts";
import { aim, type Claim, FIRST, OUTSIDE_LIES, regionOf, type Sides } from "./contracts-claims.ts";
import { forwardClaims, forwardsOf, landingClaim, within } from "./contracts-forwards.ts";
import { both, ofTexts, type Ranges, textsOf } from "./contracts-ranges.ts";
import {
  answerOf,
  complement,
  everyPiece,
  freePorts,
  type Piece,
  pieceOf,
  plainPieces,
  portedPieces,
  type Tuple,
  tolerated,
  tuplesOf,
} from "./contracts-services.ts";
import type { ContractSubject, Ground, Seat, Side } from "./contracts-sides.ts";
import type { Question, Region } from "./verifier/question.ts";

/** Packets that may claim to be of a side. */
function claimants({ from, to }: Sides, family: Family): readonly Partial<Region>[] {
  // Lanes of the router are judged before sources are, so a packet at one is of whoever is behind its interface.
  if (to.word.kind === "router") {
    if (from.interfaces.length === 0) return [];
    const narrow = from.byInterface ? {} : aim({}, "source", from.claimed[family], family);
    return from.byInterface || from.claimed[family].length > 0 ? [{ iif: from.interfaces, ...narrow }] : [];
  }
  const found: Partial<Region>[] = [];
  if (from.byInterface && from.interfaces.length > 0) found.push({ iif: from.interfaces });
  const claimed = from.claimed[family];
  if (claimed.length > 0) found.push(aim({}, "source", claimed, family));
  return found;
}

/** Where packets could come to the other side: by the routes that there are, or by any that could be. */
type Aimed = {
  readonly region: Partial<Region>;
  readonly routes: "declared" | "any";
  readonly targets: Ranges | null;
  readonly want?: "router";
};

function aims({ to, ground }: Sides, family: Family): readonly Aimed[] {
  if (to.word.kind === "router") return [{ region: {}, routes: "declared", targets: null, want: "router" }];
  const oif = to.interfaces;
  const found: Aimed[] = [];
  if (to.byInterface && oif.length > 0) found.push({ region: { oif }, routes: "declared", targets: null });
  const wide = to.open ? ground.outside[family] : to.claimed[family];
  if (wide.length === 0) return found;
  if (!to.byInterface) found.push({ region: {}, routes: "declared", targets: wide });
  if (oif.length > 0) found.push({ region: { oif }, routes: "any", targets: wide });
  return found;
}

/** Narrows targets of an aim by those of a piece; null when nothing is left. */
function meet(a: Ranges | null, b: Ranges | null): Ranges | null | undefined {
  if (a === null || b === null) return a ?? b;
  const common = both(a, b);
  return common.length === 0 ? undefined : common;
}

/** Everything of a contract that must be dropped, in one family. */
export function excess(subject: ContractSubject, contract: Contract, sides: Sides, family: Family): readonly Claim[] {
  const tuples = tuplesOf(subject, contract, family);
  const named = contract.services.length + contract.ports.length > 0;
  const pieces =
    contract.kind === "only"
      ? complement([...tuples, ...tolerated(subject, contract, family)], family)
      : named
        ? tuples.map((tuple) => pieceOf(tuple, family))
        : everyPiece(family);
  const drop = (question: Question): Claim => ({ question, must: "dropped", about: "excess" });
  if (sides.from.word.kind === "router") {
    const to = aims(sides, family).filter((one) => one.routes === "declared");
    return to.flatMap((one) =>
      pieces.flatMap((piece) => {
        const targets = meet(one.targets, piece.targets);
        if (targets === undefined) return [];
        const parts = [
          { flow: "first" as const },
          one.region,
          piece.fields,
          targets === null ? {} : aim({}, "target", targets, family),
        ];
        return [drop({ region: regionOf(parts, "leaving", family) })];
      }),
    );
  }
  const senders = claimants(sides, family);
  const direct = aims(sides, family).flatMap((one) =>
    pieces.flatMap((piece) => {
      const targets = meet(one.targets, piece.targets);
      if (targets === undefined) return [];
      const local = one.want === "router" ? {} : { targetLocal: false };
      return senders.map((sender) => {
        const parts = [
          { flow: "first" as const },
          one.region,
          local,
          sender,
          piece.fields,
          targets === null ? {} : aim({}, "target", targets, family),
        ];
        const question: Question = { region: regionOf(parts, "arriving", family), routes: one.routes };
        return nicer(sides, family, drop(one.want === undefined ? question : { ...question, want: one.want }));
      });
    }),
  );
  return [...direct, ...forwarded(subject, contract, sides, family, tuples)];
}

/** Packets between those who truly are there come first, then those of true senders. */
function nicer({ from, to, ground }: Sides, family: Family, claim: Claim): Claim {
  const { region } = claim.question;
  const narrowed = (key: "source" | "target", region: Region, ranges: Ranges): Region | undefined => {
    const before = region[key]?.in;
    const left = before === undefined ? ranges : both(ofTexts(before, family), ranges);
    return left.length === 0 ? undefined : { ...region, [key]: { in: textsOf(left, family) } };
  };
  const senders = seatsOf(from, to, ground).flatMap(({ interfaces, addresses }) => {
    const iif = region.iif?.filter((name) => interfaces.includes(name)) ?? interfaces;
    const found = narrowed("source", { ...region, iif }, addresses[family]);
    return iif.length === 0 || found === undefined ? [] : [found];
  });
  const pairs = senders.flatMap((sender) =>
    seatsOf(to, from, ground).flatMap(({ addresses }) => narrowed("target", sender, addresses[family]) ?? []),
  );
  return { ...claim, nicer: [...pairs, ...senders].map((one) => ({ ...claim.question, region: one })) };
}

/** Packets for an address of the router that go on: only what a port-forward may bring to the other side is let off. */
function forwarded(
  subject: ContractSubject,
  contract: Contract,
  sides: Sides,
  family: Family,
  tuples: readonly Tuple[],
): readonly Claim[] {
  const { to } = sides;
  if (to.word.kind === "router") return [];
  const forwards = family === 4 ? forwardsOf(subject) : [];
  const named = contract.services.length + contract.ports.length > 0;
  const may = forwards.filter(({ lands }) => {
    // By interfaces the question itself leaves out what goes elsewhere.
    if (!to.byInterface && both(lands.targets!, to.claimed[family]).length === 0) return true;
    const listed = tuples.some((tuple) => within(lands, tuple));
    return contract.kind === "only" ? listed : named && !listed;
  });
  const senders = claimants(sides, family);
  const kept = may.flatMap((forward) => senders.map((sender) => landingClaim(sender, forward)));
  const rest = complement(
    may.map(({ at }) => at),
    family,
  ).flatMap((piece) =>
    senders.map((sender): Claim => {
      const aimed = piece.targets === null ? {} : aim({}, "target", piece.targets, family);
      const oif = to.byInterface ? { oif: to.interfaces } : {};
      const parts = [{ flow: "first" as const, targetLocal: true }, oif, sender, piece.fields, aimed];
      const question: Question = { region: regionOf(parts, "arriving", family), want: "onward" };
      return nicer(sides, family, { question, must: "dropped", about: "excess" });
    }),
  );
  return [...kept, ...rest];
}

/** Who is at a side for the other one: from outside, a router has the addresses of its uplinks alone. */
function seatsOf(side: Side, other: Side, ground: Ground): readonly Seat[] {
  return side.word.kind === "router" && other.open ? [{ interfaces: [], addresses: ground.front }] : side.seats;
}

export type Wanted = {
  readonly claims: readonly Claim[];
  readonly met: readonly string[]; // services with claims
  readonly unmet: readonly string[]; // services of a part of which no packet can be between these sides
};

/** Everything of a contract that must be accepted, in one family, with the answers. */
export function missing(subject: ContractSubject, contract: Contract, sides: Sides, family: Family): Wanted {
  const named = contract.services.length + contract.ports.length > 0;
  const tuples: readonly (Tuple | null)[] = named ? tuplesOf(subject, contract, family) : [null];
  const found = tuples.map((tuple) => ({ of: tuple?.of ?? "", claims: claimsOf(subject, sides, tuple, family) }));
  const names = (list: typeof found): readonly string[] => list.map((one) => one.of);
  return {
    claims: found.flatMap((one) => one.claims),
    met: names(found.filter((one) => one.claims.length > 0)),
    unmet: names(found.filter((one) => one.claims.length === 0)),
  };
}

/** Claims about one service, or about everything. */
function claimsOf(subject: ContractSubject, sides: Sides, tuple: Tuple | null, family: Family): readonly Claim[] {
  const { from, to, ground } = sides;
  const plain = from.word.kind === "router" ? portedPieces(family) : plainPieces(family);
  const pieces = tuple === null ? plain : [pieceOf(tuple, family)];
  return seatsOf(to, from, ground).flatMap((receiver) => {
    const target = meet(receiver.addresses[family], tuple?.targets ?? null);
    if (target === undefined || target === null || target.length === 0) return [];
    const forwards = from.outer ? forwardClaims(subject, sides, { receiver, target, tuple }, family) : null;
    if (forwards !== null) return forwards;
    const others = namesOf(subject).filter((name) => !receiver.interfaces.includes(name));
    return seatsOf(from, to, ground).flatMap(({ addresses, interfaces }) => {
      const source = addresses[family];
      if (source.length === 0) return [];
      const ends = { source, target, iif: interfaces, oif: receiver.interfaces, others };
      return pieces.flatMap((piece) => pair(subject, from, ends, piece, family));
    });
  });
}

type Pair = {
  readonly source: Ranges;
  readonly target: Ranges;
  readonly iif: readonly string[];
  readonly oif: readonly string[]; // none: the router itself
  readonly others: readonly string[]; // interfaces by which it must not leave
};

function pair(
  subject: ContractSubject,
  from: Side,
  { source, target, iif, oif, others }: Pair,
  piece: Piece,
  family: Family,
): Claim[] {
  const ends = aim(aim({}, "source", source, family), "target", target, family);
  const back = aim(aim({}, "source", target, family), "target", source, family);
  const reply = { flow: "reply" as const, dnat: false, ...answerOf(piece, family) };
  const arrive = (...parts: Partial<Region>[]): Region => regionOf([...parts, OUTSIDE_LIES], "arriving", family);
  const accepted = (question: Question, about: Claim["about"]): Claim => ({ question, must: "accepted", about });
  if (from.word.kind === "router") {
    const protocols = piece.fields.protocol ?? [];
    const ported = protocols.length > 0 && protocols.length < 3;
    const free = freePorts(subject);
    const out = regionOf([FIRST, ends, piece.fields, { oif }, ported ? { sport: free } : {}], "leaving", family);
    const answer = arrive(reply, back, { iif: oif, origin: true, snat: false }, ported ? { dport: free } : {});
    return [accepted({ region: out }, "missing"), accepted({ region: answer, want: "router" }, "answer")];
  }
  if (oif.length === 0) {
    const region = arrive(FIRST, ends, piece.fields, { iif, targetLocal: true });
    const answer = regionOf([reply, back, { oif: iif, snat: false }], "leaving", family);
    return [accepted({ region }, "missing"), accepted({ region: answer }, "answer")];
  }
  const region = arrive(FIRST, ends, piece.fields, { iif, targetLocal: false });
  const astray: readonly Claim[] =
    others.length === 0 ? [] : [{ question: { region: { ...region, oif: others } }, must: "nobody", about: "route" }];
  const answer = arrive(reply, back, { iif: oif, oif: iif, targetLocal: false });
  return [accepted({ region }, "missing"), ...astray, accepted({ region: answer, routes: "any" }, "answer")];
}

/** Interfaces of the router that packets may leave by. */
function namesOf({ intent, router, desired }: ContractSubject): readonly string[] {
  const zones = intent.zones.filter((zone) => zone.router === router).flatMap((zone) => zone.interfaces);
  return [...new Set([...zones, ...desired.links.map((link) => link.name)])].sort();
}
