/** HF-RESC: the lane that trust documents alone make, so that no intent can take it away (P1). */
import { covers, formatPrefix, overlaps, parsePrefix } from "../../schemas/ip.ts";
import { operatorRescueAddress, rescuePorts, rescuePrefix, routerRescueAddress } from "./compile/rescue.ts";
import { type Invariant, placesOf, type Subject, violated } from "./invariants-subject.ts";

const rescuePeers: Invariant = {
  id: "HF-RESC-01",
  sentence: "The rescue lane's device has every active operator as a peer, and nobody else.",
  why: "It is the way in when everything else is wrong; a missing operator is locked out, a surplus one let in.",
  example: "An operator of the roster who is no peer of hf-rescue.",
  fix: "Report it: the compiler lost an operator; keep the last confirmed generation.",
  check: ({ root, roster, router, desired }) => {
    const link = desired.links.find((one) => one.network === "rescue");
    if (link === undefined) return [violated("HF-RESC-01", "The generation has no rescue device.")];
    const wanted = roster.operators
      .filter((operator) => operator.status === "active")
      .map((operator) => `${operator.lane_key} ${operatorRescueAddress(root.network_id, operator.lane_key)}/128`);
    const found = link.peers.flatMap((peer) => peer.allowedIps.map((prefix) => `${peer.publicKey} ${prefix}`));
    const own = `${routerRescueAddress(root.network_id, router)}/64`;
    const addressed = desired.addresses.some((one) => one.interface === link.name && one.cidr === own);
    return [
      ...wanted
        .filter((peer) => !found.includes(peer))
        .map((peer) => violated("HF-RESC-01", `Operator peer ${peer} is missing.`)),
      ...found
        .filter((peer) => !wanted.includes(peer))
        .map((peer) => violated("HF-RESC-01", `Peer ${peer} is no active operator.`)),
      ...(wanted.length === 0
        ? [violated("HF-RESC-01", "The roster has no active operator: nobody could come back.")]
        : []),
      ...(addressed ? [] : [violated("HF-RESC-01", `The rescue device has not its address ${own}.`)]),
    ];
  },
};

const rescueReserved: Invariant = {
  id: "HF-RESC-02",
  sentence: "The rescue lane's two ports and its prefix, which follow from the network id, are used by nothing else.",
  why: "A network or port-forward on a rescue port takes the lane's packets; an overlapping subnet takes its answers.",
  example: "A WireGuard network on the second rescue port of this very site.",
  fix: "Move the network or port-forward to another port, or the zone to another subnet.",
  check: (subject) => {
    const { intent, root, router, desired } = subject;
    const ports = rescuePorts(root.network_id);
    const lane = rescuePrefix(root.network_id);
    const zones = new Set(intent.zones.filter((zone) => zone.router === router).map((zone) => zone.id));
    const taken = [
      ...desired.links
        .filter((link) => link.network !== "rescue" && ports.includes(link.port))
        .map((link) => `Network ${link.network} uses rescue port ${link.port}: give it another.`),
      ...intent.port_forwards
        .filter((one) => zones.has(one.zone) && one.protocol === "udp")
        .filter((one) => ports.some((port) => one.port <= port && port < one.port + one.count))
        .map((one) => `Port forward ${one.id} covers a rescue port (${ports.join(", ")}): choose other ports.`),
      ...placesOf(subject).flatMap((place) =>
        place.subnets
          .filter((subnet) => overlaps(subnet, lane))
          .map((subnet) => `${formatPrefix(subnet)} of ${place.id} overlaps the rescue prefix ${formatPrefix(lane)}.`),
      ),
      ...desired.routes
        .filter((route) => {
          const to = parsePrefix(route.to);
          return (
            to !== undefined && to.length >= lane.length && covers(lane, to) && !isRescue(subject, route.interface)
          );
        })
        .map((route) => `A route to ${route.to} leads the rescue prefix to ${route.interface}.`),
    ];
    return taken.map((text) => violated("HF-RESC-02", text));
  },
};

const isRescue = ({ desired }: Subject, name: string): boolean =>
  desired.links.some((link) => link.network === "rescue" && link.name === name);

export const rescueInvariants: readonly Invariant[] = [rescuePeers, rescueReserved];
