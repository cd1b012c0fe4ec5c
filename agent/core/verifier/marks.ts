/**
 * Arithmetic on marks. The flow's mark has three parts here: the epoch (high 16 bits), the bit of flows that the
 * router began, and 15 low bits for policy routing. Whatever does not respect the parts is refused.
 */
import type { Columns, Statement } from "./ast.ts";
import { EPOCH, type Interval } from "./fields.ts";
import { Unmodelled } from "./leaves.ts";
import { MARK_KEYS, numberOf } from "./words.ts";

const EPOCH_WORD = "$HF_EPOCH";
const [HIGH, ORIGIN, LOW] = [0xffff0000, 0x8000, 0x7fff];

const part = (value: number, mask: number): number => (value & mask) >>> 0;

function number(text: string | undefined): number {
  const value = numberOf(text ?? "");
  if (value === undefined) throw new Unmodelled(`mark ${text}`);
  return value;
}

const single = (value: number): Interval => ({ from: value, to: value });

/** Values of the low bits whose part under a mask is this. */
function lowValues(mask: number, value: number): readonly Interval[] {
  if (mask === 0) return [{ from: 0, to: LOW }];
  const found: { from: number; to: number }[] = [];
  for (let one = 0; one <= LOW; one += 1) {
    if ((one & mask) !== value) continue;
    const last = found.at(-1);
    if (last !== undefined && last.to === one - 1) last.to = one;
    else found.push({ from: one, to: one });
  }
  return found;
}

/** `ct mark & mask == value`, the mask being all bits where none is written. */
function markBoxes(mask: number, value: number | typeof EPOCH_WORD, negated: boolean): Statement {
  const high = part(mask, HIGH);
  const plain = value === EPOCH_WORD ? 0 : value;
  const keys = [MARK_KEYS.epoch, MARK_KEYS.origin, MARK_KEYS.low];
  if (high !== 0 && high !== HIGH) throw new Unmodelled("part of the epoch's bits");
  if (value === EPOCH_WORD && high === 0) throw new Unmodelled("the epoch under a mask without it");
  if (part(plain, ~mask) !== 0) return { kind: "boxes", keys, negated, boxes: [] };
  if (part(plain, HIGH) !== 0) throw new Unmodelled("an epoch as a number");
  const epoch =
    high === 0 ? { from: EPOCH.none, to: EPOCH.stale } : single(value === EPOCH_WORD ? EPOCH.current : EPOCH.none);
  const origin = part(mask, ORIGIN) === 0 ? { from: 0, to: 1 } : single(part(plain, ORIGIN) === 0 ? 0 : 1);
  const lows = lowValues(part(mask, LOW), part(plain, LOW));
  const boxes = lows.map((low): Columns => [epoch, origin, low]);
  return { kind: "boxes", keys, negated, boxes };
}

/** Words after `ct mark` of a condition; how many words it took comes back too. */
export function readMarkMatch(
  words: readonly string[],
  at: number,
): { readonly statement: Statement; readonly next: number } {
  let next = at;
  let mask = 0xffffffff;
  if (words[next] === "&") {
    mask = number(words[next + 1]);
    next += 2;
  }
  const negated = words[next] === "!=";
  if (negated || words[next] === "==") next += 1;
  const word = words[next];
  const value = word === EPOCH_WORD ? EPOCH_WORD : number(word);
  return { statement: markBoxes(mask, value, negated), next: next + 1 };
}

type Sum = { readonly kept: number; readonly added: number; readonly epoch: boolean; readonly next: number };

/** `(ct mark & 0x7fff) | $HF_EPOCH | 0x8000`: what is kept of the flow's mark, and what is added. */
function readSum(words: readonly string[], at: number): Sum {
  let [kept, added, epoch, next] = [0, 0, false, at];
  for (;;) {
    const open = words[next] === "(";
    const from = open ? next + 1 : next;
    if (words[from] === "ct" && words[from + 1] === "mark") {
      if (words[from + 2] === "&") {
        kept |= number(words[from + 3]);
        next = from + 4;
      } else {
        kept = 0xffffffff;
        next = from + 2;
      }
    } else if (words[from] === EPOCH_WORD) {
      epoch = true;
      next = from + 1;
    } else {
      added |= number(words[from]);
      next = from + 1;
    }
    if (open) {
      if (words[next] !== ")") throw new Unmodelled(`${words.slice(at, next + 1).join(" ")} in a mark`);
      next += 1;
    }
    if (words[next] !== "|") return { kept: kept >>> 0, added: added >>> 0, epoch, next };
    next += 1;
  }
}

/** Words after `ct mark set`. */
export function readMarkSet(
  words: readonly string[],
  at: number,
): { readonly statement: Statement; readonly next: number } {
  const { kept, added, epoch, next } = readSum(words, at);
  const high = part(kept, HIGH);
  if (part(added, HIGH) !== 0) throw new Unmodelled("an epoch as a number");
  if (high !== 0 && (high !== HIGH || epoch)) throw new Unmodelled("a mark that mixes epochs");
  const [lowKept, low] = [part(kept, LOW), part(added, LOW)];
  if (lowKept !== 0 && (lowKept !== LOW || low !== 0)) throw new Unmodelled("a mark that mixes low bits");
  const origin = part(added, ORIGIN) !== 0 ? 1 : part(kept, ORIGIN) !== 0 ? undefined : 0;
  return {
    statement: {
      kind: "mark",
      ...(high === 0 ? { epoch: epoch ? EPOCH.current : EPOCH.none } : {}),
      ...(origin === undefined ? {} : { origin }),
      ...(lowKept === 0 ? { low } : {}),
    },
    next,
  };
}

/** Words after `meta mark set`: only low bits of the flow's mark. */
export function readPacketMark(
  words: readonly string[],
  at: number,
): { readonly statement: Statement; readonly next: number } {
  const { kept, added, epoch, next } = readSum(words, at);
  if (added !== 0 || epoch || part(kept, HIGH | ORIGIN) !== 0)
    throw new Unmodelled("a packet's mark that is not the flow's");
  return { statement: { kind: "packet-mark", mask: kept }, next };
}

/** Value of a map to marks: low bits only. */
export function lowMark(value: number): number {
  if (part(value, HIGH | ORIGIN) !== 0) throw new Unmodelled(`mark 0x${value.toString(16)} in a map`);
  return value;
}
