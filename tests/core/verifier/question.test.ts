/** Answers: witnesses that people believe, walks that lead to them, boxes, and questions without end. */
import { describe, expect, test } from "bun:test";
import { ask } from "../../../agent/core/verifier/model.ts";
import type { Answer, Question } from "../../../agent/core/verifier/question.ts";
import { readStory } from "../../golden/golden.ts";
import { homelab } from "../invariant-subjects.ts";
import { modelOf } from "./cross.ts";
import { ACROSS, answerOf, desiredWith } from "./tables.ts";

const story = readStory("04_grants");
const model = modelOf(story.desired);

function answer(question: Question): Answer {
  const found = ask(model, question);
  if (!found.ok) throw new Error(JSON.stringify(found.problems));
  return found.value;
}

const elementsOf = (name: string): readonly string[] =>
  story.desired.nft.sets.find((set) => set.name === name)!.elements;

describe("witnesses", () => {
  test("a grant is answered with its element, its chains in order, and where it leaves", () => {
    const element = elementsOf("s_grant_wide4").find((text) => text.includes(" . udp . "))!;
    const [source, target, , port] = element.split(" . ") as [string, string, string, string];
    expect([source, target, port]).toEqual(["10.100.0.2", "10.1.0.0/28", "2049"]);
    const { verdict, accepted } = answer({
      region: {
        way: "arriving",
        family: 4,
        flow: "first",
        iif: ["hf-home"],
        source: { in: [source] },
        target: { in: [target] },
        protocol: [17],
        dport: [[2049, 2049]],
        targetLocal: false,
      },
    });
    expect(verdict).toBe("accepted");
    expect(accepted).toMatchObject({ egress: "lan0", headers: { source, dport: 2049 } });
    expect(accepted?.decided).toMatchObject({ hook: "forward", chain: "z_o_home", element });
    expect(accepted?.chains.slice(-5)).toEqual(["b_forward", "z_o_home", "c_stamp", "b_srcnat", "b_postrouting"]);
    expect(accepted?.walk.map((step) => step.verdict)).toContain("goto c_stamp");
  });

  test("packets are such as people know: declared hosts, known ports, never all zeros", () => {
    const { accepted, dropped } = answer({ region: { way: "arriving", flow: "first", iif: ["hf-home"] } });
    const clients = story.desired.links.flatMap((link) => link.peers.flatMap((peer) => peer.allowedIps));
    for (const witness of [accepted!, dropped!]) {
      expect(clients.map((text) => text.replace(/\/\d+$/, ""))).toContain(witness.packet.source);
      expect(witness.packet.target).not.toMatch(/^(0\.0\.0\.0|::)$/);
      expect(witness.packet.state).toBe("new");
      expect(witness.packet.hopLimit).toBe(0);
    }
    expect(dropped?.decided.text).toContain("drop");
  });

  test("nobody else's source comes out of a tunnel, and a question may be about nobody", () => {
    expect(answer({ region: { way: "arriving", iif: ["hf-home"], source: { in: ["198.51.100.1"] } } }).verdict).toBe(
      "none",
    );
    expect(answer({ region: { way: "arriving", family: 6, source: { in: ["10.0.0.1"] } } }).verdict).toBe("none");
    expect(answer({ region: { way: "arriving", state: ["new"], direction: "reply" } }).verdict).toBe("none");
  });

  test("the router and what lies behind it are asked apart", () => {
    const region = {
      way: "arriving",
      flow: "first",
      iif: ["lan0"],
      source: { in: ["10.1.0.7"] },
      protocol: [6],
    } as const;
    expect(answer({ region, want: "router" }).accepted?.egress).toBe("router");
    expect(answer({ region, want: "onward" }).accepted?.egress ?? "none").not.toBe("router");
  });

  test("the verdict alone is the same verdict", () => {
    const regions = [
      { iif: ["lan0"] },
      { iif: ["wan0"], protocol: [6] },
      { iif: ["hf-home"], target: { in: ["10.1.0.5"] } },
    ];
    for (const one of regions) {
      const region = { way: "arriving", flow: "first", ...one } as const;
      const bare = answer({ region, witnesses: "none" });
      expect(bare).toMatchObject({ verdict: answer({ region }).verdict, accepted: null, dropped: null });
    }
  });
});

