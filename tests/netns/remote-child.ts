/** A live host inside a namespace: calls arrive as JSON lines on standard input, answers leave on standard output. */
import { liveHost } from "../../agent/host/live.ts";
import { lines } from "./lines.ts";

const host = await liveHost(JSON.parse(process.argv[2] ?? "{}"));

const parts: Record<string, Record<string, (...args: never[]) => unknown>> = {
  kernel: host.kernel as never,
  keys: host.keys as never,
  guard: host.guard as never,
  clock: host.clock as never,
  host: { backend: () => host.kernel.backend, probe: host.probe } as never,
};

function revive(_key: string, value: unknown): unknown {
  if (typeof value === "object" && value !== null && "hex" in value) return Uint8Array.fromHex(String(value.hex));
  return value;
}

process.stdout.write("ready\n");
for await (const line of lines(Bun.stdin.stream())) {
  const { part, name, args } = JSON.parse(line, revive) as { part: string; name: string; args: never[] };
  try {
    const value = await parts[part]?.[name]?.(...args);
    process.stdout.write(`${JSON.stringify({ value })}\n`);
  } catch (failure) {
    process.stdout.write(`${JSON.stringify({ failure: String(failure) })}\n`);
  }
}
process.exit(0);
