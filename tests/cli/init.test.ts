/** `init`, `check` and key files: a first day that writes what it says, and nothing when it cannot. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { INIT, Place } from "./place.ts";

setDefaultTimeout(240_000); // each command is a process of its own

const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);

/** A passphrase file of a given mode. */
function passphrase(place: Place, words: string, fileMode = 0o600): string {
  const path = join(place.home, `words-${fileMode.toString(8)}-${words.length}`);
  writeFileSync(path, words);
  chmodSync(path, fileMode);
  return path;
}

describe("init", () => {
  test("makes a site that check proves, and keys that only their owner can read", async () => {
    using place = new Place();
    const said = await place.init();
    expect(said.exit).toBe(0);
    expect(said.stdout).toBe(
      "Made site homelab in homelab. Next: cd homelab, then holdfast check, and holdfast router enrol r1 --at ADDRESS.\n",
    );
    expect(said.stderr).toContain("recovery.key to another place");
    expect(readdirSync(place.site).sort()).toEqual([".gitignore", "intent.yaml", "inventory.yaml", "trust"]);
    expect(readdirSync(join(place.site, "trust")).sort()).toEqual(["keys", "root.1.dsse", "roster.1.dsse"]);
    expect(readdirSync(place.keys).sort()).toEqual(["admin.key", "alice.key", "recovery.key", "root.key"]);
    expect(mode(place.keys)).toBe("700");
    for (const name of readdirSync(place.keys)) expect(mode(join(place.keys, name))).toBe("600");
    expect(place.read("intent.yaml")).toContain("# What should exist.");
    const check = await place.at("check");
    expect([check.exit, check.stderr]).toEqual([0, ""]);
    expect(check.stdout).toMatch(
      /^r1: proven, sha256:[0-9a-f]{64}, with stand-in keys for home, rescue\nGood: 1 router, 0 clients\.\n$/,
    );
  });

  test("two machines make different networks, and check is the same twice", async () => {
    using one = new Place();
    using other = new Place();
    await Promise.all([one.init(), other.init()]);
    const [a, b, again] = await Promise.all([
      one.at("check", "--json"),
      other.at("check", "--json"),
      one.at("check", "--json"),
    ]);
    expect(again.stdout).toBe(a.stdout);
    expect(b.stdout).not.toBe(a.stdout);
    expect(a.json()).toMatchObject({ verb: "check", exit: 0, clients: 0, problems: [] });
  });

  test("--json has its own shape and says nothing else on stdout", async () => {
    using place = new Place();
    const said = await place.init("--json");
    expect(said.json()).toMatchObject({
      ...{ verb: "init", exit: 0, folder: place.site, network: "homelab", holder: "alice", router: "r1", problems: [] },
      keys: { operator: join(place.keys, "alice.key"), recovery: join(place.keys, "recovery.key") },
    });
  });

  test("with DHCP, given what clients dial", async () => {
    using place = new Place();
    const dhcp = ["init", "dyn", "--uplink", "wan0", "--lan", "lan0", "--lan-subnet", "10.0.0.0/24", "--plain"];
    expect(await place.run(dhcp)).toMatchObject({ exit: 2, codes: ["cli.usage"] });
    expect((await place.run([...dhcp, "--endpoint", "vpn.example.net:4500"])).exit).toBe(0);
    expect((await place.run(["check"], join(place.home, "dyn"))).exit).toBe(0);
    expect(readFileSync(join(place.home, "dyn/intent.yaml"), "utf8")).toContain("port: 4500");
  });

  test("refuses to touch what is there, in the site or among the keys: cli.exists", async () => {
    using place = new Place();
    await place.init();
    const before = place.picture();
    expect(await place.init()).toMatchObject({ exit: 3, stdout: "" });
    expect(place.picture()).toEqual(before);
    rmSync(place.site, { recursive: true });
    const keysOnly = await place.init();
    expect(keysOnly.codes).toEqual(["cli.exists", "cli.exists", "cli.exists", "cli.exists"]);
    expect(existsSync(place.site)).toBe(false);
    rmSync(place.keys, { recursive: true });
    mkdirSync(place.site);
    writeFileSync(join(place.site, "inventory.yaml"), "mine");
    expect((await place.init()).codes).toEqual(["cli.exists"]);
    expect(existsSync(place.keys)).toBe(false);
    expect(place.read("inventory.yaml")).toBe("mine");
  });

  const wrong: readonly (readonly [name: string, words: readonly string[], exit: number, code: string])[] = [
    ["a name with capitals", INIT.map((word) => (word === "homelab" ? "HomeLab" : word)), 2, "cli.usage"],
    ["a holder that is a key file", INIT.map((word) => (word === "alice" ? "recovery" : word)), 2, "cli.usage"],
    ["no LAN", INIT.filter((word) => !["--lan", "lan0"].includes(word)), 2, "cli.usage"],
    ["a gateway elsewhere", INIT.map((word) => (word === "198.51.100.254" ? "192.0.2.1" : word)), 3, "intent.uplink"],
    [
      "one subnet for LAN and WAN",
      INIT.map((word) => (word === "10.0.0.0/24" ? "198.51.100.0/24" : word)),
      3,
      "intent.overlap",
    ],
    ["a LAN that is no subnet", INIT.map((word) => (word === "10.0.0.0/24" ? "10.0.0.1/24" : word)), 3, "intent.shape"],
  ];
  for (const [name, words, exit, code] of wrong) {
    test(`writes nothing for ${name}`, async () => {
      using place = new Place();
      const said = await place.run([...words, "--plain"]);
      expect(said.codes).toContain(code);
      expect(said.exit).toBe(exit);
      expect(place.picture()).toEqual({});
    });
  }
});

