/** Artifacts as sh reads them: formats, digests by the real sha256sum, and the real record reader of the scripts. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { manifestDigest, renderArtifacts } from "../../agent/core/artifacts.ts";
import { chooseRecord, emptyRecord, parseRecord, recordText, type StateRecord } from "../../agent/core/record.ts";
import { desiredText } from "../../schemas/desired.ts";
import { sha256Hex } from "../../schemas/digest.ts";
import { clients, keyOf, peer, sampleDesired } from "./desireds.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hf-artifacts-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sh = (script: string, ...args: string[]): string => {
  const ran = Bun.spawnSync(["sh", "-c", script, "sh", ...args]);
  return ran.stdout.toString() + ran.stderr.toString();
};

describe("artifacts", () => {
  const psk = "ab".repeat(32);
  const desired = sampleDesired([peer(1, { psk, keepaliveS: 25 }), peer(2, { allowedIps: [] })], {
    rules: [
      { family: 4, priority: 1000, from: "192.0.2.2/32", fwmark: 0, fwmask: 0, table: 100 },
      { family: 6, priority: 90, from: "", fwmark: 0x51, fwmask: 0xff, table: 101 },
    ],
  });
  const files = new Map(renderArtifacts(desired).map((file) => [file.name, file.text]));

  test("hold one record a line, as the contract of the scripts says", () => {
    expect(files.get("links")).toBe(
      `hf-office office 51820 1420 0x0 ${keyOf("device hf-office")}\nhf-rescue rescue 51819 1420 0x51 ${keyOf("device hf-rescue")}\n`,
    );
    expect(files.get("peers")!.split("\n").sort().slice(1)).toEqual(
      [
        `hf-office ${keyOf("client 1")} ${psk} 25 10.100.0.1/32`,
        `hf-office ${keyOf("client 2")} - 0 -`,
        `hf-rescue ${keyOf("client 60000")} - 0 fd12::5/128`,
      ].sort(),
    );
    expect(files.get("addresses")).toBe("hf-office 10.100.0.1/16\nhf-rescue fd12::1/64\n");
    expect(files.get("routes")).toBe("4 0.0.0.0/0 192.0.2.1 wan0 100 0\n6 fd12::/64 - hf-rescue 101 0\n");
    expect(files.get("rules")).toBe("4 1000 192.0.2.2/32 - 100\n6 90 - 0x51/0xff 101\n");
    expect(files.get("sysctls")).toBe("net.ipv4.ip_forward 1\nnet.ipv4.ping_group_range 0 100\n");
    expect(files.get("desired.json")).toBe(desiredText(desired));
  });

  test("carry the head of their digest as the marker", () => {
    const digest = sha256Hex(desiredText(desired));
    expect(files.get("ruleset.nft")).toEndWith(`s_marker {\n\t0x${digest.slice(0, 8)}\n}\n`);
  });

  test("are what sha256sum finds them to be, and one changed byte is found", () => {
    for (const [name, text] of files) writeFileSync(join(folder, name), text);
    expect(sh('cd "$1" && sha256sum -c manifest', folder)).not.toContain("FAILED");
    expect(files.get("manifest")!.match(/\n/g)).toHaveLength(files.size - 1);
    expect(sha256Hex(files.get("manifest")!)).toBe(manifestDigest(renderArtifacts(desired)));
    writeFileSync(join(folder, "peers"), files.get("peers")!.replace("25", "26"));
    expect(sh('cd "$1" && sha256sum -c manifest 2>&1', folder)).toContain("peers: FAILED");
  });

  test("are the same bytes for the same generation", () => {
    expect(renderArtifacts(sampleDesired(clients(50)))).toEqual(renderArtifacts(sampleDesired(clients(50))));
  });

  test("are refused for a value that would split differently", () => {
    const sysctls = [{ key: "net.ipv4.ping_group_range", value: "0  100" }];
    expect(() => renderArtifacts(sampleDesired([], { sysctls }))).toThrow("single-spaced");
  });
});

const full: StateRecord = {
  counter: 41,
  root: "1".repeat(64),
  roster: "2".repeat(64),
  keys: "3".repeat(64),
  generation: (1n << 64n) - 1n,
  lkg: { desired: "4".repeat(64), manifest: "5".repeat(64), generation: 7n, directive: "6".repeat(64) },
  lkgEpoch: 12,
  trial: {
    desired: "7".repeat(64),
    manifest: "8".repeat(64),
    generation: 8n,
    directive: "9".repeat(64),
    epoch: 13,
    token: "Tok_en-1",
    deadlineMs: 123_456_789,
    boot: "a".repeat(32),
  },
  logIndex: 99,
  logHead: "b".repeat(64),
  quorum: "c".repeat(64),
};

/** The record as a release would write it that has these lines to say more. */
function withLines(record: StateRecord, lines: readonly string[]): string {
  const body = `${recordText(record).replace(/sha256=.*\n/, "")}${lines.map((line) => `${line}\n`).join("")}`;
  return `${body}sha256=${sha256Hex(body)}\n`;
}

