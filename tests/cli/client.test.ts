/** Clients: sticky addresses, keys that are shown once, preshared keys, and an inventory that keeps its comments. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openSecret } from "../../agent/core/secrets.ts";
import { allocate } from "../../client/allocate.ts";
import { qrOf } from "../../client/qr.ts";
import { loadCrypto, sodium } from "../../client/sodium.ts";
import type { Network } from "../../schemas/intent.ts";
import type { Inventory } from "../../schemas/inventory.ts";
import { decode } from "../../schemas/wire.ts";
import { enrolled } from "./enrolled.ts";
import { Place } from "./place.ts";

setDefaultTimeout(240_000); // each command is a process of its own

const phone = ["client", "add", "alice-phone", "--network", "home", "--profile", "full"];

describe("client add", () => {
  test("prints a whole configuration once and keeps the public key only", async () => {
    using story = await enrolled();
    const { place } = story;
    const heard = story.router.heard.length;
    const said = await place.at(...phone, "--owner", "alice");
    expect(said.exit).toBe(0);
    expect(said.stdout).toMatch(
      /^# alice-phone on home\n\[Interface\]\nPrivateKey = .{44}\nAddress = 10\.99\.0\.\d+\/32\n/,
    );
    expect(said.stderr).toMatch(/^alice-phone is 10\.99\.0\.\d+ on home with profile full\.\n/);
    const key = /^PrivateKey = (.+)$/m.exec(said.stdout)![1]!;
    const lib = await sodium();
    const publicKey = Buffer.from(lib.crypto_scalarmult_base(Buffer.from(key, "base64"))).toString("base64");
    expect(place.read("inventory.yaml")).toContain(`public_key: ${publicKey}`);
    expect(said.stdout).toContain(`PublicKey = ${story.router.keys.find((one) => one.network === "home")!.public_key}`);
    // The private key is nowhere on this machine, and no router was asked.
    for (const [path, text] of Object.entries(place.picture()))
      expect([path, text.includes(key)]).toEqual([path, false]);
    expect(story.router.heard.length).toBe(heard);
    expect((await place.at("check")).stdout).toContain("1 client.");
    expect(await place.at(...phone)).toMatchObject({ exit: 3, codes: ["cli.client_exists"] });
  });

  test("keeps comments and layout, adds to flow and block lists, and a second network to a client", async () => {
    using story = await enrolled();
    const { place } = story;
    const intent = place
      .read("intent.yaml")
      .replace(
        "# What a client may reach.",
        `  - { id: lab, router: r1, port: 51821, endpoint: "198.51.100.1:51821", subnets: [10.98.0.0/24] }\n\n# What a client may reach.`,
      );
    writeFileSync(join(place.site, "intent.yaml"), intent);
    const before = place.read("inventory.yaml").replace("clients: []", "# people first\nclients: []   # none yet");
    writeFileSync(join(place.site, "inventory.yaml"), before);
    expect((await place.at(...phone)).exit).toBe(0);
    // The lab's key is new: it is fetched, which makes it.
    const second = await story.json("client", "add", "alice-phone", "--network", "lab", "--profile", "split");
    expect(second.json()).toMatchObject({ exit: 0, network: "lab", key_generation: 2 });
    expect(story.router.keys.map((one) => one.network)).toContain("lab");
    const text = place.read("inventory.yaml");
    expect(text).toContain("# people first\nclients:");
    expect(text).toContain("# none yet");
    expect(text).toMatch(/addresses: \[ ?10\.99\.0\.\d+ ?\]/);
    const [, host] = /10\.99\.0\.(\d+)/.exec(text)!;
    // The same client has the same host part on every network.
    expect(text).toContain(`10.98.0.${host}`);
    const shown = await place.at("client", "show", "alice-phone", "--json");
    expect(shown.json()).toMatchObject({
      client: "alice-phone",
      state: "active",
      grants: [{ network: "home" }, { network: "lab" }],
    });
  });

  test("takes a client's own key and puts no private one into the text", async () => {
    using story = await enrolled();
    const publicKey = Buffer.from((await loadCrypto()).boxKeys().publicKey).toString("base64");
    const said = await story.place.at(...phone, "--public-key", publicKey, "--address", "10.99.0.77", "--json");
    expect(said.json()).toMatchObject({ exit: 0, public_key: publicKey, addresses: ["10.99.0.77"], psk: false });
    expect(String(said.json().config)).toContain("# PrivateKey = ");
    expect(story.place.read("inventory.yaml")).toContain("origin: client");
    const weak = Buffer.alloc(32).toString("base64");
    const more = ["client", "add", "b", "--profile", "full", "--public-key"];
    expect((await story.place.at(...more, weak)).codes).toEqual(["trust.key_inadmissible"]);
    expect((await story.place.at(...more, publicKey)).codes).toEqual(["inventory.key_reused"]);
    expect(await story.place.at(...more, "short")).toMatchObject({ exit: 2, codes: ["cli.usage"] });
  });

  test("--out writes a private file and nothing to stdout, and overwrites none: cli.exists", async () => {
    using story = await enrolled();
    const { place } = story;
    const said = await place.at(...phone, "--out", "phone.conf");
    expect([said.exit, said.stdout]).toEqual([0, ""]);
    const path = join(place.site, "phone.conf");
    expect((statSync(path).mode & 0o777).toString(8)).toBe("600");
    const before = place.picture();
    const again = ["client", "add", "bob", "--profile", "split", "--out", "phone.conf"];
    expect(await place.at(...again)).toMatchObject({ exit: 3, codes: ["cli.exists"] });
    expect(place.picture()).toEqual(before);
    expect(readFileSync(path, "utf8")).toStartWith("# alice-phone on home\n");
  });

  test("--psk seals a key to the router and to the escrow; the site holds its commitment alone", async () => {
    using story = await enrolled();
    const { place, router } = story;
    const said = await place.at(...phone, "--psk", "--json");
    const psk = /^PresharedKey = (.+)$/m.exec(String(said.json().config))![1]!;
    const path = join(place.site, "secrets/alice-phone.1.sealed");
    const sealed = decode("SealedSecret", new Uint8Array(readFileSync(path)));
    if (!sealed.ok) throw new Error("no sealed secret");
    const { network_id: networkId, router_id: routerId, incarnation } = router.token!;
    const opened = openSecret(await loadCrypto(), router.seal, { networkId, routerId, incarnation }, sealed.value);
    expect(opened).toMatchObject({ ok: true, value: { subject: "alice-phone.1" } });
    if (opened.ok) expect(Buffer.from(opened.value.psk).toString("base64")).toBe(psk);
    expect(place.read("inventory.yaml")).toContain(`psk: ${Buffer.from(sealed.value.commitment).toString("hex")}`);
    expect(sealed.value.to_escrow).toHaveLength(1);
    // It travels with the push, and is missed when it is gone: cli.secret_missing.
    expect((await story.ask("push", "--yes")).exit).toBe(0);
    const secrets = decode(
      "Secrets",
      router.blobs.get(Buffer.from(router.lkg!.message.secrets_digest).toString("hex"))!,
    );
    expect(secrets.ok && secrets.value.secrets).toEqual([sealed.value]);
    rmSync(path);
    expect(await story.ask("push", "--yes")).toMatchObject({ exit: 3, codes: ["cli.secret_missing"] });
  });

  test("writes nothing when something is wrong", async () => {
    using story = await enrolled();
    const { place } = story;
    const before = place.picture();
    const cases: readonly (readonly [words: readonly string[], code: string])[] = [
      [["client", "add", "A", "--profile", "full"], "cli.usage"],
      [["client", "add", "a"], "cli.usage"],
      [["client", "add", "a", "--profile", "full", "--network", "nowhere"], "cli.no_network"],
      [["client", "add", "a", "--profile", "nobody"], "inventory.no_such"],
      [["client", "add", "a", "--profile", "full", "--address", "10.99.0.1"], "inventory.address"],
      [["client", "add", "a", "--profile", "full", "--address", "192.0.2.9"], "inventory.address"],
      [["client", "add", "a", "--profile", "full", "--out", "no/such/folder/x.conf"], "site.missing_file"],
    ];
    for (const [words, code] of cases) expect([words, (await place.at(...words)).codes]).toEqual([words, [code]]);
    expect(place.picture()).toEqual(before);
  });

  test("before enrolment there is no server key, and nothing to seal to: cli.no_router, cli.psk_router", async () => {
    using place = new Place();
    await place.init();
    const before = place.picture();
    expect((await place.at(...phone)).codes).toEqual(["cli.no_router"]);
    expect((await place.at(...phone, "--psk")).codes).toEqual(["cli.psk_router"]);
    expect(place.picture()).toEqual(before);
  });

  test("--qr prints a code that fits; one that does not is a warning", async () => {
    using story = await enrolled();
    const said = await story.place.at(...phone, "--qr");
    const lines = said.stdout.split("\n").filter((line) => /[█▀▄]/.test(line));
    expect(lines.length).toBeGreaterThan(20);
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(80);
    expect(await story.place.at("client", "add", "b", "--profile", "full", "--no-qr")).toMatchObject({ exit: 0 });
    expect(qrOf("x".repeat(300), 40)).toEqual({ warning: expect.stringContaining("here are 40") });
    expect(qrOf("x".repeat(1500), 400)).toEqual({ warning: expect.stringContaining("too fine for a camera") });
  });
});

describe("client list and show", () => {
  test("say what the inventory says", async () => {
    using story = await enrolled();
    const { place } = story;
    const none = await place.at("client", "list");
    expect(none.stdout).toBe("No clients yet: holdfast client add NAME --network N --profile P\n");
    await place.at(...phone, "--owner", "alice");
    const list = await place.at("client", "list");
    expect([list.exit, list.stderr]).toEqual([0, ""]);
    expect(list.stdout).toMatch(/^alice-phone {2}active {2}home {5}full {5}10\.99\.0\.\d+ +alice$/m);
    expect((await place.at("client", "list", "--json")).json()).toMatchObject({
      clients: [{ client: "alice-phone", owner: "alice" }],
    });
    expect((await place.at("client", "show", "alice-phone")).stdout).toMatch(/key 1 +.{44} live, made by operator/);
    const missing = await place.at("client", "show", "alice-fone");
    expect(missing).toMatchObject({ exit: 3, codes: ["cli.no_client"] });
    expect(missing.stderr).toContain("Did you mean alice-phone?");
    expect(existsSync(join(place.site, "secrets"))).toBe(false);
  });
});

describe("sticky addresses", () => {
  const network = (subnets: string[], dns: string[] = []): Network => ({
    ...{ id: "n", router: "r", interface: "", port: 1, endpoint: "a:1", subnets, mtu: 1420 },
    ...{ class: "production", dns, keepalive_s: 25 },
  });
  const inventory = (
    taken: Readonly<Record<string, readonly string[]>> = {},
    buried: Inventory["tombstones"] = [],
  ): Inventory => ({
    version: 1,
    clients: Object.entries(taken).map(([id, addresses]) => ({
      ...{ id, owner: "", state: "active", services: [], expires: "" },
      hints: { os: "", dns: [], mtu: 0, keepalive_s: 0, excludes: [] },
      grants: [{ network: "n", profile: "p", addresses: [...addresses], keys: [], configs: [] }],
    })),
    tombstones: buried,
    ledger: [],
  });
  const pick = (
    subnets: string[],
    with_: Inventory,
    client = "alice",
    dns: string[] = [],
  ): readonly string[] | string => {
    const found = allocate(network(subnets, dns), with_, client);
    return found.ok ? found.value : found.problems[0]!.code;
  };

  test("follow from the name, with one host part for both families", () => {
    const [four, six] = pick(["10.0.0.0/24", "fd00:1::/64"], inventory()) as string[];
    expect(pick(["10.0.0.0/24", "fd00:1::/64"], inventory())).toEqual([four!, six!]);
    expect(six).toBe(`fd00:1::${Number(four!.split(".")[3]).toString(16)}`);
    expect(pick(["10.0.0.0/24"], inventory(), "bob")).not.toEqual([four!]);
  });

  test("fill a /29 completely: five clients, then cli.network_full", () => {
    const taken: Record<string, readonly string[]> = {};
    for (const client of ["a", "b", "c", "d", "e"]) {
      const found = pick(["10.0.0.0/29"], inventory(taken), client);
      expect(found).not.toBe("cli.network_full");
      taken[client] = found as readonly string[];
    }
    const all = Object.values(taken).flat().sort();
    expect(all).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
    expect(pick(["10.0.0.0/29"], inventory(taken), "f")).toBe("cli.network_full");
  });

  test("are never a tombstone of somebody else, nor the DNS server of the network", () => {
    const stone = (address: string, client: string) => ({ network: "n", address, client, since: "" });
    const stones = ["10.0.0.2", "10.0.0.3", "10.0.0.4"].map((address) => stone(address, "gone"));
    expect(["10.0.0.5", "10.0.0.6"]).toContain((pick(["10.0.0.0/29"], inventory({}, stones)) as string[])[0]!);
    expect(pick(["10.0.0.0/29"], inventory({}, stones), "alice", ["10.0.0.5"])).toEqual(["10.0.0.6"]);
    // Its own comes back to it.
    expect(pick(["10.0.0.0/30"], inventory({}, [stone("10.0.0.2", "alice")]))).toEqual(["10.0.0.2"]);
  });

  test("a thousand clients of a /16 collide nowhere (D2)", () => {
    const taken: Record<string, readonly string[]> = {};
    for (let n = 0; n < 1000; n += 1)
      taken[`c${n}`] = pick(["10.0.0.0/16", "fd00:1::/64"], inventory(taken), `c${n}`) as string[];
    expect(new Set(Object.values(taken).flat()).size).toBe(2000);
  });
});
