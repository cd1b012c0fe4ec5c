/** Problems that the CLI finds by itself, before or after it asks a router. */
import type { ProblemEntry } from "./entry.ts";

const UNTOUCHED = "Nothing was changed, here or on the router.";

/** A refusal on this machine: exit 3. */
const refusal = (code: string, sentence: string, next: string, safe = UNTOUCHED): ProblemEntry => ({
  ...{ code, sentence, next, safe },
  status: 409,
  exit: 3,
});

/** The router was not heard, or not understood: exit 5. */
const silence = (code: string, sentence: string, safe: string, next: string): ProblemEntry => ({
  ...{ code, sentence, next, safe },
  status: 503,
  exit: 5,
});

const usage = (code: string, sentence: string, next: string): ProblemEntry => ({
  ...{ code, sentence, next },
  status: 400,
  exit: 2,
  safe: UNTOUCHED,
});

const commandProblems: readonly ProblemEntry[] = [
  usage("cli.usage", "The command line is not one that holdfast understands.", "holdfast VERB --help"),
  usage(
    "cli.not_a_terminal",
    "A question can only be answered by a person at a terminal.",
    "Give the flag that the detail names, or run it at a terminal.",
  ),
  refusal(
    "cli.environment",
    "The environment holds a setting by which others can run code in this program.",
    "Unset what the detail names, and find out who set it.",
  ),
  refusal("cli.declined", "The question was not answered with yes.", "Run it again when you are ready."),
  refusal(
    "cli.exists",
    "Something is there already, and nothing is overwritten.",
    "Move it away, or choose another name.",
  ),
  refusal(
    "cli.no_trust",
    "The folder has no trust documents.",
    "Run it in the site's folder or give --site; holdfast init makes a site.",
  ),
  refusal(
    "cli.no_router",
    "No router was found by that name.",
    "holdfast router list; holdfast router enrol ID --at ADDRESS",
  ),
  refusal(
    "cli.no_network",
    "The intent has no network of that name.",
    "Add it to networks in intent.yaml, or correct the name.",
  ),
  refusal("cli.no_client", "The inventory has no client of that name.", "holdfast client list"),
  refusal("cli.client_exists", "The client is on that network already.", "holdfast client show NAME"),
  refusal(
    "cli.network_full",
    "The network has no free address.",
    "Give the network a larger subnet, or remove clients that are gone.",
  ),
  refusal(
    "cli.psk_router",
    "A preshared key is sealed to the router, whose key is not known yet.",
    "holdfast router enrol ID --at ADDRESS, then add the client again.",
  ),
  refusal(
    "cli.secret_missing",
    "The sealed file of a preshared key is missing.",
    "Take secrets/ from Git; if it is lost, give the client a new key.",
  ),
  refusal("cli.no_generation", "The generation is not known here.", "holdfast history"),
  refusal(
    "cli.plan_differs",
    "The router's plan is not the one that was expected.",
    "holdfast plan shows the plan and its digest.",
  ),
  refusal(
    "cli.bad_bundle",
    "The bundle file is not what the directive in it speaks of.",
    "Take the file from the proposer again; holdfast push --propose FILE makes a new one.",
    "Nothing was changed, and nothing was signed.",
  ),
  refusal(
    "cli.already_signed",
    "The same person has signed this already.",
    "Another holder signs it; holdfast bundle show FILE says who may.",
    "Nothing was changed, and nothing was signed.",
  ),
  refusal(
    "cli.trust_behind",
    "The router holds newer trust documents than this site.",
    "git pull: somebody else signed a roster or root; then try again.",
  ),
  refusal(
    "cli.bad_token",
    "The token file cannot be used for this.",
    "Move the file away; holdfast router enrol makes a new one.",
  ),
  refusal(
    "cli.fingerprint",
    "The router that answers has another fingerprint than the one given.",
    "Compare again; if they differ, somebody else answers at this address.",
    "No router was added.",
  ),
  refusal(
    "cli.no_lane",
    "The rescue lane's text cannot be made yet.",
    "holdfast router keys ID fetches the key report.",
  ),
  refusal("cli.verify_file", "A file that should be judged is not there.", "Give the path of a file that exists."),
  refusal(
    "cli.verify_state",
    "The state that a file is judged against is not one.",
    "docs/bundle-format.md describes state.json.",
  ),
  refusal(
    "cli.card",
    "The file is no operator's card that can be used here.",
    "Its owner makes it again: holdfast operator new --holder NAME",
  ),
  refusal(
    "cli.card_fingerprint",
    "The card has another fingerprint than the one given.",
    "Ask its owner again, over a way that you trust; if the letters differ, it is not their card.",
  ),
  refusal(
    "cli.operator_exists",
    "The roster has this person, or this key, already.",
    "holdfast operator list; holdfast operator remove HOLDER first, when the old key is lost",
  ),
  refusal("cli.no_operator", "The documents of trust do not name this person.", "holdfast operator list"),
  refusal(
    "cli.proposal_open",
    "Another change of trust waits for signatures, and one version can only be one thing.",
    "holdfast trust show; sign and apply it first, or delete its file in trust/proposed",
  ),
  refusal(
    "cli.proposal",
    "A file in trust/proposed is not what its name says.",
    "git pull, or delete the file and propose again; holdfast trust show lists what is open.",
  ),
  refusal("cli.no_proposal", "No proposal waits here.", "git pull where somebody else proposed; holdfast trust show"),
  refusal(
    "cli.trust_half",
    "The site's newest root has no roster of its own.",
    "holdfast trust apply finishes what was cut; otherwise take trust/ from Git.",
  ),
  refusal("cli.unknown_code", "There is no such problem code or invariant.", "holdfast explain lists them."),
  {
    code: "cli.still_pending",
    sentence: "The trial was not decided while status waited.",
    status: 409,
    exit: 8,
    safe: "The trial goes on; without a confirm it undoes itself.",
    next: 'holdfast confirm, or holdfast rollback (docs/recovery.md, "A trial is pending and I want it gone now")',
  },
];

