/**
 * Packets for a site: mostly what people and their machines would send, at the edges of what the site allows, and a
 * good part of what nobody should. The pools come from intent, inventory and what is on the router.
 */

import { ACK, ANY, type Ends, FIN, ICMP, ICMP6, RST, type Shot, SYN, TCP, UDP } from "../../client/replay/wire.ts";
import { type Family, formatIp, type Ip } from "../../schemas/ip.ts";
import type { Random } from "../campaigns/campaign.ts";
import type { Conntrack, Flow } from "./conntrack.ts";
import { chance, oneOf } from "./pick.ts";
import { ip, type Pools, STRANGERS } from "./pools.ts";
import type { Routes } from "./routes.ts";

type Draft = Partial<Shot> & Pick<Shot, "iif" | "source" | "target" | "protocol">;

function shotOf(number: number, draft: Draft): Shot {
  return {
    number,
    family: draft.source.family,
    sport: 0,
    dport: 0,
    type: 0,
    code: 0,
    id: 0,
    flags: draft.protocol === TCP ? SYN : 0,
    mss: 0,
    hops: 64,
    about: undefined,
    parts: "whole",
    ...draft,
  };
}

const sameFamily = (list: readonly Ip[], family: Family): readonly Ip[] => list.filter((one) => one.family === family);

export class Gun {
  readonly #random: Random;
  readonly #pools: Pools;
  readonly #flows: Conntrack;
  readonly #routes: Routes;
  #number = 0;

  constructor(random: Random, pools: Pools, flows: Conntrack, routes: Routes) {
    this.#random = random;
    this.#pools = pools;
    this.#flows = flows;
    this.#routes = routes;
  }

  /** The next packet; undefined when the dice asked for something that this site does not have. */
  next(): Shot | undefined {
    this.#number += 1;
    const dice = this.#random(100);
    if (dice < 30) return this.#flowStep();
    if (dice < 36) return this.#error();
    if (dice < 43) return this.#ownWord();
    if (dice < 49) return this.#forwarded();
    if (dice < 55) return this.#neighbour();
    if (dice < 57) return this.#lease();
    return this.#fresh();
  }

