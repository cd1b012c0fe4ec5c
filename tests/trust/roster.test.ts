/** Rosters, the view that they make with a root, and the key reports of the routers in them. */
import { describe, expect, test } from "bun:test";
import { operatorOf } from "../../agent/core/operators.ts";
import { acceptRoster, extendTrust, openKeyReport, rosterRouter } from "../../agent/core/trust.ts";
import { limits } from "../../schemas/limits.ts";
import type { KeyReport, Roster } from "../../schemas/trust.ts";
import { bytes } from "../wire/bytes.ts";
import {
  accepted,
  after,
  box,
  codeOf,
  crypto,
  directive,
  keyReport,
  keysOf,
  laneKey,
  networkId,
  operator,
  root1,
  roster1,
  rosterUnder,
  routerEntry,
  routerId,
  signed,
  signer,
  soloRoot,
  view,
  ZEROS,
} from "./documents.ts";

const next = (change: Partial<Roster>, ...signers: string[]): string =>
  codeOf(
    acceptRoster(
      crypto,
      root1,
      roster1,
      signed("roster", after(roster1, change), ...(signers.length > 0 ? signers : ["ada-admin"])).envelope,
    ),
  );
const first = (change: Partial<Roster>): string =>
  codeOf(acceptRoster(crypto, root1, null, signed("roster", rosterUnder(root1, change), "ada-admin").envelope));

describe("the chain of rosters", () => {
  test("takes the next version by the admins, and nothing else", () => {
    expect(next({})).toBe("");
    expect(next({ version: 3 })).toBe("trust.chain");
    expect(next({ version: 1 })).toBe("trust.chain");
    expect(next({ prev_digest: ZEROS })).toBe("trust.chain");
    expect(next({ network_id: bytes(16, 9) })).toBe("trust.network");
    expect(next({ root_digest: ZEROS })).toBe("trust.view");
  });

  test("is signed by admins, not by root, operator or recovery keys", () => {
    for (const name of ["ada-root", "ada", "ada-recovery", "mallory"])
      expect(next({}, name)).toBe("trust.signer_unknown");
    expect(next({}, "ada-admin", "ada")).toBe("trust.signer_unknown");
  });

  test("needs the threshold in people", () => {
    const keys = [
      ...keysOf("root", "a", "b"),
      ...keysOf("admin", "x-admin", "x-admin2", "y-admin"),
      ...keysOf("recovery", "r"),
    ];
    const root = signed("root", { ...soloRoot, keys, root_threshold: 2, admin_threshold: 2, solo: false }, "a", "b");
    const by = (...names: string[]): string =>
      codeOf(acceptRoster(crypto, root, null, signed("roster", rosterUnder(root), ...names).envelope));
    expect(by("x-admin")).toBe("trust.threshold");
    expect(by("x-admin", "x-admin2")).toBe("trust.threshold");
    expect(by("x-admin2", "y-admin")).toBe("");
  });

  test("a first one may have any number, with a past if it is not 1", () => {
    expect(first({})).toBe("");
    expect(first({ version: 7 })).toBe("trust.chain");
    expect(first({ version: 7, prev_digest: bytes(32, 1) })).toBe("");
    expect(first({ prev_digest: bytes(32, 1) })).toBe("trust.chain");
  });
});

describe("the rules of a roster", () => {
  const ada = operator("ada");
  const r1 = routerEntry("router");
  const twin = { router_id: bytes(16, 200), id: "r2" };
  const cases: Readonly<Record<string, readonly [Partial<Roster>, string]>> = {
    "a sign key of small order": [{ operators: [operator("ada", { sign_key: ZEROS })] }, "trust.key_inadmissible"],
    "a seal key of small order": [{ operators: [operator("ada", { seal_key: ZEROS })] }, "trust.key_inadmissible"],
    "a lane key of small order": [
      { operators: [operator("ada", { lane_key: `${"A".repeat(43)}=` })] },
      "trust.key_inadmissible",
    ],
    "a router's key of small order": [
      { routers: [routerEntry("router", { seal_key: ZEROS })] },
      "trust.key_inadmissible",
    ],
    "a root key as operator": [
      { operators: [operator("ada", { sign_key: signer("ada-root").publicKey })] },
      "trust.key_reused",
    ],
    "the recovery key as operator": [
      { operators: [operator("ada", { sign_key: signer("ada-recovery").publicKey })] },
      "trust.key_reused",
    ],
    "the escrow key as seal key": [
      { operators: [operator("ada", { seal_key: box("escrow").publicKey })] },
      "trust.key_reused",
    ],
    "two operators with one key": [
      { operators: [ada, operator("bob", { sign_key: ada.sign_key })] },
      "trust.key_reused",
    ],
    "two operators with one lane key": [
      { operators: [ada, operator("bob", { lane_key: ada.lane_key })] },
      "trust.key_reused",
    ],
    "an operator's key as router": [
      { routers: [routerEntry("router", { sign_key: ada.sign_key })] },
      "trust.key_reused",
    ],
    "one incarnation twice": [{ routers: [r1, routerEntry("router2", { status: "superseded" })] }, "trust.repeated"],
    "two active units of one name": [
      { routers: [r1, routerEntry("router2", { router_id: twin.router_id })] },
      "trust.repeated",
    ],
    "one used token twice": [{ consumed_tokens: [bytes(16, 70), bytes(16, 70)] }, "trust.repeated"],
    "an active unit with a later incarnation": [
      { routers: [r1, routerEntry("router2", { incarnation: 2, status: "stolen" })] },
      "trust.decreases",
    ],
    "nobody left": [{ operators: [operator("ada", { status: "revoked" })] }, "trust.no_operator"],
    "no operator at all": [{ operators: [] }, "trust.no_operator"],
  };
  for (const [name, [change, code]] of Object.entries(cases)) {
    test(`${name}: ${code}`, () => expect(first(change)).toBe(code));
  }

  test("a replaced unit, and a second router, are taken", () => {
    const routers = [
      routerEntry("router", { status: "superseded" }),
      routerEntry("router2", { incarnation: 2, generation_floor: 40n }),
      routerEntry("router3", twin),
    ];
    expect(first({ routers })).toBe("");
  });
});

