/**
 * What must become of every packet in each hook, in plain lines. Verdicts are those of the hook alone: pass, with what
 * is written of the packet and its flow, or drop.
 */
import type { NftBase } from "../../../schemas/desired.ts";
import type { Node } from "../verifier/diagram.ts";
import { EPOCH, FLAGS, LEVEL } from "../verifier/fields.ts";
import { arrivingLane, laneLines, leavingLane, UNTRACKED } from "./lanes.ts";
import { type Line, type Sheet, TCP, UDP } from "./lines.ts";
import { leaks, masquerades, translations } from "./nat.ts";
import { betweenPlaces, toRouter } from "./policy.ts";
import { martians, spoofed, uplinkMarks } from "./sources.ts";

export type Hook = NftBase["hook"];

function prerouting(sheet: Sheet): Node {
  const askers = sheet.interfaces((place) => place.dhcp);
  const asking = sheet.all(
    sheet.addresses("saddr", ["0.0.0.0"]),
    sheet.values("proto", UDP),
    sheet.values("sport", 68),
    sheet.values("dport", 67),
  );
  const filter = sheet.stage([
    sheet.pass(arrivingLane(sheet), "lanes have no state", UNTRACKED),
    sheet.pass(sheet.device("iif", ["lo"]), "the router to itself"),
    sheet.drop(sheet.local("saddr"), "it wears an address of the router"),
    sheet.pass(sheet.all(sheet.device("iif", askers), asking), "a question for an address"),
    sheet.drop(martians(sheet), "no host has such an address"),
    ...spoofed(sheet),
    ...uplinkMarks(sheet),
  ]);
  return sheet.arena.sequence(filter, sheet.arena.gate(sheet.pipeline.nated(), sheet.stage(translations(sheet))));
}

const errors = (sheet: Sheet): Node => sheet.icmp([3, 11, 12], [1, 2, 3, 4]);
const notSyn = (sheet: Sheet): Node =>
  sheet.all(sheet.state("new"), sheet.values("proto", TCP), sheet.not(sheet.values("flags", FLAGS.syn)));

/** Neighbours, routers and groups, from where they may come. */
function neighbours(sheet: Sheet): readonly Line[] {
  if (sheet.family === 4) return [];
  const types = (...list: readonly number[]): Node =>
    sheet.all(sheet.values("proto", 58), sheet.values("icmp", ...list));
  const near = sheet.values("hop", 255);
  const linkLocal = sheet.addresses("saddr", ["fe80::/10"]);
  const uplinks = sheet.device(
    "iif",
    sheet.interfaces((place) => place.kind === "uplink"),
  );
  const lans = sheet.device(
    "iif",
    sheet.interfaces((place) => place.kind !== "uplink" && place.kind !== "network"),
  );
  return [
    sheet.pass(sheet.all(types(135, 136), near), "neighbours"),
    sheet.pass(sheet.all(uplinks, types(134), near, linkLocal), "routers of uplinks"),
    sheet.pass(sheet.all(lans, types(133), near), "hosts that look for a router"),
    sheet.pass(sheet.all(lans, types(130, 131, 132, 143), linkLocal), "groups"),
  ];
}

function known(sheet: Sheet, field: "iif" | "oif"): Node {
  return sheet.device(field, [...sheet.interfaces(() => true), sheet.ground.rescue.device]);
}

function input(sheet: Sheet): Node {
  const { replies } = sheet;
  const established = sheet.state("established");
  const ours = sheet.all(established, sheet.values("origin", 1));
  const kept = sheet.all(established, sheet.current, known(sheet, "iif"));
  const flows: readonly Line[] = replies
    ? [
        sheet.pass(ours, "answers to the router's own flows"),
        sheet.drop(sheet.regions.tracked, "an answer to nothing that the router asked"),
      ]
    : [sheet.pass(kept, "a flow that the policy in force admitted")];
  return sheet.stage([
    sheet.within(arrivingLane(sheet), laneLines(sheet)),
    sheet.pass(sheet.device("iif", ["lo"]), "the router to itself"),
    sheet.pass(
      sheet.all(sheet.local("daddr"), errors(sheet), sheet.values("limit", 0)),
      "errors to the router, so many a second",
    ),
    sheet.drop(sheet.state("invalid", "related"), "of no flow, or beside one"),
    ...flows,
    ...neighbours(sheet),
    sheet.drop(notSyn(sheet), "no flow begins like that"),
    ...(replies ? [] : toRouter(sheet)),
    sheet.drop(sheet.arena.yes, "nothing allows it"),
  ]);
}

/** Experiments reach experiments and the outside, whatever else is said. */
function isolated(sheet: Sheet): Node {
  const labs = sheet.interfaces((place) => place.experimental);
  const allowed = sheet.interfaces((place) => place.experimental || place.kind === "uplink");
  const from = sheet.device(sheet.end("from"), labs);
  return sheet.all(sheet.regions.tracked, from, sheet.not(sheet.device(sheet.end("to"), allowed)));
}

function forward(sheet: Sheet): Node {
  return sheet.stage([
    sheet.pass(arrivingLane(sheet), "lanes end in the router"),
    sheet.drop(sheet.state("invalid", "untracked"), "of no flow"),
    sheet.drop(sheet.addresses("saddr", ["fe80::/10"]), "link-local sources stay on their link"),
    sheet.drop(
      sheet.not(sheet.all(known(sheet, "iif"), known(sheet, "oif"))),
      "from or to an interface that the intent does not name",
    ),
    sheet.drop(isolated(sheet), "experiments are isolated"),
    sheet.pass(sheet.all(sheet.state("related"), errors(sheet), sheet.current), "errors pass with their flow"),
    sheet.drop(sheet.state("related"), "beside a flow"),
    sheet.pass(sheet.all(sheet.state("established"), sheet.current), "a flow that the policy in force admitted"),
    sheet.drop(notSyn(sheet), "no flow begins like that"),
    ...betweenPlaces(sheet),
    sheet.drop(sheet.arena.yes, "nothing allows it"),
  ]);
}

function output(sheet: Sheet): Node {
  const own = {
    sets: [
      [LEVEL.epoch, EPOCH.current],
      [LEVEL.origin, 1],
    ],
  } as const;
  const old = sheet.all(sheet.state("established"), sheet.stale);
  const flows = sheet.replies
    ? [sheet.within(old, [...toRouter(sheet), sheet.drop(sheet.arena.yes, "nothing allows the flow that it answers")])]
    : [sheet.pass(sheet.state("new", "established"), "the router may speak", own)];
  return sheet.stage([
    sheet.pass(leavingLane(sheet), "lanes have no state", UNTRACKED),
    sheet.pass(sheet.device("oif", ["lo"]), "the router to itself"),
    ...flows,
  ]);
}

function postrouting(sheet: Sheet): Node {
  const said = leavingLane(sheet);
  const nat = sheet.stage([sheet.pass(said, "lanes are not translated"), ...masquerades(sheet)]);
  const guard = sheet.stage([
    sheet.pass(said, "lanes are not looked at"),
    sheet.drop(leaks(sheet), "an inside address never leaves as it is"),
  ]);
  return sheet.arena.sequence(sheet.arena.gate(sheet.pipeline.nated(), nat), guard);
}

const HOOKS: Readonly<Record<Hook, (sheet: Sheet) => Node>> = { prerouting, input, forward, output, postrouting };

/** What the documents want of a hook: next where the packet goes on, with what is written, or drop. */
export function wantedOf(sheet: Sheet, hook: Hook): Node {
  return HOOKS[hook](sheet);
}
