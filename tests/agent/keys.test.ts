/** Key files at rest: private from the first byte, and an agent that finds one open to others does not start. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, statSync } from "node:fs";
import { join } from "node:path";
import { pskCommitment } from "../../agent/host/keys.ts";
import { filesBelow } from "../netns/secrets.ts";
import { type Desk, enrolledDesk } from "./desk.ts";
import { randomBytes } from "./operator.ts";

setDefaultTimeout(120_000);

let desk: Desk;
let keys = "";
let files: readonly string[] = [];

beforeAll(async () => {
  ({ desk } = await enrolledDesk());
  keys = join(desk.folder, "state/keys");
  const psk = randomBytes(32);
  await desk.parts.host.keys.putPsk(pskCommitment(psk), psk);
  files = filesBelow("keys", keys).map(({ place }) => place.slice("keys/".length));
});
afterAll(() => desk.close());

test("are of mode 0600: both copies of the lane's key, a preshared key, sign and seal", () => {
  expect(files.map((file) => file.split("/")[0]).sort()).toEqual(["psk", "seal", "sign", "wg", "wg2"]);
  for (const file of files) expect(statSync(join(keys, file)).mode & 0o777).toBe(0o600);
});

test("any one of them that others may read keeps the agent from starting, and the message says what to do", async () => {
  for (const file of files) {
    const path = join(keys, file);
    for (const mode of [0o640, 0o604]) {
      chmodSync(path, mode);
      await expect(desk.again()).rejects.toThrow(`${path} is open to others: chmod 600 ${path}`);
    }
    chmodSync(path, 0o600);
  }
  desk = await desk.again();
});

test("so does an open folder, though the files in it are private", async () => {
  for (const folder of ["", "wg", "wg2", "psk"]) {
    chmodSync(join(keys, folder), 0o750);
    await expect(desk.again()).rejects.toThrow("chmod 700");
    chmodSync(join(keys, folder), 0o700);
  }
});

test("the program ends with 1 and says why in one line", () => {
  chmodSync(join(keys, "sign"), 0o644);
  const [state, run] = ["state", "run"].map((name) => join(desk.folder, name)) as [string, string];
  const main = join(import.meta.dir, "../../agent/main.ts");
  const words = [
    "run",
    "--state",
    state,
    "--run",
    run,
    "--config",
    join(desk.folder, "none"),
    "--backend",
    "userspace",
  ];
  const out = Bun.spawnSync([process.execPath, main, ...words], { timeout: 30_000 });
  chmodSync(join(keys, "sign"), 0o600);
  expect(out.exitCode).toBe(1);
  const said = JSON.parse(out.stderr.toString()) as Record<string, unknown>;
  expect(said).toMatchObject({ event: "died", detail: `${keys}/sign is open to others: chmod 600 ${keys}/sign` });
});
