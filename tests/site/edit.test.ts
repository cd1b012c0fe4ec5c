/** Editing a site: comments live on, the file is whole at every moment, and nobody's change is overwritten. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Document } from "yaml";
import { editInventory, readSite } from "../../client/site/site.ts";
import {
  keyReportVersions,
  readKeyReport,
  readTrust,
  readTrustChain,
  trustVersions,
  writeKeyReport,
  writeTrust,
} from "../../client/site/trust-files.ts";
import { limits } from "../../schemas/limits.ts";
import { clientKeys } from "./fixture.ts";

const EXAMPLES = join(import.meta.dir, "../../docs/examples");
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "site-"));
  cpSync(join(EXAMPLES, "homelab"), folder, { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true }));

const inventory = (): string => readFileSync(join(folder, "inventory.yaml"), "utf8");
const code = (result: ReturnType<typeof editInventory>): string => (result.ok ? "" : result.problems[0]!.code);

function addClient(document: Document): void {
  document.addIn(
    ["clients"],
    document.createNode({
      id: "new-phone",
      grants: [
        {
          network: "home",
          profile: "friends",
          addresses: ["10.100.7.7"],
          keys: [{ generation: 1, public_key: clientKeys("new-phone", "home").publicKey }],
        },
      ],
    }),
  );
}

describe("editInventory", () => {
  test("adds what it is told and leaves every other line as it was", () => {
    const before = inventory().split("\n");
    expect(editInventory(folder, addClient)).toEqual({ ok: true, value: undefined });
    const after = inventory().split("\n");
    const added = after.filter((line) => !before.includes(line));
    expect(added.join("\n")).toContain("- id: new-phone");
    expect(after.filter((line) => !added.includes(line)).length + added.length).toBe(after.length);
    expect(before.every((line) => after.includes(line))).toBe(true);
    expect(inventory()).toContain("# Friends get the internet of the house and nothing of the house.");
    const site = readSite(folder);
    expect(site.ok && site.value.inventory.clients.map((client) => client.id)).toContain("new-phone");
  });

  for (const example of ["homelab", "branch"]) {
    test(`an edit of ${example} that changes nothing changes no byte`, () => {
      cpSync(join(EXAMPLES, example), folder, { recursive: true });
      const before = inventory();
      expect(editInventory(folder, () => undefined).ok).toBe(true);
      expect(inventory()).toBe(before);
    });
  }

  test("keeps lists that are not indented, and flow lists, as their writer likes them", () => {
    const text =
      "version: 1\nclients:\n- id: a # first\n  grants:\n  - network: home\n    profile: full\n    addresses: [10.100.1.1]\n";
    writeFileSync(join(folder, "inventory.yaml"), text);
    expect(editInventory(folder, (document) => document.setIn(["clients", 0, "state"], "suspended")).ok).toBe(true);
    expect(inventory()).toBe(text.replace("[10.100.1.1]\n", "[10.100.1.1]\n  state: suspended\n"));
  });

  test("is refused when the file changed since it was read", () => {
    const site = readSite(folder);
    if (!site.ok) throw new Error("the example is lawful");
    writeFileSync(join(folder, "inventory.yaml"), `${inventory()}# another editor\n`);
    const before = inventory();
    expect(code(editInventory(folder, addClient, site.value.text.inventory))).toBe("site.changed");
    expect(inventory()).toBe(before);
    expect(editInventory(folder, addClient, before).ok).toBe(true);
  });

  test("is refused when the file changes during the edit", () => {
    const result = editInventory(folder, (document) => {
      addClient(document);
      writeFileSync(join(folder, "inventory.yaml"), "version: 1\n# replaced\n");
    });
    expect(code(result)).toBe("site.changed");
    expect(inventory()).toBe("version: 1\n# replaced\n");
    expect(readdirSync(folder).sort()).toEqual(["intent.yaml", "inventory.yaml"]);
  });

  test("writes nothing that would not fit, and nothing when the edit throws", () => {
    const before = inventory();
    const shape = editInventory(folder, (document) => document.setIn(["clients", 0, "state"], "asleep"));
    expect(code(shape)).toBe("inventory.shape");
    const edit = (): never => {
      throw new Error("changed my mind");
    };
    expect(() => editInventory(folder, edit)).toThrow("changed my mind");
    expect(inventory()).toBe(before);
    expect(readdirSync(folder).sort()).toEqual(["intent.yaml", "inventory.yaml"]);
  });

  test("keeps the file's mode, and follows a link to the file itself", () => {
    const real = join(folder, "real.yaml");
    cpSync(join(folder, "inventory.yaml"), real);
    rmSync(join(folder, "inventory.yaml"));
    symlinkSync("real.yaml", join(folder, "inventory.yaml"));
    chmodSync(real, 0o600);
    expect(editInventory(folder, addClient).ok).toBe(true);
    expect(statSync(real).mode & 0o777).toBe(0o600);
    expect(readFileSync(real, "utf8")).toContain("new-phone");
    expect(inventory()).toContain("new-phone");
  });

  test("a missing inventory is named", () => {
    rmSync(join(folder, "inventory.yaml"));
    expect(code(editInventory(folder, addClient))).toBe("site.missing_file");
  });
});

describe("trust files", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

  test("versions are listed as numbers, in order", () => {
    expect(trustVersions(folder, "root")).toEqual([]);
    for (const version of [10, 2, 1]) expect(writeTrust(folder, "roster", version, bytes(`v${version}`)).ok).toBe(true);
    writeFileSync(join(folder, "trust", "roster.3.dsse.orig"), "");
    writeFileSync(join(folder, "trust", "roster.04.dsse"), "");
    expect(trustVersions(folder, "roster")).toEqual([1, 2, 10]);
    expect(trustVersions(folder, "root")).toEqual([]);
    expect(readTrust(folder, "roster", 2)).toEqual({ ok: true, value: bytes("v2") });
    expect(readTrustChain(folder, "roster")).toEqual({ ok: true, value: [bytes("v1"), bytes("v2"), bytes("v10")] });
  });

  test("a version is written once", () => {
    expect(writeTrust(folder, "root", 1, bytes("a")).ok).toBe(true);
    expect(writeTrust(folder, "root", 1, bytes("a")).ok).toBe(true);
    expect(code(writeTrust(folder, "root", 1, bytes("b")))).toBe("site.trust_conflict");
    expect(readTrust(folder, "root", 1)).toEqual({ ok: true, value: bytes("a") });
    expect(readdirSync(join(folder, "trust")).sort()).toEqual(["keys", "root.1.dsse"]);
  });

  test("key reports are by router, and one router's name is no prefix of another's", () => {
    expect(writeKeyReport(folder, "r1", 1, bytes("one")).ok).toBe(true);
    expect(writeKeyReport(folder, "r1-old", 7, bytes("seven")).ok).toBe(true);
    expect(keyReportVersions(folder, "r1")).toEqual([1]);
    expect(keyReportVersions(folder, "r1-old")).toEqual([7]);
    expect(readKeyReport(folder, "r1", 1)).toEqual({ ok: true, value: bytes("one") });
    expect(readKeyReport(folder, "r1", 2)).toMatchObject({ problems: [{ code: "site.missing_file" }] });
  });

  test("sizes are capped on both ways", () => {
    const large = new Uint8Array(limits.trustBytes + 1);
    expect(code(writeTrust(folder, "root", 1, large))).toBe("site.too_large");
    expect(writeTrust(folder, "root", 1, bytes("a")).ok).toBe(true);
    writeFileSync(join(folder, "trust", "root.1.dsse"), large);
    expect(readTrust(folder, "root", 1)).toMatchObject({ problems: [{ code: "site.too_large" }] });
  });
});
