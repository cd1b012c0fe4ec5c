/** `ask`, `matrix` and the contracts of `check`: what passes, by which rule and line, without any router. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../.ci/stale.ts";
import { freshProgram } from "../netns/program.ts";
import { Place, type Said } from "./place.ts";

setDefaultTimeout(240_000); // each command is a process of its own

/** A copy of an example, its intent edited. */
function site(place: Place, name: "homelab" | "branch", edit: (intent: string) => string = (text) => text): string {
  const folder = join(place.home, name);
  cpSync(join(root, "docs/examples", name), folder, { recursive: true });
  const file = join(folder, "intent.yaml");
  writeFileSync(file, edit(readFileSync(file, "utf8")));
  return folder;
}

/** An intent with these contracts and no others. */
const contracts =
  (...lines: readonly string[]) =>
  (intent: string): string =>
    intent.replace(/\ncontracts:\n[\s\S]*?\n\n/, `\ncontracts:\n${lines.map((line) => `  - ${line}\n`).join("")}\n`);

const lineOf = (folder: string, text: string): number =>
  readFileSync(join(folder, "intent.yaml"), "utf8")
    .split("\n")
    .findIndex((line) => line.includes(text)) + 1;

describe("ask", () => {
  test("yes, no, partly and nobody, each with its exit code, the rule and the line of the intent", async () => {
    using place = new Place();
    const folder = site(place, "homelab");
    const ask = (question: string): Promise<Said> => place.run(["ask", question], folder);
    const [yes, no, partly, nobody] = await Promise.all([
      ask("client alice-phone -> 10.0.1.5 tcp/443"),
      ask("lab -> lan"),
      ask("lan -> router: [dns, tcp/22]"),
      ask("lost-phone -> lan"),
    ]);
    expect([yes.exit, no.exit, partly.exit, nobody.exit]).toEqual([0, 3, 8, 3]);
    expect([yes.stderr, no.stderr, partly.stderr, nobody.stderr]).toEqual(["", "", "", ""]);
    expect(yes.stdout).toBe(`client alice-phone -> 10.0.1.5: [tcp/443]: yes
  accepted  tcp 10.100.17.4:40000 -> 10.0.1.5:443
  way       home (wgs1) > b_prerouting_raw > b_prerouting > b_dstnat > b_mss > b_forward > z_o_home > p_o_full > c_stamp > b_srcnat > b_postrouting > lan (lan0)
  rule      chain p_o_full, rule 1: oifname "lan0" ip daddr @s_net4_lan goto c_stamp [10.0.1.0/24]
  from      profile full, intent.yaml:${lineOf(folder, "- id: full")}:5 profiles[1]
  answers   pass
`);
    expect(no.stdout).toContain("lab -> lan: no\nIPv4: no\n");
    expect(no.stdout).toContain("from     experiments are isolated\n");
    expect(partly.stdout).toMatch(/IPv4: partly\n {2}accepted {2}udp .*:53\n(.*\n)* {2}dropped {3}tcp .*:22\n/);
    expect(nobody.stdout).toBe("lost-phone -> lan: nobody can: client lost-phone is not active on r1\n");
  });

  test("one object: the packet, the walk, NAT and the deciding rule", async () => {
    using place = new Place();
    const said = await place.run(["ask", "internet -> 203.0.113.10 tcp/443", "--json"], site(place, "branch"));
    expect([said.exit, said.stderr]).toEqual([0, ""]);
    const { families, ...rest } = said.json() as { families: readonly Record<string, Record<string, unknown>>[] };
    expect(rest as Record<string, unknown>).toEqual({
      ...{ verb: "ask", exit: 0, router: "b1", question: "internet -> 203.0.113.10: [tcp/443]", answer: "yes" },
      ...{ why: "", problems: [] },
    });
    expect(families).toHaveLength(1);
    expect(families[0]).toMatchObject({ family: 4, answer: "yes", answers: "pass", dropped: null });
    expect(families[0]!.accepted).toMatchObject({
      packet: { target: "203.0.113.10", dport: 443, protocol: 6, flags: "syn", state: "new" },
      headers: { target: "10.20.1.10", dport: 8443 },
      ...{ outcome: "accept", egress: "dmz0" },
      decided: { hook: "forward", chain: "z_o_wan", rule: 0 },
    });
  });

  test("--edit ends with the smallest edit that would decide otherwise, its places and what it would break", async () => {
    using place = new Place();
    const folder = site(place, "homelab", contracts("only: client offsite-box -> lan: [nas-rsync]"));
    const [open, shut, none] = await Promise.all([
      place.run(["ask", "--edit", "profile split -> internet"], folder),
      place.run(["ask", "--edit", "--json", "client offsite-box -> 10.0.0.10 tcp/22"], folder),
      place.run(["ask", "--edit", "lab -> lan"], folder),
    ]);
    expect([open.exit, shut.exit, none.exit]).toEqual([3, 0, 3]);
    const line = lineOf(folder, "- id: split");
    expect(open.stdout).toEndWith(`To let all of this pass:
  intent.yaml:${line}:5 profiles[0].internet.v4: set true
  intent.yaml:${line}:5 profiles[0].internet.v6: set true
`);
    expect(none.stdout).toEndWith("No small edit would let all of this pass.\n");
    expect((shut.json() as { edit: object }).edit).toEqual({
      changes: [
        {
          place: expect.stringMatching(/^inventory\.yaml:\d+:\d+ clients\[6\]\.services\[0\]$/),
          ...{ list: "clients", id: "offsite-box", field: "services", op: "remove", value: "nas-rsync" },
        },
      ],
      breaks: ["only: client offsite-box -> lan: [nas-rsync]"],
    });
  });

  test("mistakes: a question that is none, a name that nobody has, two routers", async () => {
    using place = new Place();
    const folder = site(place, "homelab");
    const second =
      "  - id: b2\n    uplinks: [{ interface: up0, dynamic: true }]\n    management: { addresses: [10.30.0.1], zones: [far] }\n" +
      "    addresses: [{ interface: far0, cidr: 10.30.0.1/24 }]\n\nzones:\n" +
      "  - { id: wan2, router: b2, kind: uplink, interfaces: [up0] }\n" +
      "  - { id: far, router: b2, kind: internal, interfaces: [far0], subnets: [10.30.0.0/24] }\n";
    const two = site(place, "branch", (text) => text.replace("\nzones:\n", `\n${second}`));
    const [none, name, service, routers, other] = await Promise.all([
      place.run(["ask", "lan lab"], folder),
      place.run(["ask", "alice -> lan"], folder),
      place.run(["ask", "lan -> lab: [dsn]"], folder),
      place.run(["ask", "dmz -> internet"], two),
      place.run(["ask", "dmz -> internet", "--router", "b2"], two),
    ]);
    expect(none).toMatchObject({ exit: 2, stdout: "", codes: ["cli.usage"] });
    expect(name).toMatchObject({ exit: 3, stdout: "", codes: ["intent.no_such"] });
    expect(name.stderr).toContain("There is alice-phone, alice-laptop.");
    expect(service).toMatchObject({ exit: 3, codes: ["intent.no_such"] });
    expect(service.stderr).toContain("There is no service dsn. Did you mean dns?");
    expect(routers).toMatchObject({ exit: 3, codes: ["cli.no_router"] });
    expect(other).toMatchObject({ exit: 3, codes: ["intent.other_router"] });
  });

  test("from a cold start it costs at most fifteen times the processor time of version", () => {
    using place = new Place();
    const folder = site(place, "homelab");
    const cost = (words: readonly string[]): number => {
      const child = Bun.spawnSync([...freshProgram().cli, ...words], { cwd: folder, env: place.environment });
      expect(child.exitCode).toBe(0);
      return Number(child.resourceUsage!.cpuTime.total);
    };
    // The cheapest of each: other work on the machine only ever adds.
    const least = (words: readonly string[]): number => Math.min(...Array.from({ length: 4 }, () => cost(words)));
    expect(least(["ask", "client alice-phone -> 10.0.1.5 tcp/443"])).toBeLessThan(15 * least(["version"]));
  });
});

