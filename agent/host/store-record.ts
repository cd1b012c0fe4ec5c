/** The two alternating records: the newer valid one holds, the other one is written next. */
import { join } from "node:path";
import { type ChosenRecord, chooseRecord, emptyRecord, recordText, type StateRecord } from "../core/record.ts";
import { readText, writeDurable } from "./files.ts";

export type Records = {
  current(): StateRecord;
  damaged(): boolean;
  write(next: Omit<StateRecord, "counter">): void;
};

export function openRecords(folder: string): Records {
  const path = (file: "a" | "b"): string => join(folder, `record.${file}`);
  const [a, b] = [readText(path("a")), readText(path("b"))];
  let chosen: ChosenRecord = chooseRecord(a, b) ?? { record: emptyRecord, file: "b" };
  let damaged = chosen.record.counter === 0 && (a !== undefined || b !== undefined);
  return {
    current: () => chosen.record,
    damaged: () => damaged,
    write(next) {
      const record = { ...next, counter: chosen.record.counter + 1 };
      const text = recordText(record);
      const file = chosen.file === "a" ? "b" : "a";
      writeDurable(path(file), text);
      if (readText(path(file)) !== text) throw new Error(`record.${file} does not read back`);
      chosen = { record, file };
      damaged = false;
    },
  };
}
