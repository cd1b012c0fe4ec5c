/** Enrolment, lists and keys of routers, with a router on loopback that speaks the real wire. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sodium } from "../../client/sodium.ts";
import { carryToken, enrolled } from "./enrolled.ts";
import { FakeRouter } from "./fake-router.ts";
import { Place } from "./place.ts";

setDefaultTimeout(240_000); // each command is a process of its own

describe("router enrol", () => {
  test("off a terminal shows the fingerprint and waits for it to be said: cli.not_a_terminal", async () => {
    using story = await enrolled();
    const { asked, done, fingerprint } = story.enrolment;
    expect(asked).toMatchObject({ exit: 2, stdout: "", codes: ["cli.not_a_terminal"] });
    expect(asked.stderr).toContain(`r1 shows the fingerprint\n\n    ${fingerprint}\n`);
    expect(asked.stderr).toContain("in scripts give --fingerprint");
    expect(done.json()).toMatchObject({ verb: "router enrol", router: "r1", roster: 2, fingerprint, keys: 2 });
    // The token is used up; roster, key reports and the first receipt are kept.
    expect(existsSync(join(story.place.site, "r1.token"))).toBe(false);
    expect(readdirSync(join(story.place.site, "trust")).sort()).toEqual([
      "keys",
      "root.1.dsse",
      "roster.1.dsse",
      "roster.2.dsse",
    ]);
    expect(readdirSync(join(story.place.site, "trust/keys")).sort()).toEqual(["r1.1.dsse", "r1.2.dsse"]);
    expect(readFileSync(join(story.place.state, "r1/head"), "utf8")).toStartWith("index=1\n");
  });

  test("the token is a secret of its owner, and is taken up again by a repeat", async () => {
    using place = new Place();
    await place.init();
    const said = await place.at("router", "enrol", "r1", "--at", "127.0.0.1:1", "--wait", "1");
    expect(said).toMatchObject({ exit: 5, codes: ["link.unreachable"] });
    const path = join(place.site, "r1.token");
    const before = readFileSync(path, "utf8");
    expect((statSync(path).mode & 0o777).toString(8)).toBe("600");
    await place.at("router", "enrol", "r1", "--at", "127.0.0.1:1", "--wait", "1");
    expect(readFileSync(path, "utf8")).toBe(before);
    writeFileSync(path, before.replace("TOKEN-1 ", "TOKEN-1 AAAA"));
    expect(await place.at("router", "enrol", "r1", "--at", "127.0.0.1:1")).toMatchObject({
      exit: 3,
      codes: ["cli.bad_token"],
    });
  });

  test("a person at a terminal compares and says yes", async () => {
    using place = new Place();
    using router = new FakeRouter();
    await place.init();
    const typing = place.type(
      ["router", "enrol", "r1", "--at", router.at],
      [{ after: "[yes/no] ", keys: "yes\r" }],
      place.site,
    );
    await carryToken(place, router);
    const { exit, screen } = await typing;
    expect(screen).toContain("Is it the one that holdfastd printed on the router?");
    expect(exit).toBe(0);
    expect(router.view?.roster.message.version).toBe(2);
  });

  test("a no adds no router: cli.declined", async () => {
    using place = new Place();
    using router = new FakeRouter();
    await place.init();
    const typing = place.type(
      ["router", "enrol", "r1", "--at", router.at],
      [{ after: "[yes/no] ", keys: "no\r" }],
      place.site,
    );
    await carryToken(place, router);
    const { exit, screen } = await typing;
    expect(screen).toContain("cli.declined");
    expect(exit).toBe(3);
    expect(existsSync(join(place.site, "trust/roster.2.dsse"))).toBe(false);
  });

  test("another fingerprint adds no router: cli.fingerprint", async () => {
    using place = new Place();
    using router = new FakeRouter();
    await place.init();
    const enrolling = place.at("router", "enrol", "r1", "--at", router.at, "--fingerprint", "aaaa-bbbb");
    await carryToken(place, router);
    expect(await enrolling).toMatchObject({ exit: 3, codes: ["cli.fingerprint"] });
    expect(existsSync(join(place.site, "trust/roster.2.dsse"))).toBe(false);
    expect(router.view).toBeUndefined();
  });

  test("a router that does not know the token's secret is not believed: trust.enrol_mac", async () => {
    using place = new Place();
    using router = new FakeRouter();
    await place.init();
    const enrolling = place.at("router", "enrol", "r1", "--at", router.at, "--fingerprint", "x");
    await carryToken(place, router);
    // It hears the box, because the token was copied, but cannot make the code over its keys.
    const { token } = router;
    let honest: typeof token;
    router.instead = () => {
      honest ??= token;
      const secret = new Uint8Array(32).fill(7);
      router.token = { ...token!, secret };
      const answer = router.answer({ ...router.heard[0]!.message, kind: "enrol", trust: [] });
      router.token = honest;
      return answer;
    };
    expect((await enrolling).codes).toEqual(["trust.enrol_mac"]);
    expect(existsSync(join(place.site, "trust/roster.2.dsse"))).toBe(false);
  });

  test("a reply that was lost at the end is asked for again by a repeat", async () => {
    using place = new Place();
    using router = new FakeRouter();
    await place.init();
    let lost = 0;
    router.instead = (kind, message) => {
      if (kind !== "enrol" || message.trust.length === 0 || lost > 4) return undefined;
      lost += 1;
      router.answer(message); // it believes the roster, and its answer gets lost
      return new Response("gateway", { status: 502 });
    };
    const first = place.at("router", "enrol", "r1", "--at", router.at, "--fingerprint", "x");
    const fingerprint = await carryToken(place, router);
    await first;
    const words = ["router", "enrol", "r1", "--at", router.at, "--fingerprint", fingerprint];
    expect(await place.at(...words)).toMatchObject({ exit: 5, codes: ["link.bad_answer"] });
    expect(existsSync(join(place.site, "trust/roster.2.dsse"))).toBe(true);
    lost = 9;
    const again = await place.at(...words);
    expect(again.exit).toBe(0);
    expect(readdirSync(join(place.site, "trust")).filter((name) => name.startsWith("roster"))).toHaveLength(2);
    expect(router.receipts).toHaveLength(1);
  });

  test("names that the intent does not know, and addresses that are none: cli.no_router, cli.usage", async () => {
    using place = new Place();
    await place.init();
    expect((await place.at("router", "enrol", "r9", "--at", "127.0.0.1")).codes).toEqual(["cli.no_router"]);
    for (const at of ["r1.example.net", "127.0.0.1:99999", "fe80::1%eth0"]) {
      expect(await place.at("router", "enrol", "r1", "--at", at)).toMatchObject({ exit: 2, codes: ["cli.usage"] });
    }
    expect(existsSync(join(place.site, "r1.token"))).toBe(false);
  });
});

describe("router list and keys", () => {
  test("list shows who is enrolled and who is not", async () => {
    using story = await enrolled();
    const said = await story.place.at("router", "list");
    expect([said.exit, said.stderr]).toEqual([0, ""]);
    expect(said.stdout).toMatch(/^r1 +active +1 +report 2 +198\.51\.100\.1 10\.0\.0\.1 port 8022$/m);
    const json = await story.place.at("router", "list", "--json");
    expect(json.json()).toMatchObject({
      verb: "router list",
      exit: 0,
      routers: [{ router: "r1", state: "active", keys: 2 }],
    });
  });

  test("keys fetches a report and keeps it once", async () => {
    using story = await enrolled();
    rmSync(join(story.place.site, "trust/keys/r1.2.dsse"));
    const said = await story.json("router", "keys", "r1");
    expect(said.json()).toMatchObject({
      exit: 0,
      router: "r1",
      version: 2,
      keys: [{ network: "home" }, { network: "rescue" }],
    });
    expect(existsSync(join(story.place.site, "trust/keys/r1.2.dsse"))).toBe(true);
    expect((await story.ask("router", "keys")).exit).toBe(0);
    expect((await story.ask("router", "keys", "r9")).codes).toEqual(["cli.no_router"]);
  });

  test("a report of another router is refused and not kept", async () => {
    using story = await enrolled();
    rmSync(join(story.place.site, "trust/keys/r1.2.dsse"));
    const other = new FakeRouter();
    other.token = story.router.token;
    story.router.instead = (kind) =>
      kind === "keys"
        ? { ...story.router.answer(story.router.heard.at(-1)!.message), key_report: other.keyReport().envelope }
        : undefined;
    expect((await story.ask("router", "keys")).codes).toEqual(["trust.signer_unknown"]);
    expect(readdirSync(join(story.place.site, "trust/keys"))).toEqual(["r1.1.dsse"]);
    other.close();
  });
});

describe("operator lane", () => {
  test("prints wg-quick text with the key of alice.key", async () => {
    using story = await enrolled();
    const said = await story.place.at("operator", "lane", "--conf");
    expect([said.exit, said.stderr]).toEqual([0, ""]);
    const key = /^PrivateKey = (.+)$/m.exec(said.stdout)?.[1] ?? "";
    const lib = await sodium();
    const publicKey = Buffer.from(lib.crypto_scalarmult_base(Buffer.from(key, "base64"))).toString("base64");
    expect(story.router.view?.roster.message.operators[0]?.lane_key).toBe(publicKey);
    expect(said.stdout).toContain(`PublicKey = ${story.router.keys[0]!.public_key}`);
    expect(said.stdout).toMatch(/^Endpoint = 198\.51\.100\.1:51819$/m);
    const plain = await story.place.at("operator", "lane");
    expect(plain.stdout).not.toContain(key);
    const json = await story.place.at("operator", "lane", "--json", "--endpoint", "vpn.example.net");
    expect(json.json()).toMatchObject({
      exit: 0,
      router: "r1",
      holder: "alice",
      public_key: publicKey,
      endpoint: "vpn.example.net",
    });
  });

  test("without a key report there is no text: cli.no_lane", async () => {
    using story = await enrolled();
    rmSync(join(story.place.site, "trust/keys"), { recursive: true });
    expect(await story.place.at("operator", "lane")).toMatchObject({ exit: 3, codes: ["cli.no_lane"] });
  });
});
