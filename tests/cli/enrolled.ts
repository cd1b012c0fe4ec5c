/** A site with one enrolled router: the start of most stories. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { FakeRouter } from "./fake-router.ts";
import { kept, Place, type Said } from "./place.ts";

/** Carries the token to the router once it is there, as a person would. */
export async function carryToken(place: Place, router: FakeRouter): Promise<string> {
  const path = join(place.site, "r1.token");
  while (!existsSync(path)) await Bun.sleep(10);
  return router.takeToken(path);
}

let first: Promise<Enrolled> | undefined;

/**
 * A story of its own that starts where enrolment ended: of one network and one router, by copies of what the first
 * story left, for enrolment takes a second. Enrolled anew when a router is given.
 */
export async function enrolled(router?: FakeRouter): Promise<Enrolled> {
  if (router !== undefined) return enrol(router);
  first ??= enrol(new FakeRouter()).then(kept);
  const { place, router: known, enrolment } = await first;
  return new Enrolled(new Place(place), new FakeRouter({ like: known }), enrolment);
}

/** `init`, then enrolment as a script does it: once to see the fingerprint, once to say it. */
async function enrol(router: FakeRouter): Promise<Enrolled> {
  const place = new Place();
  await place.init();
  const asking = place.at("router", "enrol", "r1", "--at", router.at);
  const fingerprint = await carryToken(place, router);
  const asked = await asking;
  const done = await place.at("router", "enrol", "r1", "--at", router.at, "--fingerprint", fingerprint, "--json");
  if (done.exit !== 0) throw new Error(`enrol: ${done.stdout}${done.stderr}${asked.stderr}`);
  return new Enrolled(place, router, { asked, done, fingerprint });
}

export class Enrolled implements Disposable {
  readonly place: Place;
  readonly router: FakeRouter;
  readonly enrolment: { readonly asked: Said; readonly done: Said; readonly fingerprint: string };

  constructor(place: Place, router: FakeRouter, enrolment: Enrolled["enrolment"]) {
    this.place = place;
    this.router = router;
    this.enrolment = enrolment;
  }

  /** A command that asks the router where it really is. */
  ask(...words: readonly string[]): Promise<Said> {
    return this.place.at(...words, "--at", this.router.at);
  }

  /** As ask, with --json and nobody to ask. */
  json(...words: readonly string[]): Promise<Said> {
    return this.ask(...words, "--json");
  }

  [Symbol.dispose](): void {
    this.router.close();
    this.place[Symbol.dispose]();
  }
}
