/** All mutants of some generations, judged; what a campaign counts and shows. */
import type { Subject } from "../../agent/core/invariants.ts";
import type { Random } from "../campaigns/campaign.ts";
import { AREAS, type Area } from "./areas.ts";
import { Behaviour } from "./behaviour.ts";
import { elementMutants } from "./elements.ts";
import { holes } from "./holes.ts";
import { type Checks, type Judged, judge } from "./judge.ts";
import type { Mutant } from "./mutant.ts";
import { ruleMutants } from "./rules.ts";

/** A generation under mutation. */
export type Ground = { readonly name: string; readonly subject: Subject; readonly mutants: readonly Mutant[] };

/** Interfaces of a generation: what conditions and sets are widened by. */
function namesOf({ desired }: Subject): readonly string[] {
  const names = [...desired.links.map((link) => link.name), ...desired.addresses.map((address) => address.interface)];
  return [...new Set(names)].sort();
}

export function groundOf(name: string, subject: Subject, random: Random): Ground {
  const names = namesOf(subject);
  const { nft } = subject.desired;
  return {
    name,
    subject,
    mutants: [...holes(nft), ...ruleMutants(nft, names), ...elementMutants(nft, names, random)],
  };
}

/** Some of a ground's mutants, every hole among them. */
export function some({ mutants, ...ground }: Ground, count: number, random: Random): Ground {
  const planted = mutants.filter(({ kind }) => kind === "hole");
  const others = mutants.filter(({ kind }) => kind !== "hole");
  const taken: Mutant[] = [];
  while (others.length > 0 && taken.length < count) taken.push(...others.splice(random(others.length), 1));
  return { ...ground, mutants: [...planted, ...taken] };
}

export type Verdict = {
  readonly ground: string;
  readonly index: number; // among all mutants of a campaign
  readonly mutant: Mutant;
  readonly judged: Judged;
};

/** Judges every mutant of a ground, in their order. */
export function* judged(ground: Ground, checks: Checks): Generator<Verdict> {
  const behaviour = new Behaviour(ground.subject.desired);
  for (const [index, mutant] of ground.mutants.entries()) {
    yield { ground: ground.name, index, mutant, judged: judge(ground.subject, behaviour, mutant, checks) };
  }
}

type Share = { readonly changed: number; readonly noticed: number };

/** What the verdicts come to. A mutant counts when a packet that can be ends otherwise. */
export type Score = {
  readonly changed: number;
  readonly noticed: number;
  readonly withMore: number; // noticed when the further checks are asked too
  readonly hidden: number; // of those that only packets would see which no way leads to
  readonly hiddenLeft: readonly Verdict[]; // those of them that nothing noticed
  readonly equal: number;
  readonly refusals: readonly Verdict[]; // by the reader, by name
  readonly byArea: Readonly<Record<Area, Share>>;
  readonly byCheck: ReadonlyMap<string, number>;
  readonly survivors: readonly Verdict[];
  readonly holesLeft: readonly Verdict[]; // planted, and not noticed
};

export function scoreOf(verdicts: readonly Verdict[]): Score {
  const of = (kind: Judged["kind"]): readonly Verdict[] => verdicts.filter(({ judged }) => judged.kind === kind);
  const by = ({ judged }: Verdict): string => (judged.kind === "changed" || judged.kind === "hidden" ? judged.by : "");
  const more = ({ judged }: Verdict): string => (judged.kind === "changed" ? judged.more : "");
  const changed = of("changed");
  const noticed = changed.filter((one) => by(one) !== "");
  const areaOf = ({ judged }: Verdict): Area | "" => (judged.kind === "changed" ? judged.area : "");
  const byArea = Object.fromEntries(
    AREAS.map((area) => {
      const all = changed.filter((one) => areaOf(one) === area);
      return [area, { changed: all.length, noticed: all.filter((one) => by(one) !== "").length }];
    }),
  ) as Record<Area, Share>;
  const byCheck = new Map<string, number>();
  for (const one of noticed) byCheck.set(by(one), (byCheck.get(by(one)) ?? 0) + 1);
  return {
    changed: changed.length,
    noticed: noticed.length,
    withMore: changed.filter((one) => by(one) !== "" || more(one) !== "").length,
    hidden: of("hidden").length,
    hiddenLeft: of("hidden").filter((one) => by(one) === ""),
    equal: of("equal").length,
    refusals: of("refused"),
    byArea,
    byCheck,
    survivors: changed.filter((one) => by(one) === ""),
    holesLeft: verdicts.filter(
      (one) => one.mutant.kind === "hole" && /changed|hidden/.test(one.judged.kind) && by(one) === "",
    ),
  };
}

/** Percent with two digits, never rounded up to a hundred. */
export const percent = (noticed: number, changed: number): number =>
  changed === 0 ? 100 : Math.floor((noticed / changed) * 10_000) / 100;

/** One survivor: where, what, and a packet that the mutant treats otherwise. */
export function survivorText({ ground, mutant, judged }: Verdict): string {
  if (judged.kind !== "changed" && judged.kind !== "hidden") return "";
  const { packet, hook, a, b } = judged.difference;
  const ports = packet.dport === 0 ? "" : ` ${packet.sport}>${packet.dport}`;
  const way = `${packet.iif || "router"}>${packet.oif || "router"}`;
  const flow = `${packet.state} ${packet.direction} ${packet.epoch}`;
  const seen = `proto ${packet.protocol} ${packet.source}>${packet.target}${ports} ${way} ${flow}`;
  return `${ground} ${mutant.kind} ${mutant.where} (${judged.area})\n    was ${mutant.rule}\n    now ${mutant.what}\n    ${hook}: ${a.verdict} becomes ${b.verdict} for ${seen}`;
}
