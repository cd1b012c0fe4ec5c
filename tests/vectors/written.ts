/** Payloads of the base statements, with some fields written by hand. */
import { messages } from "../../proto/gen/table.ts";
import { join, message } from "../wire/bytes.ts";
import * as bases from "./bases.ts";
import { signPair, signRaw } from "./raw.ts";
import * as world from "./world.ts";

export type Plain = Readonly<Record<string, unknown>>;

/** The number of a field by its key. */
export const at = (name: string, key: string): number => messages[name]!.find((field) => field.key === key)!.number;

/** A message whose fields are written in order; `byHand` has the bytes of some of them, tag included. */
export function written(name: string, value: Plain, byHand: Readonly<Record<string, Uint8Array>> = {}): Uint8Array {
  const blank = Object.fromEntries(messages[name]!.map((field) => [field.key, field.repeated ? [] : null]));
  return join(
    ...messages[name]!.map((field) => byHand[field.key] ?? message(name, { ...blank, [field.key]: value[field.key] })),
  );
}

export const [ann, bob, cyd] = ["ann", "bob", "cyd"].map(signPair) as [
  ReturnType<typeof signPair>,
  ReturnType<typeof signPair>,
  ReturnType<typeof signPair>,
];
export const rootSigners = [signPair("ann root"), signPair("bob root")];
export const adminSigners = [signPair("ann admin"), signPair("bob admin")];

/** The base directive, the next root, the next roster: changed as values or by hand, then signed. */
export const directiveOf = (change: Plain = {}, byHand: Readonly<Record<string, Uint8Array>> = {}): Uint8Array =>
  written("Directive", { ...(bases.directive() as Plain), ...change }, byHand);
export const signDirective = (payload: Uint8Array): Uint8Array => signRaw("directive", payload, ann, bob);

export const rootOf = (change: Plain = {}, byHand: Readonly<Record<string, Uint8Array>> = {}): Uint8Array =>
  signRaw("root", written("Root", { ...world.after(world.root1), ...change }, byHand), ...rootSigners);

export const rosterOf = (change: Plain = {}): Uint8Array =>
  signRaw("roster", written("Roster", { ...world.after(world.roster2), ...change }), ...adminSigners);

export const requestOf = (change: Plain): Uint8Array =>
  signRaw("request", written("Request", { ...(bases.request() as Plain), ...change }), ann);
