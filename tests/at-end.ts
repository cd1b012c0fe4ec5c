/** Loaded before all test files (bunfig.toml): what stands for several of them goes when the last has ended. */
import { afterAll } from "bun:test";

const ends: (() => void)[] = [];

/** Calls `end` after the last test of this process; the runner does not call those of process.on("exit"). */
export const atEnd = (end: () => void): void => void ends.push(end);

afterAll(() => {
  for (const end of ends.splice(0)) end();
});
