/** `holdfast test`: contracts with real packets, and rulesets that are not what was proven. Root, and the worlds' lock. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../.ci/stale.ts";
import { mismatchProblems, type Replayed, replay } from "../../client/replay/replay.ts";
import type { Desired } from "../../schemas/desired.ts";
import { Place } from "../cli/place.ts";
import { contractSubject } from "../core/contracts-sites.ts";
import { drop, editRules, type Open, set } from "../core/invariant-subjects.ts";
import { takeLock } from "../netns/lock.ts";
import { freshProgram } from "../netns/program.ts";

setDefaultTimeout(240_000); // the lock, and a program that is compiled

const CONTRACTS = [
  "allow: lan -> zone lab v4",
  "deny: zone lab -> lan v4",
  "only: internet -> 10.0.0.10: [tcp/80-89, udp/8000]",
  "allow: lan -> internet v4",
  "only: zone lab -> router v4: [dns, wireguard, rescue]",
] as const;

const subject = contractSubject(CONTRACTS);

let unlock: () => void = () => undefined;
beforeAll(async () => {
  unlock = await takeLock();
});
afterAll(() => unlock());

/** Replays the contracts on the proven generation, or on one that was changed after the proof. */
async function replayed(change: (desired: Open<Desired>) => void = () => undefined): Promise<readonly Replayed[]> {
  const other = structuredClone(subject.desired) as Open<Desired>;
  change(other);
  const found = await replay(subject, other.nft as Desired["nft"]);
  if (found?.ok !== true) throw new Error(`no replay: ${JSON.stringify(found)}`);
  return found.value;
}

/** Named namespaces of this machine, but for those of worlds (world.ts), which come and go beside this. */
const left = (): readonly string[] =>
  existsSync("/run/netns") ? readdirSync("/run/netns").filter((name) => !name.startsWith("hft-")) : [];

describe("contracts in a namespace", () => {
  test("what was proven is what the kernel does: packets, their neighbours and their answers", async () => {
    const list = await replayed();
    expect(list.flatMap((one) => one.mismatches)).toEqual([]);
    expect(list.every(({ packets }) => packets >= 3)).toBe(true);
    expect(list.map(({ accepted }) => accepted > 0)).toEqual([true, false, true, true, true]);
  });

  const plants: readonly (readonly [
    what: string,
    id: string,
    kernel: RegExp,
    change: (desired: Open<Desired>) => void,
  ])[] = [
    [
      "a rule that is gone",
      "c0",
      /^dropped$/,
      (desired) => editRules(desired, "z_o_lan", '"lab0"', () => 'oifname "nowhere0" accept'),
    ],
    [
      "a rule too many",
      "c1",
      /^left by lan0 as /,
      (desired) => desired.nft.chains.find((one) => one.name === "b_forward")!.rules.unshift('iifname "lab0" accept'),
    ],
    [
      "a port-forward to somebody else",
      "c2",
      /^left by lan0 as .*10\.0\.0\.11/,
      (desired) => {
        for (const name of ["m_pf4", "s_pf4"]) {
          const { elements } = set(desired, name);
          for (const [i, text] of elements.entries()) elements[i] = text.replace(/10\.0\.0\.10 /, "10.0.0.11 ");
        }
      },
    ],
    [
      "a masquerade that is gone",
      "c3",
      /^dropped$/,
      (desired) => drop(set(desired, "s_masq4").elements, '"lan0" . "wan0"'),
    ],
    [
      "a lane that is closed",
      "c4",
      /^dropped$/,
      (desired) => editRules(desired, "z_lane_udp", "udp dport", (rule) => rule.replace(/accept$/, "drop")),
    ],
  ];

  test("a ruleset that is not the proven one is caught, at each contract that it breaks", async () => {
    const list = await replayed((desired) => {
      for (const [, , , change] of plants) change(desired);
    });
    for (const [what, id, kernel] of plants) {
      const one = list.find((found) => found.id === id)!.mismatches[0]!;
      expect([what, one.kernel]).toEqual([what, expect.stringMatching(kernel)]);
      expect(one.proven).not.toBe(one.kernel);
    }
    const [first] = mismatchProblems("r1", list);
    expect(first).toMatchObject({ code: "replay.mismatch", path: "r1" });
    expect(first!.detail).toStartWith("allow: lan -> zone lab v4: tcp 10.0.0.10:40000 -> 10.0.30.10:");
    expect(first!.detail).toMatch(/: proven leaves by lab0 as .*, the kernel dropped$/);
  });
});

describe("holdfast test", () => {
  const site = (place: Place, whole = false): string => {
    const folder = join(place.home, "homelab");
    cpSync(join(root, "docs/examples/homelab"), folder, { recursive: true });
    if (whole) return folder;
    const file = join(folder, "intent.yaml");
    const text = readFileSync(file, "utf8").replace(
      /\ncontracts:\n[\s\S]*?\nconfirm:/,
      "\ncontracts:\n  - allow: lan -> lab v4\n  - deny: lab -> lan v4\n\nconfirm:",
    );
    writeFileSync(file, text);
    return folder;
  };

  test("says of each contract how many packets went as proven, and has one object", async () => {
    using place = new Place();
    const folder = site(place);
    const names = left();
    const text = await place.run(["test"], folder);
    expect([text.exit, text.stderr.replace(/^Replaying.*\n/gm, "")]).toEqual([0, ""]);
    expect(text.stdout).toMatch(
      /^r1: allow: lan -> lab v4: replayed: (\d+) packets as proven, \1 of them accepted\nr1: deny: lab -> lan v4: replayed: \d+ packets as proven, 0 of them accepted\nGood: \d+ packets as proven\.\n$/,
    );
    const json = await place.run(["test", "--json"], folder);
    type Contracts = { readonly routers: readonly { readonly contracts: readonly Replayed[] }[] };
    const { contracts } = (json.json() as unknown as Contracts).routers[0]!;
    expect(contracts.map(({ id, mismatches }) => [id, mismatches])).toEqual([
      ["allow-lan-lab", []],
      ["deny-lab-lan", []],
    ]);
    expect(left()).toEqual(names);
  });

  test("ends at once on a signal, and nothing of it is left", async () => {
    using place = new Place();
    const folder = site(place, true);
    const names = left();
    // As the root of a user namespace, which a user would be.
    const child = Bun.spawn(["unshare", "-Urn", "--", ...freshProgram().cli, "test"], {
      ...{ cwd: folder, env: place.environment, stdout: "pipe", stderr: "pipe" },
    });
    const reader = child.stderr.getReader();
    await reader.read(); // it says that it is at work
    child.kill("SIGTERM");
    await child.exited;
    expect(child.signalCode ?? child.exitCode).toBeOneOf(["SIGTERM", 143]);
    expect(left()).toEqual(names);
  });

  test("without nft it says so, with what to do: replay.unavailable", async () => {
    using place = new Place();
    const folder = site(place);
    const bin = join(place.home, "bin");
    mkdirSync(bin);
    for (const name of ["ip", "sh", "sysctl"]) symlinkSync(Bun.which(name)!, join(bin, name));
    const child = Bun.spawnSync([...freshProgram().cli, "test"], {
      cwd: folder,
      env: { ...place.environment, PATH: bin },
    });
    expect([child.exitCode, child.stdout.toString()]).toEqual([3, ""]);
    expect(child.stderr.toString()).toStartWith(
      "error: replay.unavailable: missing here: nft\nnext: Install what is missing",
    );
  });
});
