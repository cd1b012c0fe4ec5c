/** One text per state, and the read-back that names every difference. */
import { describe, expect, test } from "bun:test";
import { normalDesired, normalObserved, observedDigest, scopeOf } from "../../agent/core/normal.ts";
import type { Observed } from "../../agent/core/observed.ts";
import { planChange } from "../../agent/core/plan.ts";
import { NO_SURPLUS, readBack, surplusOf } from "../../agent/core/read-back.ts";
import { clients, keyOf, observedOf, peer, sampleDesired } from "./desireds.ts";

const listing = (epoch: number, more = ""): string =>
  `table inet holdfast {\n\tchain b_in {\n\t\tct mark & 0xffff0000 == 0x000${epoch}0000 accept\n${more}\t}\n}\n`;

const desired = sampleDesired(clients(3));
const seen = observedOf(desired, listing(1));
const [office, rescue] = seen.links;
const scope = scopeOf(desired);

describe("the normal form", () => {
  test("of a kernel that holds a generation is that of the generation", () => {
    expect(normalObserved(seen, scope, 1)).toBe(normalDesired(desired, listing(1), 1));
  });

  test("does not know epochs, handshakes, endpoints and counters", () => {
    const peers = office!.peers.map((one) => ({ ...one, endpoint: "", handshakeUnixS: 99, rxBytes: 1, txBytes: 1 }));
    const later: Observed = { ...seen, links: [{ ...office!, peers }, rescue!], nft: listing(2), nftGeneration: 77 };
    expect(observedDigest(later, scope, 2)).toEqual(observedDigest(seen, scope, 1));
    expect(observedDigest(later, scope, 1)).not.toEqual(observedDigest(seen, scope, 1));
  });

  test("knows everything else", () => {
    const digest = observedDigest(seen, scope, 1);
    const changed: Observed[] = [
      { ...seen, links: [office!] },
      { ...seen, links: [{ ...office!, up: false }, rescue!] },
      { ...seen, links: [{ ...office!, mtu: 1400 }, rescue!] },
      { ...seen, links: [{ ...office!, port: 1 }, rescue!] },
      { ...seen, links: [{ ...office!, fwmark: 1 }, rescue!] },
      { ...seen, links: [{ ...office!, publicKey: keyOf("x") }, rescue!] },
      { ...seen, links: [{ ...office!, peers: office!.peers.slice(1) }, rescue!] },
      {
        ...seen,
        links: [{ ...office!, peers: [{ ...office!.peers[0]!, psk: "aa" }, ...office!.peers.slice(1)] }, rescue!],
      },
      { ...seen, addresses: [...seen.addresses, { interface: "hf-office", cidr: "10.9.9.9/32" }] },
      { ...seen, routes: seen.routes.slice(1) },
      { ...seen, rules: [] },
      { ...seen, sysctls: [{ key: "net.ipv4.ip_forward", value: "0" }, seen.sysctls[1]!] },
      { ...seen, nft: listing(1, "\t\tdrop\n") },
    ];
    for (const state of changed) expect(observedDigest(state, scope, 1)).not.toEqual(digest);
  });

  test("leaves the addresses of others on the interfaces of others alone", () => {
    const shared = sampleDesired(clients(1), {
      addresses: [...desired.addresses, { interface: "lan0", cidr: "10.7.0.1/24" }],
    });
    const state = observedOf(shared, listing(1));
    const foreign = [
      { interface: "lan0", cidr: "192.168.1.1/24" },
      { interface: "hf-office", cidr: "fe80::1/64" },
    ];
    const more = { ...state, addresses: [...state.addresses, ...foreign] };
    expect(observedDigest(more, scopeOf(shared), 1)).toEqual(observedDigest(state, scopeOf(shared), 1));
    expect(readBack(shared, NO_SURPLUS, more, listing(1))).toEqual([]);
  });
});

