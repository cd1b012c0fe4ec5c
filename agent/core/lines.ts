/** Kernel objects as one line of text each: the words of the artifacts, of normal forms and of plans. */
import type { DesiredAddress, DesiredRoute, DesiredRule, WgLink, WgPeer } from "../../schemas/desired.ts";

const hex = (value: number): string => `0x${value.toString(16)}`;
const orDash = (text: string): string => (text === "" ? "-" : text);

/** `name network port mtu fwmark pubkey` */
export function linkLine(link: WgLink): string {
  return `${link.name} ${link.network} ${link.port} ${link.mtu} ${hex(link.fwmark)} ${link.publicKey}`;
}

/** `iface pubkey psk|- keepalive allowedips|-` */
export function peerLine(iface: string, peer: WgPeer): string {
  return `${iface} ${peer.publicKey} ${orDash(peer.psk)} ${peer.keepaliveS} ${orDash(peer.allowedIps.join(","))}`;
}

/** `iface cidr` */
export function addressLine(address: DesiredAddress): string {
  return `${address.interface} ${address.cidr}`;
}

/** `family to via|- iface table metric` */
export function routeLine(route: DesiredRoute): string {
  return `${route.family} ${route.to} ${orDash(route.via)} ${route.interface} ${route.table} ${route.metric}`;
}

/** What the kernel tells routes apart by: a route with the same key is replaced, not added. */
export function routeKey(route: DesiredRoute): string {
  return `${route.family} ${route.to} ${route.table} ${route.metric}`;
}

/** `family priority from|- fwmark/mask|- table` */
export function ruleLine(rule: DesiredRule): string {
  const mark = rule.fwmask === 0 ? "-" : `${hex(rule.fwmark)}/${hex(rule.fwmask)}`;
  return `${rule.family} ${rule.priority} ${orDash(rule.from)} ${mark} ${rule.table}`;
}
