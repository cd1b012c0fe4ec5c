/**
 * The two alternating records: the newer valid one holds, the other one is written next. A process remembers it; where
 * the disk has gone further, its memory was put back, or another process writes, and it must not write any more.
 */
import { join } from "node:path";
import { type ChosenRecord, chooseRecord, emptyRecord, recordText, type StateRecord } from "../core/record.ts";
import { readText, writeDurable } from "./files.ts";

export type Records = {
  current(): StateRecord;
  damaged(): boolean;
  overtaken(): boolean;
  write(next: Omit<StateRecord, "counter">): void;
};

export function openRecords(folder: string): Records {
  const path = (file: "a" | "b"): string => join(folder, `record.${file}`);
  const [a, b] = [readText(path("a")), readText(path("b"))];
  let chosen: ChosenRecord = chooseRecord(a, b) ?? { record: emptyRecord, file: "b" };
  let damaged = chosen.record.counter === 0 && (a !== undefined || b !== undefined);
  // A record of ours that has its name but may not be durable: it never held here, and the next write goes over it.
  let unsure = "";
  const overtaken = (): boolean => {
    const found = chooseRecord(readText(path("a")), readText(path("b")));
    if (found === undefined || found.record.counter < chosen.record.counter) return false;
    if (recordText(found.record) === unsure) return false;
    return found.record.counter > chosen.record.counter || recordText(found.record) !== recordText(chosen.record);
  };
  return {
    current: () => chosen.record,
    damaged: () => damaged,
    overtaken,
    write(next) {
      if (overtaken()) throw new Error("the record on disk is newer than the one that this process remembers");
      const record = { ...next, counter: chosen.record.counter + 1 };
      const text = recordText(record);
      const file = chosen.file === "a" ? "b" : "a";
      try {
        writeDurable(path(file), text);
      } catch (failure) {
        if (readText(path(file)) === text) unsure = text;
        throw failure;
      }
      if (readText(path(file)) !== text) throw new Error(`record.${file} does not read back`);
      chosen = { record, file };
      damaged = false;
    },
  };
}
