/** The CLI against the real agent, on a kernel in memory: what one change on a site moves, every body counted. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { enrol, readToken } from "../../agent/enrol.ts";
import { writeClients } from "../cli/many-clients.ts";
import { Place } from "../cli/place.ts";
import { newDesk } from "./desk.ts";
import { freshPath, Machine } from "./machine.ts";

setDefaultTimeout(300_000);

const WIRE_BYTES = 8 * 1024;
/** The bytes are the same for ten thousand, which tests/cli/large-site.test.ts pushes to a router without a kernel. */
const CLIENTS = 500;

test("one client that changes or comes is less than 8 KiB, with the router's real plans and receipts", async () => {
  const bare = await newDesk();
  const machine = new Machine(bare.folder, bare.parts.host);
  const desk = await bare.again(machine.host());
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 120,
    async fetch(request) {
      const box = new Uint8Array(await request.arrayBuffer());
      const answer = await desk.requests.handle(box, freshPath("api:198.51.100.1"));
      return answer === undefined ? new Response("refused\n", { status: 403 }) : new Response(new Uint8Array(answer));
    },
  });
  using place = new Place();
  await place.init();
  const at = ["--at", `127.0.0.1:${server.port}`];
  const asked = place.at("router", "enrol", "r1", ...at);
  const token = join(place.site, "r1.token");
  while (!existsSync(token)) await Bun.sleep(10);
  const read = readToken(readFileSync(token, "latin1"));
  if (!read.ok) throw new Error("no token");
  const took = await enrol(desk.parts, read.value);
  if (!took.ok) throw new Error("not taken");
  await asked;
  await place.at("router", "enrol", "r1", "--fingerprint", took.value, ...at);
  const push = async (count: number, full?: number) => {
    writeClients(place, count, full);
    return (await place.at("push", "--yes", "--json", ...at)).json();
  };
  expect(await push(CLIENTS)).toMatchObject({ exit: 0, outcome: "confirmed" });
  for (const said of [await push(CLIENTS, 50), await push(CLIENTS + 1, 50)]) {
    expect(said).toMatchObject({ exit: 0, outcome: "confirmed", risk_class: "routine" });
    console.log(`${said.steps} steps: ${said.bytes_sent} B sent, ${said.bytes_received} B received`);
    expect(Number(said.bytes_sent) + Number(said.bytes_received)).toBeLessThan(WIRE_BYTES);
  }
  desk.close();
});
