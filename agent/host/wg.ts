/** WireGuard through wg(8), the same for kernel and userspace devices. Secrets end here as commitments. */
import { comparePrefix, parsePrefix } from "../../schemas/ip.ts";
import type { PeerWrite } from "../core/step.ts";
import type { ObservedPeer } from "../ports.ts";
import { findKeyFile, findPskFile, pskCommitment } from "./keys.ts";
import type { Run } from "./run.ts";

export type Device = {
  readonly publicKey: string;
  readonly port: number;
  readonly fwmark: number;
  readonly peers: readonly ObservedPeer[];
};

/** Peers of one `wg set`: well below the limit of an argument list, long enough to be few. */
export const PEERS_PER_CALL = 100;

export class MissingKey extends Error {}

function sortPrefixes(list: readonly string[]): string[] {
  return list
    .map((text) => {
      const prefix = parsePrefix(text);
      if (prefix === undefined) throw new Error(`wg printed the prefix ${text}`);
      return { text, prefix };
    })
    .sort((a, b) => comparePrefix(a.prefix, b.prefix))
    .map((item) => item.text);
}

function readPeer(line: string): ObservedPeer {
  const [publicKey, psk, endpoint, ips, handshake, rx, tx, keepalive] = line.split("\t");
  if (publicKey === undefined || keepalive === undefined) throw new Error("wg printed a short peer line");
  return {
    publicKey,
    psk: psk === "(none)" || psk === undefined ? "" : pskCommitment(Uint8Array.fromBase64(psk)),
    allowedIps: ips === "(none)" || ips === undefined ? [] : sortPrefixes(ips.split(",")),
    keepaliveS: keepalive === "off" ? 0 : Number(keepalive),
    endpoint: endpoint === "(none)" ? "" : (endpoint ?? ""),
    handshakeUnixS: Number(handshake),
    rxBytes: Number(rx),
    txBytes: Number(tx),
  };
}

/** Reads `wg show DEVICE dump`. Throws, without quoting a secret, when the text is not that. */
export function parseDump(text: string): Device {
  const [first, ...rest] = text.trimEnd().split("\n");
  const fields = (first ?? "").split("\t");
  const [, publicKey, port, fwmark] = fields;
  if (fields.length !== 4 || publicKey === undefined) throw new Error("wg printed no device line");
  return {
    publicKey: publicKey === "(none)" ? "" : publicKey,
    port: Number(port),
    fwmark: fwmark === "off" ? 0 : Number(fwmark),
    peers: rest.map(readPeer).sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1)),
  };
}

/** A device by name; undefined when it does not exist, is none, or does not answer. */
export async function showDevice(run: Run, name: string): Promise<Device | undefined> {
  const out = await run(["wg", "show", name, "dump"], { timeoutMs: 10_000 });
  return out.exit === 0 ? parseDump(out.stdout) : undefined;
}

/** `wg set` for device fields. Throws MissingKey rather than name a file that would clear the key. */
export function deviceArgv(
  keys: string,
  step: { name: string; publicKey: string | null; port: number | null; fwmark: number | null },
): string[] {
  const argv = ["wg", "set", step.name];
  if (step.publicKey !== null) {
    const file = findKeyFile(keys, step.publicKey);
    if (file === undefined) throw new MissingKey(`no private key of ${step.publicKey}`);
    argv.push("private-key", file);
  }
  if (step.port !== null) argv.push("listen-port", String(step.port));
  if (step.fwmark !== null) argv.push("fwmark", step.fwmark === 0 ? "off" : `0x${step.fwmark.toString(16)}`);
  return argv;
}

function peerWords(keys: string, peer: PeerWrite): string[] {
  const words = ["peer", peer.publicKey];
  if (peer.psk === "") words.push("preshared-key", "/dev/null");
  else if (peer.psk !== null) {
    const file = findPskFile(keys, peer.psk);
    if (file === undefined) throw new MissingKey(`no preshared key ${peer.psk}`);
    words.push("preshared-key", file);
  }
  if (peer.endpoint !== null && peer.endpoint !== "") words.push("endpoint", peer.endpoint);
  if (peer.keepaliveS !== null) words.push("persistent-keepalive", String(peer.keepaliveS));
  if (peer.allowedIps !== null) words.push("allowed-ips", peer.allowedIps.join(","));
  return words;
}

function chunks<T>(list: readonly T[]): T[][] {
  const out: T[][] = [];
  for (let i = 0; i < list.length; i += PEERS_PER_CALL) out.push(list.slice(i, i + PEERS_PER_CALL));
  return out;
}

/** `wg set` calls that write peers, PEERS_PER_CALL each. */
export function peersArgv(keys: string, name: string, peers: readonly PeerWrite[]): string[][] {
  return chunks(peers).map((some) => ["wg", "set", name, ...some.flatMap((peer) => peerWords(keys, peer))]);
}

/** `wg set` calls that remove peers. */
export function removeArgv(name: string, publicKeys: readonly string[]): string[][] {
  return chunks(publicKeys).map((some) => ["wg", "set", name, ...some.flatMap((key) => ["peer", key, "remove"])]);
}
