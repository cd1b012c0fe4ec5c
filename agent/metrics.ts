/** Prometheus text, from the same facts as status. No label ever holds a secret or a client's address. */
import type { Status } from "../schemas/report.ts";

type Sample = readonly [labels: string, value: number | bigint];

const metric = (name: string, kind: "gauge" | "counter", help: string, samples: readonly Sample[]): string =>
  [
    `# HELP holdfast_${name} ${help}`,
    `# TYPE holdfast_${name} ${kind}`,
    ...samples.map(([labels, value]) => `holdfast_${name}${labels === "" ? "" : `{${labels}}`} ${value}`),
  ].join("\n");

const yes = (value: boolean): number => (value ? 1 : 0);

function perNetwork(status: Status, of: (peer: Status["peers"][number]) => bigint): readonly Sample[] {
  const sums = new Map<string, bigint>();
  for (const peer of status.peers) sums.set(peer.network, (sums.get(peer.network) ?? 0n) + of(peer));
  return [...sums].map(([network, sum]) => [`network="${network}"`, sum]);
}

/** The whole page; before the enrolment only that the agent is up. */
export function metricsText(status: Status | undefined): string {
  const up = metric("up", "gauge", "The agent answers.", [["", 1]]);
  if (status === undefined) return `${up}\n`;
  const active = (age: bigint): bigint => (age > 0n && age <= 180n ? 1n : 0n);
  const pages = [
    up,
    metric("generation", "gauge", "Last generation that was burnt.", [["", status.generation]]),
    metric("kept_generation", "gauge", "Generation that is kept.", [["", status.lkg_generation]]),
    metric("log_index", "counter", "Receipts in the log.", [["", status.log_index]]),
    metric("trial_pending", "gauge", "A generation is on trial.", [["", yes(status.pending !== null)]]),
    metric("drift", "gauge", "The kernel differs from the kept generation.", [["", yes(status.drift)]]),
    metric("outside_changed", "gauge", "Other programs changed something since the last confirm, or endanger a lane.", [
      ["", yes(status.outside_changed)],
    ]),
    metric("reasserted", "counter", "Our table was loaded again after a flush.", [["", status.reasserted]]),
    metric("guard_alive", "gauge", "The guard beats.", [["", yes(status.guard_alive)]]),
    metric(
      "lane_packets",
      "counter",
      "Packets that arrived on a lane.",
      status.lanes.map((lane): Sample => [`lane="${lane.name}"`, lane.packets]),
    ),
    metric(
      "peers",
      "gauge",
      "Peers of a network.",
      perNetwork(status, () => 1n),
    ),
    metric(
      "peers_active",
      "gauge",
      "Peers with a handshake in the last three minutes.",
      perNetwork(status, (peer) => active(peer.handshake_age_s)),
    ),
    metric(
      "rx_bytes",
      "counter",
      "Bytes received from peers.",
      perNetwork(status, (peer) => peer.rx_bytes),
    ),
    metric(
      "tx_bytes",
      "counter",
      "Bytes sent to peers.",
      perNetwork(status, (peer) => peer.tx_bytes),
    ),
  ];
  return `${pages.join("\n")}\n`;
}
