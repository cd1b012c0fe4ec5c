/** What verbs in the tables of usage.ts and usage-trust.ts are made of, and the flags that many of them share. */
import type { ExitCode } from "./out.ts";

export type Flag = {
  readonly name: string;
  readonly value: string; // what stands after it; "" for a switch
  readonly text: string;
  readonly many?: true;
};

export type Verb = {
  readonly name: string; // "client add"
  readonly operands: string; // "NAME [MORE]"
  readonly sentence: string;
  readonly about?: string;
  readonly flags: readonly Flag[];
  readonly exits: readonly ExitCode[]; // beside 0, 1 and 2, which every verb has
  readonly json: string; // fields of its object, beside verb, exit and problems
};

export const flag = (name: string, value: string, text: string): Flag => ({ name, value, text });

export const COMMON = [flag("json", "", "print one JSON object on stdout"), flag("help", "", "print this text")];
export const SITE = [flag("site", "FOLDER", "the site (default: the current folder)"), ...COMMON];
export const LOCK = flag(
  "passphrase-file",
  "FILE",
  "passphrase of the key files, mode 0600 (default: ask at the terminal)",
);
export const KEYS = [flag("as", "HOLDER", "whose keys, where this machine has several"), LOCK];
export const ROUTER = flag("router", "ID", "which router, where the site has several");
export const AT = flag("at", "ADDRESS", "dial this address, ADDRESS:PORT or socket only");
