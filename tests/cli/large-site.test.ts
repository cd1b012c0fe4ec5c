/** Ten thousand clients: what a push moves over the wire is about the change, not about the site. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { enrolled } from "./enrolled.ts";
import { keyOf, writeClients } from "./many-clients.ts";

setDefaultTimeout(300_000); // the CLI proves 10,000 clients in each of its processes

const CLIENTS = 10_000;
const WIRE_BYTES = 8 * 1024;

test("one client of ten thousand is less than 8 KiB on the wire, both directions, the whole push", async () => {
  using story = await enrolled();
  const { place, router } = story;
  writeClients(place, CLIENTS);
  // Every client has a peer on the router, which a push has no use for.
  router.peers = Array.from({ length: CLIENTS }, (_, i) => ({
    ...{ network: "home", public_key: keyOf(i), endpoint: "198.51.100.7:40000", handshake_age_s: 3n },
    ...{ rx_bytes: 1_000_000n, tx_bytes: 9_000_000n },
  }));
  const first = (await story.json("push", "--yes")).json();
  expect(first).toMatchObject({ exit: 0, outcome: "confirmed" });
  expect(Number(first.bytes_sent)).toBeGreaterThan(1_000_000);
  const held = router.blobs.size;

  writeClients(place, CLIENTS, 5000);
  const second = (await story.json("push", "--yes")).json();
  expect(second).toMatchObject({ exit: 0, outcome: "confirmed", generation: 2 });
  expect(router.blobs.size).toBe(held + 1);
  console.log(`10,000 clients, one changed: ${second.bytes_sent} B sent, ${second.bytes_received} B received`);
  expect(Number(second.bytes_sent) + Number(second.bytes_received)).toBeLessThan(WIRE_BYTES);
  // Only status asks for the peers; all of them come out of the pipe.
  expect((await story.json("status")).json().peers).toHaveLength(CLIENTS);
});