describe("boxes", () => {
  const site = desiredWith({ forward: ["tcp dport { 22, 80-90, 443 } accept", "udp dport 53 accept"] });
  const region = { ...ACROSS, protocol: [6, 17] } as const;

  test("are products of values as text", () => {
    const { boxes, more } = answerOf(site, { ...region, dport: [[1, 65535]] });
    expect(more).toBe(false);
    const found = boxes.map(({ fields: { protocol, dport } }) => `${protocol}: ${dport?.join(" ")}`);
    expect([...new Set(found)]).toEqual(["6: 22 80-90 443", "17: 53"]);
    expect(boxes[0]).toMatchObject({
      family: 4,
      fields: { iif: ["lan0"], source: ["10.1.0.5"], target: ["10.2.0.7"] },
    });
  });

  test("are cut off where the question says, and that is said", () => {
    const opened = modelOf(site);
    const found = ask(opened, { region: { way: "arriving", ...region, dport: [[1, 65535]] }, boxesMax: 1 });
    expect(found).toMatchObject({ ok: true, value: { more: true } });
    expect(found.ok && found.value.boxes.length).toBe(1);
  });
});

test("hundreds of addresses that nothing mentions, one after the other in one gap", () => {
  const site = desiredWith({ forward: ["ip6 daddr fd00:2::/64 tcp dport 443 accept"] });
  const opened = modelOf(site);
  for (let i = 0; i < 300; i += 1) {
    const host = (0x1000 + i).toString(16);
    const found = ask(opened, {
      region: {
        way: "arriving",
        flow: "first",
        iif: ["lan0"],
        source: { in: ["fd00:1::5"] },
        target: { in: [`${i % 2 === 0 ? "fd00:2::" : "fd00:1:0:1::"}${host}`] },
        protocol: [6],
        dport: [[443, 443]],
      },
      witnesses: "none",
    });
    expect(found.ok && found.value.verdict).toBe(i % 2 === 0 ? "accepted" : "dropped");
  }
});

test("the homelab's own promises, over all packets", () => {
  const { desired } = homelab;
  const opened = modelOf(desired);
  const verdict = (question: Question): string => {
    const found = ask(opened, question);
    return found.ok ? found.value.verdict : JSON.stringify(found.problems);
  };
  const uplink = desired.routes.find((route) => route.to === "0.0.0.0/0")?.interface ?? "wan0";
  const tunnels = desired.links.map((link) => link.name);
  // From outside, nothing new passes on that our port-forwards did not translate; by whatever route.
  const outside = { way: "arriving", iif: [uplink], flow: "first" } as const;
  const forwards = desired.nft.sets.find((set) => set.name === "m_pf4")!.elements.map((text) => text.split(" . ")[0]!);
  expect(verdict({ region: { ...outside, target: { not: forwards } }, routes: "any", want: "onward" })).toBe("dropped");
  // Clients do not reach clients.
  expect(verdict({ region: { way: "arriving", iif: tunnels, oif: tunnels, state: ["new"] }, routes: "any" })).toBe(
    "dropped",
  );
  // The rescue lane answers on every interface that has a way to the router, whatever conntrack would have said.
  const rescue = desired.lanes.find((lane) => lane.name === "rescue")!;
  const knock = {
    way: "arriving",
    iif: [uplink, "never-seen0"],
    targetLocal: true,
    protocol: [17],
    dport: [[rescue.port, rescue.port]],
  } as const;
  expect(
    verdict({
      region: {
        ...knock,
        target: { in: desired.addresses.map(({ cidr }) => cidr.split("/")[0]!) },
        sourceLocal: false,
        // Conntrack may believe of any packet what it likes, but nothing translates a lane.
        dnat: false,
        snat: false,
      },
    }),
  ).toBe("accepted");
});
