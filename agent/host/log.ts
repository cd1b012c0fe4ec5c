/** The agent's log: one JSON line per event on standard error, for the init system. */
import type { Log } from "../ports.ts";

/** Event ids are permanent. Field values are scalars that the caller knows to be no secrets. */
export function createLog(write: (line: string) => void = (line) => void process.stderr.write(line)): Log {
  return (event, fields) => {
    write(`${JSON.stringify({ at: new Date().toISOString(), event, ...fields })}\n`);
  };
}
