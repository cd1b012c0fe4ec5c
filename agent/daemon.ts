/** `holdfastd run`: recover, listen, beat, and go on until told to stop. */
import { join } from "node:path";
import { type Agent, createAgent } from "./agent.ts";
import { type Config, firstEndpoints } from "./config.ts";
import type { Front } from "./http.ts";
import { createListeners, type Endpoint, type Listeners, listenOnSocket } from "./listeners.ts";
import { metricsText } from "./metrics.ts";
import { createPaths } from "./paths.ts";
import type { Parts } from "./ports.ts";
import { recover } from "./recover.ts";
import { createRequests } from "./requests.ts";
import { createStrangers } from "./strangers.ts";
import { startWatch } from "./watch.ts";

const SECOND_MS = 1000;

/** States in which the addresses of the generation on its way are there. */
const TRYING = ["probing", "trial", "confirming", "keeping"];

/** Addresses of the kept generation and of the one on trial; without either, those of the configuration. */
function wanted(agent: Agent, config: Config): readonly Endpoint[] {
  const kept = agent.standing.identity() === undefined ? undefined : agent.standing.kept()?.desired.api;
  const trial = TRYING.includes(agent.runner.state().name) ? agent.current()?.desired.api : undefined;
  if (kept === undefined && trial === undefined) return firstEndpoints(config);
  const all = [...(kept ?? []), ...(trial ?? [])];
  return [...new Map(all.map((one) => [`${one.address} ${one.port}`, one])).values()];
}

export type Daemon = { readonly agent: Agent; readonly listeners: Listeners; stop(): Promise<void> };

/** Starts the agent. Throws when another one answers on the socket of the run folder. */
export async function startDaemon(parts: Parts, config: Config, runFolder: string): Promise<Daemon> {
  const { host } = parts;
  let listeners: Listeners | undefined;
  const agent = createAgent(parts, {
    rebind: async () => listeners?.update(wanted(agent, config)),
    probationS: config.probation_s,
  });
  const requests = createRequests(agent, createPaths(host.clock));
  const front: Front = {
    requests,
    strangers: createStrangers(host.clock),
    metrics: async () => metricsText(await requests.status()),
    log: host.log,
  };
  // First, so that a second agent in the same folders ends before it has touched anything.
  const closeSocket = await listenOnSocket(front, join(runFolder, "holdfastd.sock"));
  await host.guard.heartbeat();
  const beat = setInterval(() => {
    // Without beats the guard ends a trial; that alone is no reason to end the agent.
    host.guard.heartbeat().catch((failure) => host.log("heartbeat.failed", { detail: String(failure).slice(0, 300) }));
  }, SECOND_MS);
  await recover(agent);
  listeners = createListeners(front);
  await listeners.update(wanted(agent, config));
  const stopWatch = startWatch(agent);
  const retry = setInterval(() => listeners?.retry(), SECOND_MS);
  return {
    agent,
    listeners,
    async stop() {
      clearInterval(beat);
      clearInterval(retry);
      stopWatch();
      agent.runner.close();
      await listeners?.close();
      await closeSocket();
    },
  };
}
