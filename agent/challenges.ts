/** Challenges that this router gave out: fresh for a while by CLOCK_BOOTTIME, used once, forgotten with the process. */
import { toHex } from "../schemas/digest.ts";
import { limits } from "../schemas/limits.ts";
import type { Clock } from "./ports.ts";

export type Challenges = {
  /** 32 bytes. The oldest one gives way when too many are out. */
  make(): Uint8Array;
  isLive(challenge: Uint8Array): boolean;
  use(challenge: Uint8Array): void;
};

export function createChallenges(clock: Clock, random: (bytes: number) => Uint8Array): Challenges {
  const until = new Map<string, number>(); // in the order of making, so the oldest is first
  const drop = (): void => {
    for (const [key, atMs] of until) {
      if (atMs > clock.bootMs() && until.size <= limits.challengesOutstanding) break;
      until.delete(key);
    }
  };
  return {
    make() {
      const challenge = random(32);
      until.set(toHex(challenge), clock.bootMs() + limits.challengeAgeS * 1000);
      drop();
      return challenge;
    },
    isLive(challenge) {
      drop();
      return until.has(toHex(challenge));
    },
    use: (challenge) => void until.delete(toHex(challenge)),
  };
}