describe("passphrases", () => {
  test("none and no terminal: keys.passphrase_needed, and nothing is written", async () => {
    using place = new Place();
    expect(await place.run(INIT)).toMatchObject({ exit: 3, codes: ["keys.passphrase_needed"] });
    expect(place.picture()).toEqual({});
  });

  test("from a file lock every key file; another one does not open them: keys.passphrase", async () => {
    using place = new Place();
    const words = passphrase(place, "correct horse\n");
    expect((await place.run([...INIT, "--passphrase-file", words])).exit).toBe(0);
    for (const name of readdirSync(place.keys)) {
      const file = JSON.parse(readFileSync(join(place.keys, name), "utf8")) as { lock: string; seeds: string };
      expect(file.lock).toBe("scrypt");
      // A secretbox is 16 bytes longer than what it holds.
      expect([48, 80, 112]).toContain(Buffer.from(file.seeds, "base64").length);
    }
    // Nobody is at the address: with the right words the next thing is the wait for the router.
    const enrol = ["router", "enrol", "r1", "--at", "127.0.0.1:1", "--wait", "1", "--passphrase-file"];
    expect((await place.at(...enrol, words)).codes).toEqual(["link.unreachable"]);
    expect((await place.at(...enrol, passphrase(place, "wrong horse"))).codes).toEqual(["keys.passphrase"]);
    expect((await place.at(...enrol.slice(0, -1))).codes).toEqual(["keys.passphrase_needed"]);
  });

  test("files that others may read, that are empty or missing are refused: keys.readable, keys.passphrase_file", async () => {
    using place = new Place();
    const open = passphrase(place, "words", 0o640);
    expect((await place.run([...INIT, "--passphrase-file", open])).codes).toEqual(["keys.readable"]);
    const empty = passphrase(place, "\n");
    expect((await place.run([...INIT, "--passphrase-file", empty])).codes).toEqual(["keys.passphrase_file"]);
    const none = join(place.home, "none");
    expect((await place.run([...INIT, "--passphrase-file", none])).codes).toEqual(["keys.passphrase_file"]);
    expect(existsSync(place.keys)).toBe(false);
  });

  test("typed at a terminal twice, and never shown", async () => {
    using place = new Place();
    const typed = await place.type(INIT, [
      { after: "New passphrase for your keys: ", keys: "tee\u007f\u007fopsecret\r" },
      { after: "The same again: ", keys: "topsecret\r" },
    ]);
    expect(typed.exit).toBe(0);
    expect(typed.screen).not.toContain("topsecret");
    const enrol = ["router", "enrol", "r1", "--at", "127.0.0.1:1", "--wait", "1"];
    const opened = await place.type(enrol, [{ after: "alice.key: ", keys: "topsecret\r" }], place.site);
    expect(opened.screen).toContain("link.unreachable");
    const wrong = await place.type(enrol, [{ after: "alice.key: ", keys: "topsecre\r" }], place.site);
    expect(wrong.screen).toContain("keys.passphrase at");
    const stopped = await place.type(enrol, [{ after: "alice.key: ", keys: "\u0003" }], place.site);
    expect(stopped.screen).toContain("keys.passphrase_needed");
  });

  test("typed in two ways: keys.passphrase_differs, and nothing is written", async () => {
    using place = new Place();
    const typed = await place.type(INIT, [
      { after: "New passphrase for your keys: ", keys: "one\r" },
      { after: "The same again: ", keys: "two\r" },
    ]);
    expect(typed.exit).toBe(3);
    expect(typed.screen).toContain("keys.passphrase_differs");
    expect(place.picture()).toEqual({});
  });
});