describe("matrix", () => {
  test("a table, a list of what some means, one object and a picture that say the same", async () => {
    using place = new Place();
    const folder = site(place, "branch");
    const [text, json] = await Promise.all([
      place.run(["matrix", "--svg", "out.svg"], folder),
      place.run(["matrix", "--json"], folder),
    ]);
    expect([text.exit, text.stderr, json.exit]).toEqual([0, "", 0]);
    const lines = text.stdout.split("\n");
    expect(lines[0]).toMatch(/^from \\ to +zone office +zone dmz +network staff +network care +internet +router$/);
    expect(lines.find((line) => line.startsWith("profile travel"))).toMatch(/yes +some +- +- +yes +some$/);
    expect(text.stdout).toMatch(/zone dmz +-> +zone office +v4 +tcp\/53, udp\/53\n/);
    expect(text.stdout).toMatch(/internet +-> +zone dmz +v4 +tcp\/443, udp\/30000-300\d\d/);
    type Cells = { routers: { cells: { from: string; to: string; v4: object; v6: object }[] }[] };
    const { cells } = (json.json() as unknown as Cells).routers[0]!;
    const cell = cells.find((one) => one.from === "zone office" && one.to === "zone dmz")!;
    expect(cell.v4).toEqual({ verdict: "some", kinds: ["ping", "tcp/443", "tcp/8443"], more: false });
    expect(cell.v6).toEqual({ verdict: "absent", kinds: [], more: false });
    const svg = readFileSync(join(folder, "out.svg"), "utf8");
    expect(svg).toStartWith("<svg xmlns=");
    expect(svg.match(/<rect /g)).toHaveLength(cells.length);
    expect(svg).toContain("<title>zone office -&gt; zone dmz: v4: ping, tcp/443, tcp/8443; v6: absent</title>");
    expect(svg.match(/<g>/g)).toHaveLength(svg.match(/<\/g>/g)!.length);
  });

  test("a file that cannot be written is a refusal, and none is left", async () => {
    using place = new Place();
    const folder = site(place, "branch");
    const said = await place.run(["matrix", "--svg", "no/such/out.svg"], folder);
    expect(said).toMatchObject({ exit: 3, stdout: "", codes: ["site.unreadable"] });
    expect(existsSync(join(folder, "no"))).toBe(false);
  });
});

