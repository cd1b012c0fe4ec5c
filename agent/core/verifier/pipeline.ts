/**
 * A packet's whole way through the router: prerouting, translation, route choice, input or forward, postrouting, and
 * WireGuard at both ends. Later stages are built first, so that what earlier ones wrote is seen by them.
 */
import type { NftBase } from "../../../schemas/desired.ts";
import type { ReadChain } from "./ast.ts";
import { type Chains, type Places, snat } from "./chains.ts";
import type { Node } from "./diagram.ts";
import type { Facts } from "./facts.ts";
import { natPriority } from "./faults.ts";
import { type Interval, LEVEL, STATE, type Value } from "./fields.ts";
import { Unmodelled } from "./leaves.ts";
import type { Regions } from "./regions.ts";
import { Routes } from "./routes.ts";
import { PROTOCOL } from "./words.ts";

type Hook = NftBase["hook"];

/** A hook's filter chains around its nat chain, in the order in which packets meet them. */
export type HookChains = {
  readonly before: readonly ReadChain[];
  readonly nat: ReadChain | undefined;
  readonly after: readonly ReadChain[];
  /** The chain whose accept is the hook's last word. */
  readonly decides: ReadChain | undefined;
};

export function hookChains(chains: Chains, hook: Hook): HookChains {
  const all = [...chains.table.chains.values()]
    .filter((chain) => chain.base?.hook === hook)
    .sort((a, b) => a.base!.priority - b.base!.priority);
  const filters = all.filter((chain) => chain.base!.type === "filter");
  // Where NAT stands, whether this table has a chain for it or another.
  const place = natPriority(hook);
  const last = hook === "prerouting" || hook === "postrouting" ? undefined : filters.at(-1);
  return {
    before: filters.filter((chain) => chain.base!.priority < place),
    nat: all.find((chain) => chain.base!.type === "nat"),
    after: filters.filter((chain) => chain.base!.priority >= place),
    decides: last,
  };
}

export type RouteMode = "declared" | "any";

export class Pipeline {
  readonly regions: Regions;
  readonly chains: Chains;
  readonly facts: Facts;
  readonly places: Places;
  readonly #routes: Routes;
  readonly #known = new Map<string, Node>();

  constructor(regions: Regions, chains: Chains, facts: Facts, places: Places) {
    this.regions = regions;
    this.chains = chains;
    this.facts = facts;
    this.places = places;
    this.#routes = new Routes(regions, facts, chains, places);
  }

  /** A diagram that is made once under a name. */
  once(name: string, make: () => Node): Node {
    const known = this.#known.get(name) ?? make();
    this.#known.set(name, known);
    return known;
  }