  #sport(): number {
    if (chance(this.#random, 5, 6)) return 1024 + ((this.#number * 37 + this.#random(7)) % 64_000);
    return oneOf(this.#random, [...this.#pools.udp, ...this.#pools.tcp]);
  }

  /** A first packet, from where it may be or from elsewhere, to anywhere. */
  #fresh(): Shot | undefined {
    const random = this.#random;
    const pools = this.#pools;
    const iif = oneOf(random, pools.interfaces);
    const honest = pools.behind.get(iif) ?? pools.hosts;
    const anyone = [...pools.hosts, ...pools.strangers, ...pools.odd, ...pools.own];
    const source = oneOf(random, honest.length > 0 && chance(random, 5, 6) ? honest : anyone);
    const dice = random(100);
    const wide = dice < 30 ? pools.own : dice < 70 ? pools.hosts : dice < 90 ? pools.strangers : pools.odd;
    const targets = sameFamily(wide, source.family);
    if (targets.length === 0) return undefined;
    return this.#aimed(iif, source, oneOf(random, targets));
  }

  #aimed(iif: string, source: Ip, target: Ip): Shot {
    const random = this.#random;
    const dice = random(100);
    const parts = chance(random, 1, 12) ? "two" : chance(random, 1, 40) ? "first" : "whole";
    const hops = chance(random, 1, 50) ? 1 : 64;
    const base = { iif, source, target, parts, hops } as const;
    if (dice < 45) {
      const flags = chance(random, 5, 6) ? SYN : oneOf(random, [ACK, SYN | ACK, RST, FIN | ACK, 0, SYN | FIN, FIN]);
      const mss = flags === SYN ? oneOf(random, [0, 1460, 1460, 1300, 1200]) : 0;
      const dport = oneOf(random, this.#pools.tcp);
      return shotOf(this.#number, { ...base, protocol: TCP, flags, mss, sport: this.#sport(), dport });
    }
    if (dice < 80) {
      return shotOf(this.#number, {
        ...base,
        protocol: UDP,
        sport: this.#sport(),
        dport: oneOf(random, this.#pools.udp),
      });
    }
    if (dice < 97) {
      const four = source.family === 4;
      const type = chance(random, 4, 5) ? (four ? 8 : 128) : oneOf(random, four ? [0, 13, 17, 30] : [129, 139, 200]);
      return shotOf(this.#number, { ...base, protocol: four ? ICMP : ICMP6, type, id: this.#number & 0xffff });
    }
    return shotOf(this.#number, { ...base, parts: "whole", protocol: ANY });
  }

  /** A packet to a port that is forwarded, or next to one. */
  #forwarded(): Shot | undefined {
    const { forwards, uplinks, interfaces } = this.#pools;
    if (forwards.length === 0 || uplinks.length === 0) return undefined;
    const { address, protocol, port } = oneOf(this.#random, forwards);
    const iif = chance(this.#random, 5, 6) ? oneOf(this.#random, uplinks) : oneOf(this.#random, interfaces);
    const source = oneOf(
      this.#random,
      sameFamily(this.#pools.behind.get(iif) ?? STRANGERS, 4).length > 0
        ? sameFamily(this.#pools.behind.get(iif) ?? STRANGERS, 4)
        : sameFamily(STRANGERS, 4),
    );
    const draft = { iif, source, target: address, protocol, sport: this.#sport(), dport: port };
    return shotOf(this.#number, draft);
  }

  /** IPv6's own housekeeping, right and wrong. */
  #neighbour(): Shot {
    const random = this.#random;
    const { interfaces, own, hosts } = this.#pools;
    const iif = oneOf(random, interfaces);
    const sources = [
      ip("fe80::5"),
      ip("fe80::5"),
      ip("::"),
      ...sameFamily([...(this.#pools.behind.get(iif) ?? []), ...hosts], 6),
    ];
    const near = this.#routes.own.filter((one) => one.interface === iif && one.ip.family === 6).map((one) => one.ip);
    const targets = [ip("ff02::1"), ip("ff02::2"), ...near, ...sameFamily(own, 6)];
    const draft = { iif, source: oneOf(random, sources), target: oneOf(random, targets), protocol: ICMP6 };
    const type = oneOf(random, [130, 131, 132, 133, 134, 135, 136, 143, 137]);
    return shotOf(this.#number, { ...draft, type, hops: chance(random, 2, 3) ? 255 : 64, id: this.#number & 0xffff });
  }

  /** DHCP in both directions and both families, to the router and to everybody. */
  #lease(): Shot {
    const random = this.#random;
    const iif = oneOf(random, this.#pools.interfaces);
    const four = random(2) === 0;
    const near = this.#routes.own.filter((one) => one.interface === iif && (one.ip.family === 4) === four);
    const pair = oneOf(
      random,
      four
        ? [
            [68, 67],
            [67, 68],
          ]
        : [
            [546, 547],
            [547, 546],
          ],
    );
    const sources = four ? [ip("0.0.0.0"), ...sameFamily(this.#pools.behind.get(iif) ?? [], 4)] : [ip("fe80::5")];
    const targets = [...near.map((one) => one.ip), ip(four ? "255.255.255.255" : "ff02::1")];
    const draft = { iif, source: oneOf(random, sources), target: oneOf(random, targets), protocol: UDP };
    return shotOf(this.#number, { ...draft, sport: pair[0]!, dport: pair[1]! });
  }

  /** What the router says to somebody. */
  #ownWord(): Shot | undefined {
    const { own, hosts, strangers } = this.#pools;
    const source = oneOf(this.#random, own);
    const targets = sameFamily([...hosts, ...strangers], source.family).filter(
      (one) => this.#routes.typeOf(one, "") === "unicast",
    );
    if (targets.length === 0) return undefined;
    const shot = this.#aimed("", source, oneOf(this.#random, targets));
    return { ...shot, parts: "whole", hops: 64 };
  }

  /** A packet of a flow that is there: onward or back, now and then by another interface. */
  #flowStep(): Shot | undefined {
    const { flows } = this.#flows;
    if (flows.length === 0) return this.#fresh();
    const random = this.#random;
    // Young flows more often than old ones, which still come after an epoch's end.
    const flow = chance(random, 1, 2)
      ? flows[flows.length - 1 - random(Math.min(6, flows.length))]!
      : oneOf(random, flows);
    const back = chance(random, 3, 5);
    const ends = back ? flow.reply : flow.original;
    const usual = back ? flow.oif : flow.iif;
    const iif = chance(random, 1, 12) ? oneOf(random, this.#pools.interfaces) : usual;
    if (iif === "" && !this.#routes.isOwn(ends.source)) return undefined; // nobody can say that
    // To "::" the router talks to itself, as to its own addresses.
    if (iif === "" && (ends.target.value === 0n || this.#routes.typeOf(ends.target, "") !== "unicast"))
      return undefined;
    if (iif === "" && formatIp(ends.source).startsWith("fe80")) return undefined;
    // What fits into one piece as large as its largest fragment leaves as one: such short packets are not cut.
    const parts = iif !== "" && ends.protocol !== ANY && chance(random, 1, 15) ? "two" : "whole";
    return shotOf(this.#number, { ...ends, iif, parts, flags: this.#flagsOf(flow, back) });
  }

  #flagsOf(flow: Flow, back: boolean): number {
    if (flow.original.protocol !== TCP) return 0;
    if (chance(this.#random, 1, 15)) return oneOf(this.#random, [RST, FIN | ACK, SYN, SYN | ACK, ACK]);
    if (flow.tcp === "ss") return back ? SYN | ACK : SYN;
    return ACK;
  }

  /** An ICMP error about a packet of a flow, from somebody on its way, or from nobody. */
  #error(): Shot | undefined {
    const { flows } = this.#flows;
    if (flows.length === 0) return undefined;
    const random = this.#random;
    const flow = oneOf(random, flows);
    const back = chance(random, 2, 3);
    // Back: about an original, as it left; onward: about a reply, as it arrived where the flow came from.
    const seen: Ends = back ? turned(flow.reply) : turned(flow.original);
    const usual = back ? flow.oif : flow.iif;
    const iif = chance(random, 1, 12) ? oneOf(random, this.#pools.interfaces) : usual;
    if (iif === "") return undefined;
    const four = seen.source.family === 4;
    const honest = sameFamily(this.#pools.behind.get(iif) ?? [], seen.source.family);
    const source = honest.length > 0 && chance(random, 2, 3) ? oneOf(random, honest) : seen.target;
    const strays = sameFamily([...this.#pools.own, ...this.#pools.hosts], seen.source.family);
    const target = chance(random, 1, 10) && strays.length > 0 ? oneOf(random, strays) : seen.source;
    const type = oneOf(random, four ? [3, 11, 12, 5, 4] : [1, 2, 3, 4]);
    const about = chance(random, 1, 10) ? { ...seen, dport: seen.dport ^ 1, id: seen.id ^ 1 } : seen;
    return shotOf(this.#number, { iif, source, target, protocol: four ? ICMP : ICMP6, type, about });
  }
}

/** A packet that these ends would answer, in its own terms. */
function turned(ends: Ends): Ends {
  const swap = { ...ends, source: ends.target, target: ends.source, sport: ends.dport, dport: ends.sport };
  const types: Readonly<Record<number, number>> = {
    0: 8,
    8: 0,
    13: 14,
    14: 13,
    15: 16,
    16: 15,
    17: 18,
    18: 17,
    128: 129,
    129: 128,
    139: 140,
    140: 139,
  };
  const icmp = ends.protocol === ICMP || ends.protocol === ICMP6;
  return icmp ? { ...swap, type: types[ends.type] ?? ends.type } : swap;
}