describe("the state record", () => {
  test("comes back as it was written", () => {
    for (const record of [full, emptyRecord, { ...full, trial: null }, { ...full, lkg: null }]) {
      expect(parseRecord(recordText(record))).toEqual(record);
    }
  });

  test("with one bit flipped anywhere is no record", () => {
    const bytes = new TextEncoder().encode(recordText(full));
    for (let at = 0; at < bytes.length; at += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const copy = Uint8Array.from(bytes);
        copy[at]! ^= 1 << bit;
        expect(parseRecord(new TextDecoder("latin1").decode(copy))).toBeUndefined();
      }
    }
  });

  test("cut short is no record", () => {
    const text = recordText(full);
    for (let end = 0; end < text.length; end += 1) expect(parseRecord(text.slice(0, end))).toBeUndefined();
  });

  test("with a right digest over wrong fields is no record", () => {
    const forge = (from: string, to: string): string => {
      const body = recordText(full)
        .replace(/sha256=.*\n/, "")
        .replace(from, to);
      return `${body}sha256=${sha256Hex(body)}\n`;
    };
    expect(parseRecord(forge("format=1", "format=1"))).toBeDefined();
    for (const [from, to] of [
      ["format=1", "format=2"],
      ["counter=41", "counter=041"],
      ["trial_boot=a", "trial_boot=A"],
      ["trial_token=Tok", "trial_token=../"],
      ["lkg_epoch=12", "lkg_epoch=65536"],
      ["generation=18446744073709551615", "generation=18446744073709551616"],
      [`trial=${"7".repeat(64)}`, "trial=-"],
      ["root=", "toor="],
    ] as const) {
      expect(`${to} ${parseRecord(forge(from, to))}`).toBe(`${to} undefined`);
    }
    expect(() => recordText({ ...full, root: "x" })).toThrow("not a record");
  });

  test("of a later release is read without what that has to say more; of another format it is none", () => {
    const later = (...lines: readonly string[]): string => withLines(full, lines);
    expect(parseRecord(later("lane_order=wg rescue", "x9="))).toEqual(full);
    expect(parseRecord(later(...Array.from({ length: 41 }, (_, i) => `later_${i}=`)))).toEqual(full);
    for (const lines of [["later"], ["Later=1"], ["later=\t"], [""], Array.from({ length: 42 }, (_, i) => `x${i}=`)])
      expect(`${lines} ${parseRecord(later(...lines))}`).toBe(`${lines} undefined`);
  });

  test("is chosen by validity, then by counter", () => {
    const [old, young] = [recordText(full), recordText({ ...full, counter: 42 })];
    expect(chooseRecord(old, young)).toMatchObject({ file: "b", record: { counter: 42 } });
    expect(chooseRecord(young, old)).toMatchObject({ file: "a", record: { counter: 42 } });
    expect(chooseRecord(old, `${young} `)).toMatchObject({ file: "a", record: { counter: 41 } });
    expect(chooseRecord(recordText({ ...full, logIndex: 1 }), old)).toMatchObject({
      file: "a",
      record: { logIndex: 1 },
    });
    expect(chooseRecord(undefined, old)).toMatchObject({ file: "b" });
    expect(chooseRecord(undefined, "")).toBeUndefined();
  });

  test("is chosen and read the same by the scripts", () => {
    const lib = join(import.meta.dir, "../../agent/scripts");
    const read = (a: string | undefined, b: string | undefined): string => {
      rmSync(join(folder, "record.a"), { force: true });
      rmSync(join(folder, "record.b"), { force: true });
      if (a !== undefined) writeFileSync(join(folder, "record.a"), a);
      if (b !== undefined) writeFileSync(join(folder, "record.b"), b);
      return sh(
        '. "$1/fence.sh"; . "$1/record.sh"; hf_load_record "$2" || { echo none; exit; }; echo "$hf_best $hf_lkg $hf_lkg_manifest $hf_lkg_epoch $hf_trial $hf_trial_epoch $hf_trial_token"',
        lib,
        folder,
      ).trim();
    };
    const words = (record: StateRecord): string =>
      `${record.counter} ${record.lkg?.desired ?? "-"} ${record.lkg?.manifest ?? "-"} ${record.lkgEpoch} ${record.trial?.desired ?? "-"} ${record.trial?.epoch ?? 0} ${record.trial?.token ?? "-"}`;
    const young = { ...full, counter: 42, trial: null };
    expect(read(recordText(full), recordText(young))).toBe(words(young));
    expect(read(recordText(young), recordText(full))).toBe(words(young));
    expect(read(recordText(full), recordText(young).replace("counter=42", "counter=43"))).toBe(words(full));
    expect(read(undefined, recordText(full))).toBe(words(full));
    expect(read(recordText(full).slice(0, -1), undefined)).toBe("none");
    expect(read(recordText(emptyRecord), undefined)).toBe(words(emptyRecord));
    // Of the release after this one, as long as it is no longer than both read.
    for (const count of [1, 41, 42]) {
      const text = withLines(
        young,
        Array.from({ length: count }, (_, i) => `later_${i}=a b`),
      );
      const chosen = chooseRecord(recordText(full), text)!.record;
      expect(read(recordText(full), text)).toBe(words(chosen));
      expect(chosen.counter).toBe(count === 42 ? 41 : 42);
    }
  });
});