describe("check", () => {
  test("says how many contracts are proven, and lists each", async () => {
    using place = new Place();
    const folder = site(place, "homelab", (text) =>
      text.replace("client alice-phone -> 10.0.1.5 tcp/443", "client old-tablet -> lan"),
    );
    const [text, json] = await Promise.all([place.run(["check"], folder), place.run(["check", "--json"], folder)]);
    expect([text.exit, text.stderr]).toEqual([0, ""]);
    expect(text.stdout).toContain("r1: 21 contracts proven for all packets\n");
    expect(text.stdout).toContain("r1: idle: allow: client old-tablet -> lan: client old-tablet is not active on r1\n");
    expect(text.stdout).toEndWith("Good: 1 router, 12 clients, 22 contracts.\n");
    const { routers } = json.json() as { routers: { contracts: { id: string; state: string }[] }[] };
    expect(routers[0]!.contracts).toHaveLength(22);
    expect(routers[0]!.contracts[0]).toMatchObject({ id: "deny-lab-lan", state: "holds", text: "deny: lab -> lan" });
  });

  test("--coverage lists what no contract and no invariant depends on, with lines, and all of it in its object", async () => {
    using place = new Place();
    const folder = site(place, "homelab", contracts("allow: lan -> lab", "deny: lab -> lan"));
    const [text, json] = await Promise.all([
      place.run(["check", "--coverage"], folder),
      place.run(["check", "--coverage", "--json"], folder),
    ]);
    expect([text.exit, text.stderr, json.exit]).toEqual([0, "", 0]);
    type Cover = { readonly chain: string; readonly text: string; readonly origin: string } & Record<
      "contracts" | "invariants",
      readonly string[]
    >;
    const { routers } = json.json() as { routers: { coverage: { rules: readonly Cover[]; elements: object[] } }[] };
    const { rules, elements } = routers[0]!.coverage;
    const open = rules.filter((one) => one.contracts.length + one.invariants.length === 0);
    expect(text.stdout).toContain(
      `r1: ${rules.length - open.length} of ${rules.length} rules are held by a contract or invariant, and `,
    );
    expect(text.stdout).toContain(`of ${elements.length} elements of sets and maps.\n`);
    const lan = rules.find((one) => one.chain === "z_o_lan" && one.text.includes('"lab0"'))!;
    expect(lan.contracts).toEqual(["allow-lan-lab"]);
    const line = lineOf(folder, "- id: lab-split");
    expect(text.stdout).toContain(
      `  chain p_o_lab_split
    0  oifname "lab0" ip daddr @s_net4_lab goto c_stamp  profile lab-split, intent.yaml:${line}:5 profiles[5]
`,
    );
    expect(text.stdout).toMatch(/\n {2}chain z_r_home: \d+ \(answers in flows of an older policy/);
    expect(text.stdout).toMatch(
      /\n {4}10\.100\.120\.5 : goto p_o_friends +client carol-tv, inventory\.yaml:\d+:5 clients/,
    );
    expect(text.stdout).toEndWith("Good: 1 router, 12 clients, 2 contracts.\n");
  });

  test("shows each broken one with its packet, way, rule and lines: contract.violated, contract.undecided", async () => {
    using place = new Place();
    const folder = site(place, "homelab", (text) =>
      text.replace("  - deny: lab -> lan\n", "  - deny: lan -> lab\n  - deny: router -> router\n"),
    );
    const said = await place.run(["check"], folder);
    expect(said).toMatchObject({ exit: 3, stdout: "", codes: ["contract.violated", "contract.undecided"] });
    const line = lineOf(folder, "- deny: lan -> lab");
    expect(
      said.stderr,
    ).toStartWith(`error: contract.violated at intent.yaml:${line}:5 contracts[0]: deny: lan -> lab: but tcp 10.0.0.10:40000 -> 10.0.30.10:443 is accepted
  way: lan (lan0) > b_prerouting_raw > b_prerouting > b_dstnat > b_mss > b_forward > z_o_lan > c_stamp > b_srcnat > b_postrouting > lab (lab0)
  decided by chain z_o_lan, rule 0: oifname "lab0" ip daddr @s_net4_lab goto c_stamp [10.0.30.0/24] (policy lan-lab, intent.yaml:${lineOf(folder, "- id: lan-lab")}:5 policies[1])
  mended by intent.yaml:${lineOf(folder, "- id: lan-lab")}:5 policies[1]: remove lan-lab; then broken: allow: lan -> lab.
error: contract.undecided at intent.yaml:${line + 1}:5 contracts[1]: deny: router -> router cannot be decided: `);
  });
});
