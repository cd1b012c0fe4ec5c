/**
 * Every verb of the CLI with its flags, in one table: help texts, the reading of the command line and shell completion
 * all come from here, so they cannot differ.
 */
import { AT, COMMON, type Flag, flag, KEYS, LOCK, ROUTER, SITE, type Verb } from "./usage-flags.ts";
import { proofVerbs } from "./usage-proof.ts";
import { trustVerbs } from "./usage-trust.ts";

export type { Flag, Verb } from "./usage-flags.ts";

const ASKING = [ROUTER, AT, ...KEYS, ...SITE];
const WINDOW = flag("window", "SECONDS", "confirm window, 10 to 3600 (default: the intent's)");
const NOTE = flag("note", "TEXT", "a note in the directive and its receipts");
const UNPROVEN: Flag = { ...flag("accept-unproven", "LANE", "do not ask for proof of this changed lane"), many: true };
const PUSHING = [
  flag("yes", "", "apply without asking"),
  flag("expect", "DIGEST", "refuse when the plan has another digest"),
  flag("no-confirm", "", "leave the trial pending: exit 8"),
  flag("force", "", "also content that the router took back for its own fault"),
  ...[WINDOW, NOTE, UNPROVEN],
];
const PAST = [flag("offline", "", "only what is kept on this machine"), ...ASKING];

const SIGNING = [flag("yes", "", "sign without asking"), ...KEYS, ...SITE];
const REVIEW =
  "file, router, generation, parent, directive, risk_class, signed_by, needed, missing, may_sign, note, commit,\n  window_s, accept_unproven, force, beacon, max_age_s, desired_digest, proven, compared_with, intent_changes and\n  inventory_changes [{path, before, after}], claimed_plan, next";