  #sequence(parts: readonly Node[]): Node {
    // From the back: what is written early restricts everything after it once.
    return parts.reduceRight((rest, part) => this.regions.arena.sequence(part, rest), this.regions.arena.next);
  }

  #bases(chains: readonly ReadChain[], decides?: ReadChain): Node {
    return this.#sequence(chains.map((chain) => this.chains.base(chain, chain === decides)));
  }

  #is(field: "state" | "direction" | "dnat" | "snat" | "iif" | "oif", ...values: readonly Value[]): Node {
    return this.regions.of(
      field,
      values.map((value): Interval => ({ from: value, to: value })),
    );
  }

  /** Packets that NAT chains see: the first of a flow that conntrack follows. Errors of known flows are not. */
  nated(): Node {
    const { arena } = this.regions;
    const icmp = this.regions.one("proto", this.facts.family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6);
    const related = this.regions.and(this.#is("state", STATE.related), arena.not(icmp));
    return this.once("nated", () => arena.or(this.#is("state", STATE.new), related));
  }

  /** Packets of a flow that has had its first: they are translated as that one was. */
  #later(direction: number): Node {
    return this.regions.and(this.#is("state", STATE.established, STATE.related), this.#is("direction", direction));
  }

  /** Later packets in the original direction whose target was translated, and replies whose source was. */
  translatedTargets(): Node {
    return this.regions.and(this.#later(0), this.#is("dnat", 1));
  }

  translatedReplies(): Node {
    return this.regions.and(this.#later(1), this.#is("snat", 1));
  }

  /** Prerouting before translation: such packets still carry the addresses from before it. */
  #early(before: Node): Node {
    const { arena } = this.regions;
    const [targets, replies] = [this.translatedTargets(), this.translatedReplies()];
    // Each half of the packets has at most one of them.
    const translated = arena.or(targets, replies);
    if (translated === arena.next) return before;
    // A flow that conntrack knows was not kept from it.
    const followed = arena.map(before, (id) => {
      const leaf = arena.leafOf(id)!;
      const lost = leaf.effect.sets.some(([level, label]) => level === LEVEL.state && label === STATE.untracked);
      return lost ? arena.outside : id;
    });
    const port = [[LEVEL.dport, 0, Number.POSITIVE_INFINITY]] as const;
    const free = arena.restrict(followed, { sets: [], free: port, markMask: -1 });
    const first = targets === arena.next ? this.#atOwnAddress(free) : this.#atFirstTarget(free);
    return arena.join(arena.gate(translated, first), arena.gate(arena.not(translated), before));
  }

  /** A later packet of a forwarded port, as it was sent. */
  #atFirstTarget(node: Node): Node {
    const { arena, space } = this.regions;
    if (arena.asks(node, LEVEL.odaddr)) throw new Unmodelled("ct original before translation");
    return arena.substitute(node, space.level("daddr"), LEVEL.odaddr);
  }

  /** A reply of a flow that left under the router's address, as it was sent. */
  #atOwnAddress(node: Node): Node {
    const { arena, space } = this.regions;
    const level = space.level("daddr");
    const index = (name: string): number => space.interfaces.index(name);
    const { leaving } = this.facts;
    const replies = [...leaving].map(([name, address]) => {
      const label = space.cut(level, { from: address, to: address }).start;
      const own = arena.restrict(node, { sets: [[level, label]], free: [], markMask: -1 });
      return arena.gate(this.#is("iif", index(name)), own);
    });
    // No flow of ours left by an interface that has no address.
    const known = this.#is("iif", ...[...leaving.keys()].map(index));
    return arena.fold([...replies, arena.gate(arena.not(known), arena.outside)], (a, b) => arena.join(a, b));
  }

  #natStage(chain: ReadChain | undefined): Node {
    if (chain === undefined) return this.regions.arena.next;
    return this.regions.arena.gate(this.nated(), this.chains.base(chain, false));
  }

  /** The source that later packets of translated flows leave with. */
  #leavingNat(): Node {
    const { arena, space } = this.regions;
    const later = this.regions.and(this.#later(0), this.#is("snat", 1));
    const parts = [...this.facts.leaving].map(([name, address]) => {
      const own = this.chains.leaf("next", snat(space, address, null));
      return arena.gate(this.#is("oif", space.interfaces.index(name)), own);
    });
    return arena.gate(
      later,
      arena.fold(parts, (a, b) => arena.join(a, b)),
    );
  }

  /** Replies of forwarded ports leave with the address that was asked. */
  #answering(after: Node): Node {
    const { arena, space } = this.regions;
    const replies = this.regions.and(this.#later(1), this.#is("dnat", 1));
    if (replies === arena.next) return after;
    const free = arena.restrict(after, { sets: [], free: [[LEVEL.sport, 0, Number.POSITIVE_INFINITY]], markMask: -1 });
    const renamed = arena.gate(replies, arena.substitute(free, space.level("saddr"), LEVEL.odaddr));
    return arena.join(renamed, arena.gate(arena.not(replies), after));
  }

  postrouting(): Node {
    return this.once("postrouting", () => {
      const { before, nat, after } = hookChains(this.chains, "postrouting");
      const rest = this.#answering(this.#bases(after));
      return this.#sequence([this.#bases(before), this.#natStage(nat), this.#leavingNat(), rest, this.#peers()]);
    });
  }

  /** A tunnel sends only to who has the address. */
  #peers(): Node {
    const { arena, space } = this.regions;
    const parts = this.facts.devices.map(({ name, allowed }) => {
      const place = this.places.id({ chain: "", rule: -1, text: `no peer of ${name} has the address` });
      const nobody = arena.not(this.regions.of("daddr", allowed));
      const drop = this.chains.leaf("drop", {}, place);
      return arena.gate(this.regions.and(this.#is("oif", space.interfaces.index(name)), nobody), drop);
    });
    return arena.fold(parts, (a, b) => arena.join(a, b));
  }

  /** One hook alone: its chains, and what NAT does there. next where the packet goes on, with what was written. */
  hook(hook: Hook): Node {
    return this.once(`hook ${hook}`, () => {
      const { before, nat, after, decides } = hookChains(this.chains, hook);
      return this.#sequence([this.#bases(before, decides), this.#natStage(nat), this.#bases(after, decides)]);
    });
  }

  /** After prerouting's filters and translation: where it goes, and what is said there. */
  #onward(mode: RouteMode, markMask: number, filtered: boolean): Node {
    const { arena } = this.regions;
    const route = mode === "any" ? this.#routes.any() : this.#routes.declared(markMask);
    if (!filtered) return route;
    const here = this.#is("oif", 0);
    const onward = this.#sequence([this.hook("forward"), this.postrouting()]);
    const split = arena.join(
      arena.gate(here, this.#final(this.hook("input"))),
      arena.gate(arena.not(here), this.#final(onward)),
    );
    return arena.sequence(route, split);
  }

  /** What went on to the end is accepted. */
  #final(node: Node): Node {
    const { arena } = this.regions;
    return arena.map(node, (id) => {
      const { kind, effect, rule } = arena.leafOf(id)!;
      return kind === "next" ? this.chains.leaf("accept", effect, rule) : id;
    });
  }

  /** Each mark that prerouting may give a packet has its own routes. */
  #byMark(early: Node, onward: (markMask: number) => Node): Node {
    const { arena } = this.regions;
    const maskOf = (id: Node): number => {
      const leaf = arena.leafOf(id)!;
      return leaf.kind === "next" ? leaf.effect.markMask : -1;
    };
    const masks = [...new Set(arena.leavesOf(early).map(maskOf))];
    const parts = masks.map((mask) => {
      const own = arena.map(early, (id) => (maskOf(id) === mask ? id : arena.gap));
      return arena.sequence(own, onward(mask));
    });
    return arena.fold(parts, (a, b) => arena.fillGap(a, b));
  }

  #prerouting(): { readonly early: Node; readonly nat: Node; readonly late: Node } {
    const { before, nat, after } = hookChains(this.chains, "prerouting");
    return { early: this.#early(this.#bases(before)), nat: this.#natStage(nat), late: this.#bases(after) };
  }

  /** What becomes of a packet that arrives: accept, drop, either, or outside where no such packet is. */
  arriving(mode: RouteMode): Node {
    return this.once(`arriving ${mode}`, () => {
      const { early, nat, late } = this.#prerouting();
      return this.#byMark(early, (mask) => this.#sequence([nat, late, this.#onward(mode, mask, true)]));
    });
  }

  /** Packets whose field oif is where the routes send them, whatever the filters say. */
  routed(mode: RouteMode): Node {
    return this.once(`routed ${mode}`, () => {
      const { arena } = this.regions;
      const pass = (node: Node): Node =>
        arena.map(node, (id) =>
          arena.leafOf(id)!.kind === "next" ? id : arena.leafOf(id)!.kind === "outside" ? id : arena.next,
        );
      const { early, nat, late } = this.#prerouting();
      const all = this.#byMark(pass(early), (mask) =>
        this.#sequence([nat, pass(late), this.#onward(mode, mask, false)]),
      );
      return arena.map(all, (id) => (arena.leafOf(id)!.kind === "outside" ? arena.next : arena.yes));
    });
  }

  /** What becomes of a packet that the router says. */
  leaving(): Node {
    return this.once("leaving", () => this.#final(this.#sequence([this.hook("output"), this.postrouting()])));
  }
}
