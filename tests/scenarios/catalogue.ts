/**
 * The twenty-five scenarios that a safe apply has to survive, one sentence each, and where each is shown. Those of more
 * than one part name a test for each part; what no test here can show is said in `limits`.
 */
export type Place = {
  readonly file: string;
  readonly title: string; // of the test, word for word; of a campaign its name
};

export type Scenario = {
  readonly id: string;
  readonly promise: string;
  readonly shown: readonly Place[];
  readonly limits?: string;
};

const netns = (name: string, ...titles: readonly string[]): readonly Place[] =>
  titles.map((title) => ({ file: `tests/netns/${name}.test.ts`, title }));

const soak: Place = { file: "tests/campaigns/soak.ts", title: "soak" };
const faults: Place = { file: "tests/campaigns/faults.ts", title: "faults" }; // deaths at every step
const vm: Place = { file: "tests/campaigns/vm.ts", title: "vm" }; // power cuts

const power = (...titles: readonly string[]): readonly Place[] =>
  titles.map((title) => ({ file: "tests/vm/power.test.ts", title }));
const death = (...titles: readonly string[]): readonly Place[] =>
  titles.map((title) => ({ file: "tests/faults/faults.test.ts", title }));

const inMemory = (file: string, ...titles: readonly string[]): readonly Place[] =>
  titles.map((title) => ({ file: `tests/${file}.test.ts`, title }));

const HOST_CLOCK = "In a machine of its own only: the host's clock is never moved.";