describe("key files", () => {
  const enrol = ["router", "enrol", "r1", "--at", "127.0.0.1:1", "--wait", "1"];

  test("that others may read are refused: keys.readable", async () => {
    using place = new Place();
    await place.init();
    for (const wide of [0o644, 0o660, 0o604]) {
      chmodSync(join(place.keys, "alice.key"), wide);
      expect(await place.at(...enrol)).toMatchObject({ exit: 3, codes: ["keys.readable"] });
    }
    expect(existsSync(join(place.site, "r1.token"))).toBe(false);
  });

  test("that are missing, damaged or of another role: keys.missing, keys.bad_file", async () => {
    using place = new Place();
    await place.init();
    const path = join(place.keys, "alice.key");
    const good = readFileSync(path, "utf8");
    const bad = [
      "",
      "{}",
      good.replace("operator", "admin"),
      good.replace(/"seeds": ".{8}/, '"seeds": "'),
      good.replace("{", '{ "more": 1,'),
      readFileSync(join(place.keys, "admin.key"), "utf8"),
    ];
    for (const text of bad) {
      writeFileSync(path, text);
      expect(await place.at(...enrol)).toMatchObject({ exit: 3, codes: ["keys.bad_file"] });
    }
    rmSync(path);
    expect(await place.at(...enrol)).toMatchObject({ exit: 3, codes: ["keys.missing"] });
    expect((await place.at(...enrol, "--as", "bob")).codes).toEqual(["keys.missing"]);
  });

  test("of another network are refused, whatever the site calls itself: keys.other_network", async () => {
    using place = new Place();
    using other = new Place();
    await Promise.all([place.init(), other.init()]);
    writeFileSync(join(place.keys, "alice.key"), readFileSync(join(other.keys, "alice.key")), { mode: 0o600 });
    expect(await place.at(...enrol)).toMatchObject({ exit: 3, codes: ["keys.other_network"] });
  });

  test("of several people need a choice: keys.which", async () => {
    using place = new Place();
    await place.init();
    writeFileSync(join(place.keys, "bob.key"), readFileSync(join(place.keys, "alice.key")), { mode: 0o600 });
    expect(await place.at(...enrol)).toMatchObject({ exit: 3, codes: ["keys.which"] });
    expect((await place.at(...enrol, "--as", "alice")).codes).toEqual(["link.unreachable"]);
  });
});

describe("check", () => {
  test("lists every problem with file, line and column", async () => {
    using place = new Place();
    await place.init();
    const broken = place
      .read("intent.yaml")
      .replace("kind: uplink", "kind: uplnk")
      .replace("site: homelab", "site: homelab\nsitee: 1");
    writeFileSync(join(place.site, "intent.yaml"), broken);
    const said = await place.at("check");
    expect([said.exit, said.stdout]).toEqual([3, ""]);
    expect(said.codes.length).toBeGreaterThanOrEqual(2);
    expect(said.stderr).toMatch(/^error: intent\.unknown_key at intent\.yaml:4:1 sitee: .*Did you mean site\?$/m);
    expect(said.stderr).toMatch(/^error: intent\.shape at intent\.yaml:\d+:\d+ zones\[0\]\.kind: /m);
  });

  test("works in a folder without trust, the same on every machine", async () => {
    using place = new Place();
    using other = new Place();
    await Promise.all([place.init(), other.init()]);
    for (const one of [place, other]) rmSync(join(one.site, "trust"), { recursive: true });
    const [a, b] = await Promise.all([place.at("check"), other.at("check")]);
    expect([a.exit, a.stdout]).toEqual([0, b.stdout]);
  });

  test("names a router that is not there: cli.no_router", async () => {
    using place = new Place();
    await place.init();
    expect(await place.at("check", "--router", "r9")).toMatchObject({ exit: 3, codes: ["cli.no_router"] });
  });

  test("notices a trust document that was changed", async () => {
    using place = new Place();
    await place.init();
    const path = join(place.site, "trust/roster.1.dsse");
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);
    expect(await place.at("check")).toMatchObject({ exit: 3, codes: ["trust.bad_signature"] });
  });
});

describe("doctor", () => {
  test("finds what is wrong before it matters, and nags about the recovery key", async () => {
    using place = new Place();
    await place.init();
    const said = await place.at("doctor", "--offline");
    expect(said.exit).toBe(0);
    expect(said.stdout).toMatch(/^warn {2}recovery .*recovery\.key is still here: move it to another place$/m);
    expect(said.stdout).toMatch(/^warn {2}routers +none is enrolled yet/m);
    chmodSync(join(place.keys, "root.key"), 0o644);
    rmSync(join(place.keys, "recovery.key"));
    const worse = await place.at("doctor", "--offline");
    expect(worse).toMatchObject({ exit: 3, codes: ["keys.readable"] });
    expect(worse.stdout).toMatch(/^ok +recovery/m);
    expect((await place.at("doctor", "--offline", "--json")).json()).toMatchObject({ verb: "doctor", exit: 3 });
  });
});
