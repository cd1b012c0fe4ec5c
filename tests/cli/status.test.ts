/** `status`, `doctor` and waits: what a router says of itself, also when the site is broken. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { body } from "./answers.ts";
import { enrolled } from "./enrolled.ts";

setDefaultTimeout(240_000); // each command is a process of its own

describe("status", () => {
  test("is one screen on stdout and nothing on stderr", async () => {
    using story = await enrolled();
    const before = await story.ask("status");
    expect([before.exit, before.stderr]).toEqual([0, ""]);
    expect(before.stdout).toMatch(/^runs +nothing yet: holdfast push$/m);
    await story.ask("push", "--yes");
    const said = await story.ask("status");
    expect(said.stdout).toBe(`router   r1, incarnation 1, holdfastd 0.1.0, WireGuard by kernel, up 1 d 2 h
runs     generation 1; this site is the same
pending  nothing
drift    none
outside  as confirmed
guard    alive
lanes    api:127.0.0.1 (0)
log      3 receipts, chain verified
`);
    writeFileSync(
      join(story.place.site, "intent.yaml"),
      story.place.read("intent.yaml").replace("window_s: 120", "window_s: 60"),
    );
    expect((await story.ask("status")).stdout).toContain("generation 1; this site differs: holdfast plan");
    expect((await story.json("status")).json()).toMatchObject({
      verb: "status",
      exit: 0,
      site_matches: false,
      lkg_generation: 1,
      pending: null,
    });
  });

  test("works on the worst day: a site that cannot be read, drift, a dead guard, clients by name", async () => {
    using story = await enrolled();
    const added = await story.place.at("client", "add", "alice-phone", "--profile", "full", "--json");
    const publicKey = String(added.json().public_key);
    const honest = story.router.status();
    const peer = {
      network: "home",
      endpoint: "192.0.2.9:4500",
      handshake_age_s: 12n,
      rx_bytes: 1500n,
      tx_bytes: 2_500_000n,
    };
    const status = {
      ...{
        ...honest,
        drift: true,
        drift_detail: "nft chain b_input is missing\nlink hf-home mtu 1400, not 1420",
        guard_alive: false,
        outside_changed: true,
        outside_detail: "outside.foreign_drop inet fw4: chain input, its policy is drop\n+ nft inet fw4 {}",
        reasserted: 2,
      },
      peers: [
        { ...peer, public_key: publicKey },
        {
          ...peer,
          network: "rescue",
          public_key: story.router.view!.roster.message.operators[0]!.lane_key,
          handshake_age_s: 0n,
          endpoint: "",
        },
      ],
    };
    story.router.instead = (kind) => (kind === "status" ? body({ status }) : undefined);
    const said = await story.ask("status");
    expect(said.exit).toBe(0);
    expect(said.stdout).toContain("drift    nft chain b_input is missing\n");
    expect(said.stdout).toContain("link hf-home mtu 1400, not 1420");
    expect(said.stdout).toContain("our table was loaded again 2 times after another program removed it\n");
    expect(said.stdout).toContain("outside  outside.foreign_drop inet fw4: chain input, its policy is drop\n");
    expect(said.stdout).toMatch(/^ +\+ nft inet fw4 \{\}$/m);
    expect(said.stdout).toContain("guard    DEAD");
    expect(said.stdout).toMatch(/^\* {2}alice-phone {2}home +12 s ago +192\.0\.2\.9:4500 +1\.5 KB in, 2\.5 MB out$/m);
    expect(said.stdout).toMatch(/^ {3}alice +rescue +never +- /m);
    writeFileSync(join(story.place.site, "intent.yaml"), "broken: [");
    const worse = await story.json("status");
    expect(worse.json()).toMatchObject({
      exit: 0,
      site_matches: null,
      ...{ outside_changed: true, reasserted: 2 },
      peers: [{ online: true }, { client: "alice", online: false }],
    });
    const doctor = await story.ask("doctor");
    expect(doctor.exit).toBe(3);
    expect(doctor.codes).toContain("guard.dead");
    expect(doctor.stdout).toMatch(/^FAIL +r1 +guard\.dead/m);
    expect(doctor.stdout).toMatch(
      /^warn +r1 +outside: outside\.foreign_drop inet fw4: chain input, its policy is drop$/m,
    );
    expect(doctor.stdout).toMatch(/^warn +r1 +drift: nft chain b_input is missing$/m);
  });

  test("--wait ends with the trial, and its end is the exit code", async () => {
    using story = await enrolled();
    await story.ask("push", "--yes", "--no-confirm");
    expect(await story.ask("status", "--wait", "--timeout", "1")).toMatchObject({
      exit: 8,
      codes: ["cli.still_pending"],
    });
    const looks = story.router.count("status");
    const waiting = story.json("status", "--wait");
    await story.router.untilHeard("status", looks + 2);
    story.router.end("rolled_back", "agent.power_cut");
    expect((await waiting).json()).toMatchObject({ exit: 4, outcome: "rolled_back", cause: "agent.power_cut" });
    expect((await story.ask("status", "--wait")).exit).toBe(0);
    await story.ask("push", "--yes", "--no-confirm");
    const more = story.router.count("status");
    const again = story.ask("status", "--wait");
    await story.router.untilHeard("status", more + 2);
    story.router.end("confirmed", "");
    expect(await again).toMatchObject({ exit: 0, stdout: "r1 runs generation 2, confirmed through api:127.0.0.1.\n" });
  });

  test("waits over a second are announced on stderr, and never under --json", async () => {
    using story = await enrolled();
    story.router.instead = async (kind) => {
      if (kind === "status") await Bun.sleep(1500);
      return undefined;
    };
    const said = await story.ask("status");
    expect(said.progress[0]).toMatch(/^asking r1 \(\d s\)\n$/);
    expect(said.stderr).toBe("");
    expect(await story.json("status")).toMatchObject({ stderr: "", progress: [] });
  });
});