describe("from one roster to the next", () => {
  const cases: Readonly<Record<string, readonly [Partial<Roster>, string]>> = {
    "a unit vanishes": [{ routers: [] }, "trust.decreases"],
    "a floor goes down": [{ routers: [routerEntry("router", { generation_floor: 9n })] }, "trust.decreases"],
    "a token is forgotten": [{ consumed_tokens: [] }, "trust.decreases"],
    "a stolen unit returns": [
      {
        routers: [
          routerEntry("router", { generation_floor: 10n }),
          routerEntry("old", { ...{ id: "r2", router_id: bytes(16, 90) } }),
        ],
      },
      "trust.decreases",
    ],
    "a unit gets another sign key": [
      { routers: [routerEntry("router", { generation_floor: 10n, sign_key: signer("other").publicKey })] },
      "trust.router_changed",
    ],
    "a unit gets another seal key": [
      { routers: [routerEntry("router", { generation_floor: 10n, seal_key: box("other").publicKey })] },
      "trust.router_changed",
    ],
    "a unit gets another name": [
      { routers: [routerEntry("router", { generation_floor: 10n, id: "r9" })] },
      "trust.router_changed",
    ],
    "an operator is revoked and a token added": [
      { operators: [operator("ada")], consumed_tokens: [bytes(16, 70), bytes(16, 71)] },
      "",
    ],
  };
  const stolen = routerEntry("old", { id: "r2", router_id: bytes(16, 90), status: "stolen" });
  const before = accepted(
    acceptRoster(
      crypto,
      root1,
      null,
      signed(
        "roster",
        rosterUnder(root1, { routers: [routerEntry("router", { generation_floor: 10n }), stolen] }),
        "ada-admin",
      ).envelope,
    ),
  );
  for (const [name, [change, code]] of Object.entries(cases)) {
    const routers = change.routers?.some((one) => one.id === "r2")
      ? change.routers
      : [...(change.routers ?? before.message.routers.slice(0, 1)), stolen];
    const kept = change.routers?.length === 0 ? [stolen] : routers;
    test(`${name}: ${code || "taken"}`, () => {
      const bytes = signed("roster", after(before, { ...change, routers: kept }), "ada-admin").envelope;
      expect(codeOf(acceptRoster(crypto, root1, before, bytes))).toBe(code);
    });
  }
});