export const verbs: readonly Verb[] = [
  {
    name: "init",
    operands: "NAME",
    sentence: "Make a site and the keys of its only operator.",
    about:
      "Writes intent.yaml, inventory.yaml and trust/ into the folder NAME, and four key files into\n~/.config/holdfast/NAME. Nothing that exists is touched.",
    flags: [
      flag("router", "ID", "name of the first router (default: r1)"),
      flag("uplink", "INTERFACE", "its interface to the internet"),
      flag("address", "CIDR", "address/length of the uplink; without it, DHCP"),
      flag("gateway", "ADDRESS", "gateway of the uplink"),
      flag("lan", "INTERFACE", "its interface to the LAN"),
      flag("lan-subnet", "CIDR", "subnet of the LAN; the router has the first address"),
      flag("endpoint", "HOST:PORT", "what clients dial (default: the uplink address, port 51820)"),
      flag("holder", "NAME", "name of the operator (default: the login name)"),
      flag("folder", "FOLDER", "where the site goes (default: NAME)"),
      flag("plain", "", "key files without a passphrase"),
      ...[LOCK, ...COMMON],
    ],
    exits: [3],
    json: "folder, network, network_id, holder, router, keys",
  },
  ...proofVerbs,
  {
    name: "plan",
    operands: "",
    sentence: "Show what a push would change, as the router computes it from its kernel.",
    flags: [flag("detailed-exitcode", "", "exit 8 when there are changes"), WINDOW, NOTE, UNPROVEN, ...ASKING],
    exits: [3, 5, 8],
    json: "router, generation, risk_class, risk_reasons, steps, plan, plan_digest, window_s, lanes_to_prove",
  },
  {
    name: "push",
    operands: "",
    sentence: "Sign the site, apply it as a trial, confirm through the new rules.",
    about:
      "The router undoes a trial that nobody confirms within the window, by itself. With --propose it writes a bundle\nfor others to sign and changes nothing; with --bundle it takes such a file to the router as it is.",
    flags: [
      flag("propose", "FILE", "write a bundle that others sign, instead of applying"),
      flag("max-age", "SECONDS", "how long the bundle is good (default: a day; routine at most 7 days, others a day)"),
      flag("bundle", "FILE", "apply this bundle, signed by enough holders"),
      ...[...PUSHING, ...ASKING],
    ],
    exits: [3, 4, 5, 6, 8],
    json: "those of plan, and outcome, index, cause, confirmed_by, confirmed_lane, lanes, probes,\n  quarantined, receipt_problems,\n  bytes_sent, bytes_received; with --propose file, signed_by, needed, missing, may_sign, max_age_s, next;\n  with --bundle those of bundle show; after somebody else came first came_first {generation, holders, outcome,\n  remaining_ms, note, commit, plan}",
  },
  {
    name: "bundle show",
    operands: "FILE",
    sentence: "Show and prove a bundle before signing it: who signed, what changes, what holds. Offline.",
    flags: SITE,
    exits: [3],
    json: REVIEW,
  },
  {
    name: "cosign",
    operands: "FILE",
    sentence: "Add your signature to a bundle, after the same look as bundle show.",
    flags: SIGNING,
    exits: [3],
    json: REVIEW,
  },
  {
    name: "sign",
    operands: "FILE",
    sentence: "The same as cosign.",
    flags: SIGNING,
    exits: [3],
    json: REVIEW,
  },
  {
    name: "confirm",
    operands: "",
    sentence: "Keep the pending trial: prove every changed lane over new connections.",
    flags: ASKING,
    exits: [3, 4, 5, 6],
    json: "router, outcome, generation, index, cause, confirmed_by, confirmed_lane, lanes, probes,\n  quarantined, receipt_problems",
  },
  {
    name: "rollback",
    operands: "",
    sentence: "End the pending trial at once, or push an older generation again.",
    about:
      "Without --to it touches a pending trial only, never what is confirmed. With --to the content of that\ngeneration, kept when it was pushed from this machine, goes out as a new generation with its own trial.",
    flags: [flag("to", "GENERATION", "push the content of this generation again"), ...PUSHING, ...ASKING],
    exits: [3, 4, 5, 6, 8],
    json: "those of confirm; with --to those of push",
  },
  {
    name: "status",
    operands: "",
    sentence: "Show what runs, what is pending, drift and who is connected.",
    flags: [
      flag("wait", "", "wait until a pending trial is decided; its end is the exit code"),
      flag("timeout", "SECONDS", "how long --wait waits (default: 7200)"),
      ...ASKING,
    ],
    exits: [3, 4, 5, 6, 8],
    json: "router, the fields of Status in proto/report.proto, site_matches, peers; with --wait those of confirm",
  },
  {
    name: "history",
    operands: "",
    sentence: "List the generations of a router and how each ended.",
    flags: PAST,
    exits: [3, 5],
    json: "router, generations [{generation, outcome, cause, at_unix, signers, commit, note, ...}]",
  },
  {
    name: "show",
    operands: "GENERATION",
    sentence: "Show everything that was signed about one generation.",
    flags: PAST,
    exits: [3, 5],
    json: "router, generation, signers, note, commit, kept, plan, receipts [...]",
  },
  {
    name: "diff",
    operands: "[GENERATION]",
    sentence: "Compare the site with a generation that was pushed from this machine (default: the last).",
    flags: [ROUTER, ...SITE],
    exits: [3],
    json: "router, generation, changes [{path, before, after}]",
  },
  {
    name: "receipts",
    operands: "[verify]",
    sentence: "List the router's signed receipts, or prove that the chain is whole.",
    about: "verify checks every signature and link on this machine, and compares them with the router's own log.",
    flags: [flag("from", "INDEX", "list from this receipt on (default: 1)"), ...PAST],
    exits: [3, 5],
    json: "router, head {index, digest}, receipts [...]; verify: verified, compared",
  },
  {
    name: "client add",
    operands: "NAME",
    sentence: "Give a client an address, a key and a configuration on a network.",
    about: "The private key is shown once and kept nowhere. Nothing reaches the router before the next push.",
    flags: [
      flag("network", "ID", "which network (default: the only one)"),
      flag("profile", "ID", "what it may reach"),
      flag("public-key", "KEY", "the client keeps its own private key"),
      flag("owner", "TEXT", "whose device it is"),
      { ...flag("address", "ADDRESS", "this address instead of the next free one"), many: true },
      flag("psk", "", "with a preshared key, sealed to the router"),
      flag("out", "FILE", "write the configuration there, mode 0600, instead of stdout"),
      flag("qr", "", "print the QR code even off a terminal"),
      flag("no-qr", "", "print no QR code"),
      ...[AT, ...KEYS, ...SITE],
    ],
    exits: [3, 5],
    json: "client, network, profile, addresses, public_key, key_generation, psk, config_id, config or config_file",
  },
  {
    name: "client list",
    operands: "",
    sentence: "List the clients of the inventory.",
    flags: SITE,
    exits: [3],
    json: "clients [{client, owner, state, grants}]",
  },
  {
    name: "client show",
    operands: "NAME",
    sentence: "Show one client of the inventory.",
    flags: SITE,
    exits: [3],
    json: "client, owner, state, services, hints, expires, grants",
  },
  {
    name: "router enrol",
    operands: "ID",
    sentence: "Bring a router into the network: a token, a fingerprint, a signed roster.",
    about: "Writes ID.token, waits until the router has it, and asks you to compare the fingerprint. May be repeated.",
    flags: [
      flag("at", "ADDRESS", "where the router is, or ADDRESS:PORT"),
      flag("fingerprint", "TEXT", "what holdfastd printed, instead of asking"),
      flag("token-file", "FILE", "where the token goes (default: ID.token)"),
      flag("wait", "SECONDS", "how long to wait for the router (default: 900)"),
      ...[...KEYS, ...SITE],
    ],
    exits: [3, 5],
    json: "router, router_id, roster, fingerprint, keys",
  },
  {
    name: "router keys",
    operands: "[ID]",
    sentence: "Fetch the WireGuard public keys that a router made; it makes missing ones.",
    flags: ASKING,
    exits: [3, 5],
    json: "router, version, keys [{network, public_key}]",
  },
  {
    name: "router list",
    operands: "",
    sentence: "List the routers of intent and roster.",
    flags: SITE,
    exits: [3],
    json: "routers [{router, state, router_id, incarnation, keys}]",
  },
  {
    name: "operator lane",
    operands: "",
    sentence: "Show your end of a router's rescue lane.",
    flags: [
      flag("conf", "", "print it as wg-quick text, with your private key"),
      flag("endpoint", "HOST", "where to dial the router (default: its first uplink address)"),
      flag("second", "", "use the lane's second port"),
      ...[ROUTER, ...KEYS, ...SITE],
    ],
    exits: [3],
    json: "router, holder, address, router_address, ports, public_key, endpoint; with --conf port, config",
  },
  ...trustVerbs,
  {
    name: "verify",
    operands: "",
    sentence: "Judge one file offline, as a router or its operator in a given state would.",
    about:
      "DIR holds state.json (docs/bundle-format.md). Prints the code, or ok, and the SHA-256 of the state that\nfollows; a refusal changes nothing.",
    flags: [
      flag("state", "DIR", "the folder of state.json"),
      flag("boottime", "MS", "milliseconds since the router's boot"),
      flag("now", "T", "wall clock in unix seconds, or none; decides nothing"),
      flag("in", "FILE", "the file to judge"),
      flag("kind", "KIND", "what it is (default: what its envelope says); bundle, intent, inventory, secrets"),
      flag("write", "", "store the state that follows"),
      ...COMMON,
    ],
    exits: [3],
    json: "code, state_digest",
  },
  {
    name: "explain",
    operands: "[CODE]",
    sentence: "Say what a problem code or an invariant means, and what to do.",
    flags: COMMON,
    exits: [3],
    json: "code, sentence, safe, next, exit_code, status; an invariant: id, sentence, why, example, fix; or codes [...]",
  },
  {
    name: "doctor",
    operands: "",
    sentence: "Look for trouble: keys, site, Git, receipts, and how the router is.",
    flags: [flag("offline", "", "ask no router"), ...ASKING],
    exits: [3, 5],
    json: "findings [{state, what, text}]",
  },
  {
    name: "completion",
    operands: "SHELL",
    sentence: "Print shell completion for bash, zsh or fish.",
    flags: COMMON,
    exits: [],
    json: "shell, script",
  },
  {
    name: "version",
    operands: "",
    sentence: "Print the version.",
    flags: COMMON,
    exits: [],
    json: "version, desired_format",
  },
];
