/** Kernel settings under /proc/sys, named as sysctl(8) names them. */
import { join } from "node:path";
import { readText } from "./files.ts";

/** Path of a key: dots and slashes change places, so an interface called eth0.100 is written eth0/100. */
export function sysctlPath(key: string): string {
  if (!/^[0-9A-Za-z_][0-9A-Za-z._/@:-]*$/.test(key) || key.includes("..")) throw new Error(`not a sysctl key: ${key}`);
  const swapped = [...key].map((char) => (char === "." ? "/" : char === "/" ? "." : char)).join("");
  return join("/proc/sys", swapped);
}

/** Values of the keys that exist, words separated by one space, in the order asked for. */
export function readSysctls(keys: readonly string[]): { key: string; value: string }[] {
  return keys.flatMap((key) => {
    const text = readText(sysctlPath(key));
    return text === undefined ? [] : [{ key, value: text.trim().split(/\s+/).join(" ") }];
  });
}
