/**
 * Runs the lifecycle: one event at a time, effects in order, each answered by the event that it leads to. An effect
 * that fails is the event `failed`, and what waited behind it is not performed. Nothing else calls step().
 */
import { type Answer, type Effect, type Event, initialState, type State, step } from "./core/lifecycle.ts";
import type { Clock, Log } from "./ports.ts";

/** Between two repetitions of what failed. A restore takes seconds itself. */
const TICK_MS = 1000;

export type Runner = {
  state(): State;
  /** Answered when the machine has an answer for this sender; start, deadline and tick have none. */
  send(event: Event): Promise<Answer | undefined>;
  /** True when an abort of the trial or a deadline waits: long work stops at the next step. */
  interrupted(token: string): boolean;
  /** Resolves once the state satisfies the wish, or at the boot time given. */
  until(wish: (state: State) => boolean, bootMs: number): Promise<void>;
  close(): void;
};

export type Performer = {
  /** The event that the effect is answered with; undefined when it has none. Throws when it fails. */
  perform(effect: Effect, state: State): Promise<Event | undefined>;
  /** Problem code of a thrown failure. */
  causeOf(failure: unknown): string;
  /** Asked on every tick: something that happened outside and that the machine must know. */
  look(state: State): Event | undefined;
};

type Waiting = { readonly event: Event; readonly resolve: (answer: Answer | undefined) => void };

const isSender = (event: Event): boolean => ["submit", "confirm", "abort"].includes(event.kind);

/** Boot time at which the state ends by itself; undefined for states that wait for nobody. */
function dueMs(state: State): number | undefined {
  if (state.name === "trial") return state.deadlineMs;
  if (state.name === "admitted" || state.name === "applying" || state.name === "probing") return state.trial.capMs;
  return undefined;
}

/** Resolves when the wish comes true at a turn, or at that boot time. */
function waitUntil(clock: Clock, watchers: Set<() => void>, bootMs: number, wish: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (!wish() && clock.bootMs() < bootMs) return;
      watchers.delete(check);
      cancel();
      resolve();
    };
    const cancel = clock.at(bootMs, check);
    watchers.add(check);
    check();
  });
}

export function createRunner(clock: Clock, log: Log, performer: Performer): Runner {
  let state: State = initialState;
  let effects: readonly Effect[] = [];
  const inbox: Waiting[] = [];
  let asked: Waiting["resolve"] | undefined; // a confirm that is being decided
  let busy = false;
  let closed = false;
  let due: { readonly atMs: number; readonly cancel: () => void } | undefined;
  const watchers = new Set<() => void>();

  const schedule = (): void => {
    const atMs = dueMs(state);
    if (due?.atMs === atMs) return;
    due?.cancel();
    due = undefined;
    if (atMs === undefined || closed) return;
    const cancel = clock.at(atMs, () => void send({ kind: "deadline", atMs: clock.bootMs() }));
    due = { atMs, cancel };
  };

  const turn = (event: Event, resolve?: Waiting["resolve"]): void => {
    const before = state.name;
    const next = step(state, event);
    state = next.state;
    const sender = resolve !== undefined && isSender(event);
    const told = next.effects.find((effect) => effect.kind === "answer");
    if (told !== undefined) {
      if (sender) resolve(told.answer);
      else asked?.(told.answer);
      if (!sender) asked = undefined;
    } else if (sender) asked = resolve;
    if (!sender) resolve?.(undefined);
    const work = next.effects.filter((effect) => effect.kind !== "answer");
    effects = state.name === before ? [...effects, ...work] : work;
    if (state.name !== before) log("state", { name: state.name, by: event.kind });
    schedule();
    for (const watcher of [...watchers]) watcher();
  };

  const performNext = async (effect: Effect): Promise<void> => {
    let answer: Event | undefined;
    try {
      answer = await performer.perform(effect, state);
    } catch (failure) {
      effects = [];
      const cause = performer.causeOf(failure);
      log("effect.failed", { effect: effect.kind, cause, detail: String(failure).slice(0, 300) });
      answer = effect.kind === "restore" ? { kind: "restored", outcome: "failed" } : { kind: "failed", cause };
    }
    if (answer?.kind === "failed" || (answer?.kind === "restored" && answer.outcome === "failed")) effects = [];
    if (answer !== undefined) turn(answer);
    // An effect may be what somebody waits for, a receipt for one, without any change of state.
    else for (const watcher of [...watchers]) watcher();
  };

  const loop = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    try {
      while (!closed) {
        // What was begun comes first: a receipt is not lost to a confirm that is quick.
        const [effect, ...rest] = effects;
        if (effect !== undefined) {
          effects = rest;
          await performNext(effect);
          continue;
        }
        const next = inbox.shift();
        if (next === undefined) break;
        turn(next.event, next.resolve);
      }
    } finally {
      busy = false;
    }
  };

  function send(event: Event): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      inbox.push({ event, resolve });
      void loop();
    });
  }

  const ticker = setInterval(() => {
    if (busy || state.name === "down") return;
    const seen = performer.look(state);
    if (seen !== undefined) void send(seen);
    else if (state.name !== "idle" && effects.length === 0) void send({ kind: "tick" });
  }, TICK_MS);

  return {
    state: () => state,
    send,
    interrupted: (token) =>
      inbox.some(({ event }) => event.kind === "deadline" || (event.kind === "abort" && event.token === token)),
    until: (wish, bootMs) => waitUntil(clock, watchers, bootMs, () => wish(state)),
    close() {
      closed = true;
      clearInterval(ticker);
      due?.cancel();
    },
  };
}
