/** Contracts replayed: their packets put into a router that has the rules, and what came out held against the proof. */
import type { ContractSubject } from "../../agent/core/contracts.ts";
import { packetText } from "../../agent/core/contracts-text.ts";
import { openModel } from "../../agent/core/verifier/model.ts";
import type { Witness } from "../../agent/core/verifier/question.ts";
import { contractText } from "../../schemas/contract-words.ts";
import type { NftTable } from "../../schemas/desired.ts";
import { formatIp } from "../../schemas/ip.ts";
import { type Problem, type Result, refuse } from "../../schemas/problem.ts";
import { type Lease, leased } from "./ground.ts";
import type { Sighting } from "./ports.ts";
import { answerTo, type Trial, trialsOf } from "./trials.ts";
import { endsText, type Shot } from "./wire.ts";
import { Yard } from "./yard.ts";

/** A packet on which the kernel and the proof do not agree, and what each says of it. */
export type Mismatch = { readonly packet: string; readonly proven: string; readonly kernel: string };

export type Replayed = {
  readonly id: string;
  readonly text: string;
  readonly packets: number; // that were sent, answers included
  readonly accepted: number; // of them, as proven
  readonly mismatches: readonly Mismatch[];
};

/** Dynamic uplinks have no addresses before a provider gives some: these, of documentation (RFC 5737, RFC 3849). */
function leasesOf({ intent, router }: ContractSubject): readonly Lease[] {
  const uplinks = intent.routers.find((one) => one.id === router)!.uplinks.filter((one) => one.dynamic);
  return uplinks.map(({ interface: name }, i) => ({
    interface: name,
    cidrs: [`192.0.2.${16 * i + 2}/28`, `2001:db8:f${i}::2/64`],
    gateways: [`192.0.2.${16 * i + 1}`, `2001:db8:f${i}::1`],
  }));
}

const provenText = ({ outcome, egress, headers }: Witness): string => {
  if (outcome !== "accept") return "dropped";
  const where = egress === "router" ? "delivered" : `leaves by ${egress}`;
  return `${where} as ${headers.source}:${headers.sport || "any"} -> ${headers.target}:${headers.dport}`;
};

const kernelText = (sightings: readonly Sighting[]): string => {
  const texts = sightings.map(
    (one) => `${one.kind === "left" ? `left by ${one.interface}` : "delivered"} as ${endsText(one.packet)}`,
  );
  return texts.length === 0 ? "dropped" : texts.join(" and ");
};

/** Whether what came out is what was proven: once, there, with these headers; a port that NAT chooses is any. */
function agrees({ outcome, egress, headers, packet }: Witness, sightings: readonly Sighting[]): boolean {
  if (outcome !== "accept") return sightings.length === 0;
  const [only] = sightings;
  if (only === undefined || sightings.length !== 1) return false;
  const { source, target, sport, dport } = only.packet;
  const here = only.kind === "taken" ? egress === "router" : egress === only.interface;
  // Raw sockets of IPv6 do not show the target, and the router's own packets may leave by any route that was proven.
  const blind = only.kind === "taken" && source.family === 6;
  const free = packet.iif === "" && egress !== "router" && only.kind === "left";
  return (
    (here || free) &&
    formatIp(source) === headers.source &&
    (blind || formatIp(target) === headers.target) &&
    (headers.sport === 0 || sport === headers.sport) &&
    dport === headers.dport
  );
}

/** Numbers of packets, so that each is known when it comes out. */
let last = 0;

type Run = { readonly yard: Yard; readonly mismatches: Mismatch[]; packets: number; accepted: number };

/** Sends one packet; what came out of it when the proof agrees. */
function send(run: Run, { shot, expected }: Trial, what: string): Sighting | undefined {
  last += 1;
  const numbered: Shot = { ...shot, number: last };
  const sightings = run.yard.shoot(numbered);
  run.packets += 1;
  const from = shot.iif === "" ? "the router" : shot.iif;
  if (agrees(expected, sightings)) {
    run.accepted += sightings.length;
    return sightings[0];
  }
  const packet = `${what}${packetText(expected.packet)} from ${from}`;
  run.mismatches.push({ packet, proven: provenText(expected), kernel: kernelText(sightings) });
  return undefined;
}

/**
 * Replays every contract of a subject on a router built from its generation. `table` is what is loaded, where it is not
 * the generation's own. Root, or the root of a user namespace; undefined where this user may make no namespaces. Codes
 * verify.unmodelled, replay.unavailable.
 */
export async function replay(
  subject: ContractSubject,
  table?: NftTable,
): Promise<Result<readonly Replayed[]> | undefined> {
  const leases = leasesOf(subject);
  const ground = { desired: subject.desired, intent: subject.intent, leases };
  const lent = { ...subject, desired: leased(ground) };
  const model = openModel(lent.desired);
  if (!model.ok) return model;
  let yard: Yard | undefined;
  try {
    yard = Yard.open(ground, table ?? subject.desired.nft);
  } catch (error) {
    return refuse("replay.unavailable", subject.router, error instanceof Error ? error.message : "");
  }
  if (yard === undefined) return undefined;
  const done: Replayed[] = [];
  try {
    for (const contract of subject.intent.contracts) {
      // So that progress is shown, and a signal is heard.
      await new Promise((resume) => setImmediate(resume));
      const run: Run = { yard, mismatches: [], packets: 0, accepted: 0 };
      for (const trial of trialsOf(lent, model.value, contract)) {
        // Each packet is the first of its flow.
        yard.forget();
        const out = send(run, trial, "");
        const answer = out === undefined ? undefined : answerTo(model.value, trial, out.packet);
        if (answer !== undefined) send(run, answer, "answer ");
      }
      const { packets, accepted, mismatches } = run;
      done.push({ id: contract.id, text: contractText(contract), packets, accepted, mismatches });
    }
  } finally {
    yard.close();
  }
  return { ok: true, value: done };
}

/** One problem for each packet on which the kernel and the proof do not agree. */
export const mismatchProblems = (router: string, replayed: readonly Replayed[]): readonly Problem[] =>
  replayed.flatMap(({ text, mismatches }) =>
    mismatches.map(({ packet, proven, kernel }) => ({
      code: "replay.mismatch",
      path: router,
      detail: `${text}: ${packet}: proven ${proven}, the kernel ${kernel}`,
    })),
  );