const linkProblems: readonly ProblemEntry[] = [
  silence(
    "link.unreachable",
    "Nothing answers at the router's address.",
    "Nothing was sent.",
    'Try another way in with --at (docs/recovery.md, "The management address does not answer, but the router is up")',
  ),
  silence(
    "link.reply_lost",
    "The request went out and no reply came.",
    "Every request may be repeated; it has one effect.",
    'holdfast status (docs/recovery.md, "The push says state unknown (exit code 5)")',
  ),
  silence(
    "link.state_unknown",
    "How the generation ended was not heard.",
    "The router has kept what was confirmed before, or goes back to it by itself.",
    'holdfast status (docs/recovery.md, "No answer after a push")',
  ),
  silence(
    "link.busy",
    "The router has too many requests at once.",
    "Nothing was changed by this request.",
    "Wait a minute, then try again.",
  ),
  silence(
    "link.bad_answer",
    "What came back is not an answer of a router.",
    "Nothing is concluded from it.",
    "Check the address; a proxy or another service may be there.",
  ),
  {
    code: "link.refused",
    sentence: "The router answers strangers with one word, and that was it.",
    status: 403,
    exit: 3,
    safe: "The router has changed nothing.",
    next: "Check --at, --as and the roster: holdfast doctor. A router that is not enrolled answers enrolment only.",
  },
];

const keyProblems: readonly ProblemEntry[] = [
  refusal(
    "keys.missing",
    "A key file is not on this machine.",
    "Bring it from where it is kept; holdfast doctor lists what is here.",
  ),
  refusal(
    "keys.readable",
    "Others on this machine may read a secret file.",
    "chmod 600 FILE; if others could have read it, make new keys.",
  ),
  refusal("keys.bad_file", "The file is no key file of the kind that is needed.", "Take it from a copy."),
  refusal("keys.passphrase", "The passphrase does not open the key file.", "Try again; nobody can reset it."),
  refusal("keys.passphrase_file", "The passphrase file cannot be used.", "Give a file with one line, mode 0600."),
  refusal(
    "keys.passphrase_needed",
    "The key file is locked and no passphrase was given.",
    "Run it at a terminal, or give --passphrase-file FILE.",
  ),
  refusal("keys.passphrase_differs", "The passphrase was typed in two ways.", "Run it again."),
  refusal(
    "keys.other_network",
    "The key file belongs to another network than this site.",
    "Run it in the site that the key was made for.",
  ),
  refusal(
    "keys.no_part",
    "The keys on this machine have no part in this document.",
    "holdfast trust show lists who holds which role; one of them signs.",
  ),
  refusal("keys.which", "Several operators have keys on this machine.", "Choose one with --as HOLDER."),
];

const receiptProblems: readonly ProblemEntry[] = [
  refusal(
    "receipts.damaged",
    "The files that this machine keeps of a router do not fit together.",
    "Move the folder away; the next command fetches the whole log again and checks it.",
    "The router is not affected.",
  ),
  refusal(
    "receipts.rewound",
    "The router's log is shorter than what is kept here: its disk was put back to an older state.",
    "Find out who restored the router; holdfast receipts --offline shows what it had signed.",
    "Nothing was changed; the receipts kept here stand.",
  ),
  refusal(
    "receipts.forked",
    "The router's log tells another history than the one kept here.",
    "Find out who restored or copied the router; holdfast receipts --offline shows what it had signed.",
    "Nothing was changed; the receipts kept here stand.",
  ),
];

export const cliProblems: readonly ProblemEntry[] = [
  {
    code: "replay.mismatch",
    sentence: "The kernel did something else with a packet than was proven.",
    status: 409,
    exit: 3,
    safe: "Nothing was changed: the rules were loaded into a namespace that is gone.",
    next: "Do not push this site; report the packet and both verdicts.",
  },
  {
    code: "replay.unavailable",
    sentence: "This machine cannot replay packets.",
    status: 503,
    exit: 3,
    safe: "Nothing was changed, and the proof of holdfast check stands without it.",
    next: "Install what is missing, or run holdfast test as root on a Linux machine with nft.",
  },
  ...commandProblems,
  ...linkProblems,
  ...keyProblems,
  ...receiptProblems,
];
