/** Which way a blob takes to the router: not at all, as a difference, or whole. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { type Enrolled, enrolled } from "./enrolled.ts";
import { writeClients } from "./many-clients.ts";

setDefaultTimeout(240_000); // each command is a process of its own

/** Kinds of requests that a push made. */
async function kindsOf(story: Enrolled): Promise<readonly string[]> {
  const from = story.router.heard.length;
  const said = await story.ask("push", "--yes");
  if (said.exit !== 0) throw new Error(said.stderr);
  return story.router.heard.slice(from).map((one) => one.kind);
}

test("a change of one client rides with the plan, in five requests from the first question to the end", async () => {
  using story = await enrolled();
  writeClients(story.place, 40);
  expect(await kindsOf(story)).toContain("put_blob");
  writeClients(story.place, 40, 7);
  expect(await kindsOf(story)).toEqual(["status", "submit", "submit", "receipts", "confirm"]);
  const [plan, apply] = story.router.heard.filter((one) => one.kind === "submit").slice(-2);
  expect(plan?.message.delta?.parts.length).toBeGreaterThan(0);
  expect(apply?.message.delta).toBeNull();
  // Nothing new to send: a push of the same site has no delta.
  await kindsOf(story);
  expect(story.router.heard.filter((one) => one.kind === "submit").at(-2)?.message.delta).toBeNull();
});

test("a router that lost the base, or all of it, gets the whole", async () => {
  using story = await enrolled();
  writeClients(story.place, 40);
  await kindsOf(story);
  story.router.blobs.clear();
  writeClients(story.place, 40, 7);
  const kinds = await kindsOf(story);
  expect(kinds.filter((kind) => kind === "put_blob")).toHaveLength(2);
  expect(kinds.filter((kind) => kind === "submit")).toHaveLength(3);
  story.router.blobs.clear();
  expect((await kindsOf(story)).filter((kind) => kind === "put_blob")).toHaveLength(2);
});

test("a machine without the base asks what is missing, and sends it as a difference where it can", async () => {
  using story = await enrolled();
  writeClients(story.place, 40);
  await kindsOf(story);
  writeClients(story.place, 40, 7);
  story.router.steps = 3;
  // The generation in force was pushed from elsewhere: its blobs are not here, those of the one before are.
  await kindsOf(story);
  rmSync(join(story.place.state, "r1/generations/2.json"));
  for (const digest of story.router.blobs.keys()) {
    const { inventory_digest } = story.router.lkg!.message;
    if (digest === inventory_digest.toHex()) rmSync(join(story.place.state, "r1/blobs", digest));
  }
  writeClients(story.place, 40, 8);
  expect(await kindsOf(story)).toEqual([
    "status",
    "need_blobs",
    "put_delta",
    "submit",
    "submit",
    "receipts",
    "confirm",
  ]);
});