export const scenarios: readonly Scenario[] = [
  {
    id: "A1",
    promise: "Without a confirm the kernel is what it was, within the window and five seconds, and a receipt says so.",
    shown: netns("lockout", "A1: is undone when the window ends, and the command line says so"),
  },
  {
    id: "A2",
    promise: "The guard undoes the trial of an agent that was killed and whose program is gone from the disk.",
    shown: netns("lockout", "A2: is undone by the guard when the agent is killed and its program deleted"),
  },
  {
    id: "A3",
    promise: "The guard undoes the trial of an agent that hangs.",
    shown: netns("lockout", "A3: is undone by the guard when the agent is stopped, and stays undone when it goes on"),
  },
  {
    id: "A4",
    promise: "A death at any write or kernel call of an apply leaves the last confirmed generation, never a mix.",
    shown: [
      faults,
      vm,
      ...power("a cut before the confirm: systemd boots the old generation, without a clock of its own"),
    ],
  },
  {
    id: "A5",
    promise: "The same for confirm and rollback, with a receipt that is equal to what runs.",
    shown: [
      faults,
      vm,
      ...death("to make a confirm's record durable: the decision stands and is written again"),
      ...power(
        "every disk that a cut around the confirm leaves keeps what the operator was told",
        "a cut between token and record: the confirmed generation is booted from its second copy, whatever the date",
      ),
    ],
  },
  {
    id: "A6",
    promise: "A confirm over a flow that lives on what the old rules let in is no proof.",
    shown: [
      ...netns(
        "policy-lanes",
        "A6: with its rule gone nothing arrives any more, whatever flows and keepalives there were",
      ),
      ...netns("agent", "a confirm over a path from before the apply, or over the socket, proves nothing"),
    ],
    limits: "In the lane form: lanes are stateless, so such a confirm does not arrive over WireGuard at all.",
  },
  {
    id: "A7",
    promise: "Nor is a fresh handshake, from the same source port or from a new one.",
    shown: [
      ...netns("policy-lanes", "A7: nor does a fresh handshake, from the same source port or from a new one"),
      ...netns("lockout", "without the rescue port, though the session through it was up"),
    ],
  },
  {
    id: "A8",
    promise: "A good generation is confirmed by a fresh dial at once, and its lane has counted the dial.",
    shown: [
      ...netns("policy-lanes", "A8: with the rule a fresh handshake comes about at once, and is counted by the lane"),
      ...netns("e2e", "confirmed through the rescue lane, the lane's own counter has seen it"),
    ],
  },
  {
    id: "A9",
    promise: "A wrong key or wrong allowed addresses of an operator are refused, and when forced are undone.",
    shown: [
      { file: "tests/core/invariant-breaks-lanes.ts", title: "an operator is missing" },
      { file: "tests/core/invariant-breaks-lanes.ts", title: "an operator with another's address" },
      ...netns("lockout", "A9: with a wrong key on the rescue lane"),
    ],
  },
  {
    id: "A10",
    promise: "A tunnel MTU that loses large packets on the way fails the confirm, which fills such a packet.",
    shown: netns("cut-off", "A10: a tunnel MTU that the way does not carry cannot be confirmed, and is undone"),
    limits: "The confirm is padded, its answer is not: nothing is decided by the answer.",
  },
  {
    id: "A11",
    promise: "The wall clock may jump by ten years either way; the deadline stays.",
    shown: power(
      "a cut between token and record: the confirmed generation is booted from its second copy, whatever the date",
    ),
    limits: `${HOST_CLOCK} The deadline is held within fifteen seconds, since a machine without KVM is slow.`,
  },
  {
    id: "A12",
    promise: "A router that boots in 1970 has its tunnel within a minute.",
    shown: [vm, ...power("a cut before the confirm: systemd boots the old generation, without a clock of its own")],
    limits: `${HOST_CLOCK} The test shows the floor of the clock; the campaign the tunnel of a client that remembers more.`,
  },
  {
    id: "A13",
    promise: "A state folder that is full, read-only or broken refuses the push, and the kernel is not touched.",
    shown: [
      ...death(
        "still full: new work is refused, and the kernel hears nothing",
        "read-only before a push: refused, and the kernel hears nothing",
      ),
      { file: "tests/agent/disk.test.ts", title: "an error of the disk at some steps of every path" },
      faults,
      vm,
    ],
  },
  {
    id: "A14",
    promise: "One damaged copy is no loss; two leave the rescue ruleset, which lets the operator in and says why.",
    shown: [
      ...netns("agent-death", "with both records damaged, it finds its place in its own log"),
      ...inMemory("agent/log-damage", "an entry in the middle: the log goes on after the newest one"),
      ...power(
        "a cut between token and record: the confirmed generation is booted from its second copy, whatever the date",
        "both copies of the kept generation are lost: the rescue ruleset lets the operator in, who pushes again",
      ),
    ],
  },
  {
    id: "A15",
    promise: "Who comes second is refused while a trial is pending, and the way back stays what it was.",
    shown: netns(
      "one-slot",
      "A15: a second operator's bundle is refused while one is pending, and the way back stays what it was",
    ),
  },
  {
    id: "A16",
    promise: "One verdict: five confirms are one change, a late one is told the end, a wrong one moves nothing.",
    shown: [
      ...netns(
        "one-slot",
        "A16: five confirms at the same moment are one change and one receipt",
        "A16: a confirm for another router, generation or boot is refused, moves no deadline, and after it all are late",
      ),
      ...netns("e2e", "ends at its deadline; a confirm after it is told so"),
    ],
  },
  {
    id: "A17",
    promise: "A flush or a foreign table is reported within two seconds, and foreign tables live through a rollback.",
    shown: netns(
      "outside",
      "A17 with a pending generation, a flush and a foreign table are reported within two seconds, and survive the rollback as they should",
    ),
  },
  {
    id: "A18",
    promise: "What the kernel takes only in part is undone as a whole, and the next push is taken at once.",
    shown: netns(
      "whole-or-nothing",
      "A18: an unreachable route takes the ruleset back with it",
      "A18: a ruleset that fails takes addresses and routes back with it",
    ),
  },
  {
    id: "A19",
    promise: "What this kernel cannot do is refused before anything is marked, and so is a push without a way back.",
    shown: netns(
      "whole-or-nothing",
      "A19: what this kernel cannot do is refused before anything is marked",
      "A19: nothing is tried when the way back does not load any more",
    ),
    limits: "The kernel here has all features: an nft that answers as one without stands in its place.",
  },
  {
    id: "A20",
    promise: "An interface that was deleted and made anew in the window has its addresses, routes and rules again.",
    shown: netns(
      "whole-or-nothing",
      "A20: an interface that was deleted and made anew has its addresses, routes and rules again after the rollback",
    ),
  },
  {
    id: "A21",
    promise: "One address takes another's place in its subnet without a moment of neither.",
    shown: netns(
      "whole-or-nothing",
      "A21: one address takes another's place in its subnet without a moment of neither, there and back",
    ),
  },
  {
    id: "A22",
    promise: "A revoked client's stream and tunnel are dead two seconds after the confirm; nobody else loses a packet.",
    shown: netns(
      "cut-off",
      "A22: a revoked client is dead within two seconds of the confirm, and others lose nothing",
      "A22: when the revocation is taken back, new sessions work, and others have lost nothing",
    ),
  },
  {
    id: "A23",
    promise:
      "A fault from outside is inconclusive and undone without blame; a bundle that failed is refused next time.",
    shown: netns(
      "health",
      "A23 a generation that breaks a probe is its own fault, and the same content is refused without force",
      "A23 an upstream that goes away between two looks, and another lease: inconclusive, by name, no quarantine",
    ),
  },
  {
    id: "A24",
    promise: "A generation that fails only after the reboot falls back; brown-outs change nothing.",
    shown: netns(
      "health",
      "A24 three brown-outs during early boot never change the generation",
      "A24 a generation that reaches nothing after its reboot falls back to the one before, which does",
    ),
  },
  {
    id: "A25",
    promise: "A new agent in a trial undoes it and restores what an older or newer one wrote; and the soak holds.",
    shown: [
      soak,
      ...netns("agent-death", "killed and started at once, the new agent undoes it itself"),
      ...inMemory(
        "core/artifacts",
        "of a later release is read without what that has to say more; of another format it is none",
        "is chosen and read the same by the scripts",
      ),
    ],
    limits: "There is no upgrade request to refuse: an upgrade is a restart with another program, and ends the trial.",
  },
];
