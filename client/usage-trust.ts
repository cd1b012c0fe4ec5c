/** The verbs about people and documents of trust. */
import { AT, type Flag, flag, KEYS, LOCK, ROUTER, SITE, type Verb } from "./usage-flags.ts";

const many = (one: Flag): Flag => ({ ...one, many: true });
const SURE = flag("yes", "", "without asking");
const MAX_CLASS = flag(
  "max-class",
  "CLASS",
  "routine, sensitive, trust or recovery: the most they sign (default: recovery)",
);
const FINGERPRINT = flag("fingerprint", "TEXT", "the letters that its owner read out, instead of asking");
const STEP = "state (in force or waiting), version, needs [{role, root, threshold, signed, others}]";
const PROPOSALS = "proposals [{kind, version, file, changes, needs, complete}]";

export const trustVerbs: readonly Verb[] = [
  {
    name: "operator new",
    operands: "",
    sentence: "Make your keys on this machine, and the card that tells the other operators of you.",
    about:
      "Run it in a copy of the site. The card holds public keys only; read its fingerprint to the operator who adds\nyou. May be repeated: keys that are there are used again.",
    flags: [
      flag("holder", "NAME", "your name in the documents of trust"),
      many(flag("role", "ROLE", "also a root, admin or recovery key, for a place in the root")),
      flag("out", "FILE", "where the card goes (default: NAME.card)"),
      flag("plain", "", "key files without a passphrase"),
      ...[LOCK, ...SITE],
    ],
    exits: [3],
    json: "holder, card, fingerprint, root_fingerprint, files, keys [{role, public_key, fingerprint}]",
  },
  {
    name: "operator add",
    operands: "CARD",
    sentence: "Let the owner of a card sign directives: the next roster, by the ADMIN key.",
    about: "Where the site needs several admins, the roster waits in trust/proposed: exit 8.",
    flags: [MAX_CLASS, FINGERPRINT, SURE, LOCK, ...SITE],
    exits: [3, 8],
    json: `holder, max_class, fingerprint, ${STEP}`,
  },
  {
    name: "operator remove",
    operands: "HOLDER",
    sentence: "Take somebody's operator keys out of the roster.",
    about: "A stolen key loses the rescue lane with the trial of the next push; another one when that is confirmed.",
    flags: [flag("stolen", "", "somebody else has the key"), LOCK, ...SITE],
    exits: [3, 8],
    json: `holder, status, ${STEP}`,
  },
  {
    name: "operator list",
    operands: "",
    sentence: "List the operators of the roster.",
    flags: SITE,
    exits: [3],
    json: "operators [{holder, max_class, status, self_revoked, roles, here, fingerprint}]",
  },
  {
    name: "operator revoke",
    operands: "",
    sentence: "Take your own operator key back, at once and for ever.",
    about:
      "Needs nobody else. Tells every router that answers, and writes trust/revoked/NAME.dsse, which every later push\nfrom the site shows to the others.",
    flags: [flag("reason", "TEXT", "why, for the others"), SURE, ROUTER, AT, ...KEYS, ...SITE],
    exits: [3, 5],
    json: "holder, file, reason, routers [{router, heard, code}]",
  },
  {
    name: "trust show",
    operands: "",
    sentence: "Show who holds which keys, what has to sign what, and which proposals wait for whom.",
    flags: SITE,
    exits: [3],
    json: `network, network_id, root_fingerprint, solo, root, roster, operators, thresholds, classes,\n  keys [{role, holder, public_key, fingerprint}], ${PROPOSALS}, stale`,
  },
  {
    name: "trust propose",
    operands: "",
    sentence: "Propose the next root: people join or leave, thresholds change.",
    about:
      "Writes root and roster into trust/proposed, signed by your keys. A threshold that is not given stays as it is, as\nfar as more than half of the holders must sign.",
    flags: [
      many(flag("join", "CARD", "the owner of this card gets the roles on it, and is an operator")),
      many(flag("drop", "HOLDER", "out of the root, and no operator any more")),
      many(flag("stolen", "HOLDER", "as --drop, and somebody else has the keys")),
      flag("root-threshold", "N", "people who must sign the next root"),
      flag("admin-threshold", "N", "people who must sign a roster"),
      flag("recovery-threshold", "N", "people who must sign a recovery"),
      many(flag("class", "CLASS=N", "operators who must sign changes of this class: sensitive=2")),
      ...[MAX_CLASS, many(FINGERPRINT), SURE, LOCK, ...SITE],
    ],
    exits: [3, 8],
    json: `state (complete or waiting), ${PROPOSALS}`,
  },
  {
    name: "trust sign",
    operands: "",
    sentence: "Read every open proposal, and add the signatures of your keys.",
    flags: [SURE, LOCK, ...SITE],
    exits: [3, 8],
    json: `state (complete or waiting), ${PROPOSALS}`,
  },
  {
    name: "trust apply",
    operands: "",
    sentence: "Put the proposals into force that enough people signed.",
    about: "Routers learn of it with the next push.",
    flags: SITE,
    exits: [3],
    json: "root, roster",
  },
  {
    name: "trust rotate",
    operands: "ROLE",
    sentence: "Make a new root, admin or recovery key of your own, and propose the root that names it.",
    about: "The old file is kept as ROLE.N.key: it signs until the new root is in force.",
    flags: [flag("plain", "", "a key file without a passphrase, where there is none yet"), SURE, ...KEYS, ...SITE],
    exits: [3, 8],
    json: `role, holder, key_file, fingerprint, state (complete or waiting),\n  ${PROPOSALS}`,
  },
];