describe("the read-back", () => {
  const details = (state: Observed, text = listing(1)): readonly string[] =>
    readBack(desired, NO_SURPLUS, state, text).map((one) => `${one.path}: ${one.detail}`);

  test("finds nothing when nothing differs", () => {
    expect(details(seen)).toEqual([]);
  });

  test("names what is wrong with a device and its peers", () => {
    const [a, b, ...rest] = office!.peers;
    const links = [{ ...office!, port: 9, publicKey: "", peers: [{ ...a!, psk: "ff", allowedIps: [] }, ...rest] }];
    expect(details({ ...seen, links })).toEqual([
      `link hf-office: port is 9, not 51820; public key is none, not ${office!.publicKey}`,
      "link hf-rescue: is missing",
      `peer hf-office ${a!.publicKey}: preshared key is ff, not none; allowed addresses is none, not ${a!.allowedIps[0]}`,
      `peer hf-office ${b!.publicKey}: is missing`,
      `peer hf-rescue ${rescue!.peers[0]!.publicKey}: is missing`,
    ]);
  });

  test("names addresses, routes, rules and sysctls", () => {
    const state: Observed = {
      ...seen,
      addresses: [seen.addresses[1]!, { interface: "hf-office", cidr: "10.9.9.9/32" }],
      routes: [{ ...seen.routes[0]!, via: "192.0.2.9" }, seen.routes[1]!],
      rules: [{ ...seen.rules[0]!, table: 9 }],
      sysctls: [{ key: "net.ipv4.ip_forward", value: "0" }],
    };
    expect(details(state)).toEqual([
      "sysctl net.ipv4.ip_forward: value is 0, not 1",
      "sysctl net.ipv4.ping_group_range: is missing",
      "address hf-office 10.9.9.9/32: must not be there",
      "address hf-office 10.100.0.1/16: is missing",
      "route 4 0.0.0.0/0 100 0: route is 4 0.0.0.0/0 192.0.2.9 wan0 100 0, not 4 0.0.0.0/0 192.0.2.1 wan0 100 0",
      "rule 4 1000 192.0.2.2/32 - 9: must not be there",
      "rule 4 1000 192.0.2.2/32 - 100: is missing",
    ]);
  });

  test("shows the first fact in which the ruleset differs, epoch included", () => {
    expect(details({ ...seen, nft: "" })).toEqual(["nft table inet holdfast: is missing"]);
    expect(details({ ...seen, nft: listing(1, "\t\tdrop\n") })).toEqual([
      'nft table inet holdfast: has "chain b_in\\t0001\\tdrop", which is not in the artifact',
    ]);
    expect(details(seen, listing(2))[0]).toContain("0x00010000");
  });

  test("forgives the listed surplus of a trial, and only that", () => {
    const next = sampleDesired(clients(2), {
      routes: [desired.routes[1]!],
      links: [sampleDesired(clients(2)).links[0]!],
    });
    const planned = planChange({ lkg: desired, next, observed: seen, lkgEpoch: 1, expectedLkgListing: listing(1) });
    if (!planned.ok) throw new Error("refused");
    const surplus = surplusOf(planned.value);
    const both = scopeOf(desired, next);
    const during: Observed = { ...seen, nft: listing(2) };
    expect(readBack(next, surplus, during, listing(2), both)).toEqual([]);
    expect(readBack(next, NO_SURPLUS, during, listing(2), both).map((one) => one.path)).toEqual([
      "link hf-rescue",
      `peer hf-office ${peer(3).publicKey}`,
      "route 4 0.0.0.0/0 100 0",
    ]);
    const intruder = { ...office!.peers[0]!, publicKey: keyOf("intruder") };
    const more = { ...during, links: [{ ...office!, peers: [...office!.peers, intruder] }, rescue!] };
    expect(readBack(next, surplus, more, listing(2), both).map((one) => one.path)).toEqual([
      `peer hf-office ${intruder.publicKey}`,
    ]);
  });
});