describe("extending what is held", () => {
  const root2 = signed("root", after(root1), "ada-root");
  const root3 = signed("root", after(root2), "ada-root");
  const roster2 = signed("roster", after(roster1), "ada-admin");
  const rosterOfRoot2 = signed("roster", after(roster1, { root_digest: root2.digest }), "ada-admin");
  const rosterOfRoot3 = signed("roster", after(rosterOfRoot2, { root_digest: root3.digest }), "ada-admin");
  const extend = (held: Parameters<typeof extendTrust>[1], ...updates: { readonly envelope: Uint8Array }[]): string => {
    const result = extendTrust(
      crypto,
      held,
      updates.map((one) => one.envelope),
    );
    if (!result.ok) return result.problems[0]!.code;
    return `${result.value.root.message.version}.${result.value.roster.message.version}`;
  };

  test("nothing new is the view that is held", () => expect(extend(view)).toBe("1.1"));

  test("each document extends its chain, whatever the order between the kinds", () => {
    expect(extend(view, roster2)).toBe("1.2");
    expect(extend(view, root2, rosterOfRoot2)).toBe("2.2");
    expect(extend(view, root2, rosterOfRoot2, root3, rosterOfRoot3)).toBe("3.3");
    expect(extend(view, root2, root3, rosterOfRoot2, rosterOfRoot3)).toBe("3.3");
  });

  test("the past may be sent again, if it is the past of what is held", () => {
    const held = { root: root3, roster: rosterOfRoot3 };
    expect(extend(held, root1, root2, root3, roster1, rosterOfRoot2, rosterOfRoot3)).toBe("3.3");
    expect(extend(held, root2, root3)).toBe("3.3");
    expect(extend({ root: root2, roster: rosterOfRoot2 }, root1, root2, root3, rosterOfRoot2, rosterOfRoot3)).toBe(
      "3.3",
    );
  });

  test("a forged past is refused, not skipped", () => {
    const held = { root: root3, roster: rosterOfRoot3 };
    const other = signed("root", { ...soloRoot, network: "elsewhere" }, "ada-root");
    expect(extend(held, other, root2, root3)).toBe("trust.chain");
    expect(extend(held, root1, root3)).toBe("trust.chain");
    expect(extend(held, roster2)).toBe("trust.chain");
  });

  test("gaps, forks and a root without its roster are refused", () => {
    expect(extend(view, root3, rosterOfRoot3)).toBe("trust.chain");
    expect(extend(view, root2)).toBe("trust.view");
    expect(extend(view, rosterOfRoot2)).toBe("trust.view");
    expect(extend(view, root2, roster2)).toBe("trust.view");
    expect(extend(view, roster2, signed("roster", after(roster1, { issued_at: 5n }), "ada-admin"))).toBe("trust.chain");
  });

  test("a new router starts from its pinned root alone", () => {
    expect(extend({ root: root1, roster: null })).toBe("trust.view");
    expect(extend({ root: root1, roster: null }, roster2)).toBe("1.2");
    expect(extend({ root: root1, roster: null }, root2, root3, rosterOfRoot3)).toBe("3.3");
  });

  test("only roots and rosters, and not too many", () => {
    expect(extend(view, signed("directive", directive(), "ada"))).toBe("trust.wrong_kind");
    expect(extend(view, { envelope: bytes(9, 9) })).toBe("trust.wrong_kind");
    expect(extend(view, ...Array.from({ length: limits.trustUpdates + 1 }, () => roster2))).toBe("wire.limit");
  });

  test("a damaged one is refused as what it is", () => {
    for (const good of [root2, roster2]) {
      const damaged = new Uint8Array(good.envelope);
      damaged[damaged.length - 1] = damaged[damaged.length - 1]! ^ 1;
      expect(extend(view, { envelope: damaged })).toBe("trust.bad_signature");
    }
  });
});

describe("who is who", () => {
  test("operators are the active ones", () => {
    expect(operatorOf(view, signer("ada").publicKey)?.holder).toBe("ada");
    expect(operatorOf(view, signer("eve").publicKey)).toBeUndefined();
    expect(operatorOf(view, signer("ada-admin").publicKey)).toBeUndefined();
  });

  test("a router is its latest incarnation", () => {
    const routers = [routerEntry("two", { incarnation: 2 }), routerEntry("one", { status: "stolen" })];
    const roster = signed("roster", rosterUnder(root1, { routers }), "ada-admin");
    expect(rosterRouter({ root: root1, roster }, routerId)?.incarnation).toBe(2);
    expect(rosterRouter(view, bytes(16, 0))).toBeUndefined();
  });
});

describe("key reports", () => {
  const router = routerEntry("router");
  const report = (change: Partial<KeyReport>, ...signers: string[]): string => {
    const made = signed(
      "key-report",
      { ...keyReport.message, ...change },
      ...(signers.length > 0 ? signers : ["router"]),
    );
    return codeOf(openKeyReport(crypto, router, networkId, made.envelope));
  };

  test("are taken from this router alone", () => {
    expect(report({})).toBe("");
    expect(report({}, "ada")).toBe("trust.signer_unknown");
    expect(report({}, "router", "ada")).toBe("trust.one_signer");
    expect(report({ network_id: bytes(16, 9) })).toBe("trust.network");
    expect(report({ router_id: bytes(16, 9) })).toBe("trust.router");
    expect(report({ incarnation: 2 })).toBe("trust.incarnation");
    expect(codeOf(openKeyReport(crypto, router, networkId, roster1.envelope))).toBe("trust.wrong_kind");
  });

  test("name each network and each key once", () => {
    const home = { network: "home", public_key: laneKey("home") };
    expect(report({ keys: [home, home] })).toBe("trust.repeated");
    expect(report({ keys: [home, { ...home, network: "guest" }] })).toBe("trust.repeated");
    expect(report({ keys: [home, { ...home, public_key: laneKey("two") }] })).toBe("trust.repeated");
  });
});
