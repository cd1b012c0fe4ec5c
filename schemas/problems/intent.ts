/** Refusals of a site: its files, the laws of intent and inventory, contracts, and the invariants of what they compile to. */
import type { ProblemEntry } from "./entry.ts";

const UNTOUCHED = "Nothing was sent and nothing was changed.";

/** Every refusal here comes before the first change, on the CLI and again on the router. */
const entry = (code: string, sentence: string, next: string): ProblemEntry => ({
  code,
  sentence,
  status: 409,
  exit: 3,
  safe: UNTOUCHED,
  next,
});

export const intentProblems: readonly ProblemEntry[] = [
  entry(
    "intent.unknown_key",
    "The file intent.yaml has a key that does not exist.",
    "Correct the spelling, or remove the key; docs/intent.md lists every key.",
  ),
  entry(
    "intent.missing_key",
    "The file intent.yaml lacks a key that is needed.",
    "Add the key; docs/intent.md shows its values.",
  ),
  entry(
    "intent.shape",
    "A value in intent.yaml is not what its key takes.",
    "Read the detail; docs/intent.md shows the values of every key.",
  ),
  entry("intent.duplicate", "The intent says one thing twice.", "Remove or rename one of the two."),
  entry(
    "intent.reserved_name",
    "The intent gives a name that has a fixed meaning.",
    "Choose another name than rescue, router or internet.",
  ),
  entry("intent.no_such", "The intent names something that does not exist.", "Add it, or correct the name."),
  entry("intent.other_router", "The intent joins things of two routers.", "Name things of one router."),
  entry(
    "intent.interface",
    "An interface is in no zone, or in more than one place.",
    "Put every interface into exactly one zone.",
  ),
  entry(
    "intent.uplink",
    "An uplink and its zone, addresses or gateways do not fit together.",
    "Read the detail; docs/intent.md describes uplinks.",
  ),
  entry(
    "intent.address",
    "An address of a router cannot be used as it stands.",
    "Choose an address as the detail says.",
  ),
  entry("intent.route", "A route leads nowhere, or into a WireGuard device.", "Correct or remove the route."),
  entry(
    "intent.management",
    "The router could not be managed as the intent says.",
    "Name an address of the router and a zone that reaches it.",
  ),
  entry("intent.overlap", "Two zones or networks share addresses.", "Give each its own subnet."),
  entry(
    "intent.not_ula",
    "IPv6 behind the uplinks is not from the site's own unique local prefix.",
    "Use subnets of ula_prefix; NAT66 is there for the internet.",
  ),
  entry(
    "intent.subnet",
    "A subnet is missing, or cannot serve its zone or network.",
    "Correct the subnet as the detail says.",
  ),
  entry("intent.mtu", "A tunnel's packets do not fit its uplink.", "Lower the network's mtu."),
  entry("intent.family", "Something uses an address family that is not there.", "Add the family, or do not use it."),
  entry(
    "intent.internet",
    "A profile promises an internet that its network does not have.",
    "Add the uplink or masquerade entry, or use another profile.",
  ),
  entry(
    "intent.masquerade",
    "A masquerade entry cannot work.",
    "Name a source with IPv4 and an uplink zone that has it.",
  ),
  entry(
    "intent.nat66",
    "NAT66 is missing where it is needed, or cannot work.",
    "NAT66 needs an entry of its own, IPv6 on both sides and forward_v6.",
  ),
  entry(
    "intent.wg_to_wg",
    "The intent lets WireGuard networks meet.",
    "Each network is a domain of its own; let both reach a zone instead.",
  ),
  entry(
    "intent.experimental",
    "Something experimental would reach production or management.",
    "Keep experimental zones and networks apart, or make them production.",
  ),
  entry(
    "intent.policy",
    "A policy opens what no policy may open.",
    "Read the detail; use port-forwards or named services.",
  ),
  entry(
    "intent.service",
    "The addresses or ports of a service do not make sense.",
    "Correct the service as the detail says.",
  ),
  entry("intent.port", "A port is taken or reserved.", "Choose a free port, from 51820 up."),
  entry(
    "intent.port_forward",
    "A port-forward cannot work, or would take something away.",
    "Correct the port-forward as the detail says.",
  ),
  entry("intent.endpoint", "Clients could not dial an endpoint.", "Name a host or address outside every tunnel."),
  entry("intent.probe", "A probe has not the fields of its kind.", "Correct the probe as the detail says."),
  entry(
    "intent.probe_budget",
    "A probe can take so long that the confirm window would not fit under its absolute limit.",
    "Raise confirm.cap_s, or give the probe fewer attempts or a shorter timeout.",
  ),
  entry(
    "intent.window",
    "The confirm window is longer than its absolute limit.",
    "Raise confirm.cap_s or lower confirm.window_s.",
  ),
  entry(
    "inventory.unknown_key",
    "The file inventory.yaml has a key that does not exist.",
    "Correct the spelling, or remove the key; docs/inventory.md lists every key.",
  ),
  entry(
    "inventory.missing_key",
    "The file inventory.yaml lacks a key that is needed.",
    "Add the key; docs/inventory.md shows its values.",
  ),
  entry(
    "inventory.shape",
    "A value in inventory.yaml is not what its key takes.",
    "Read the detail; docs/inventory.md shows the values of every key.",
  ),
  entry("inventory.duplicate", "The inventory says one thing twice.", "Remove or rename one of the two."),
  entry(
    "inventory.reserved_name",
    "A client has a name with a fixed meaning.",
    "Choose another name than rescue, router or internet.",
  ),
  entry(
    "inventory.no_such",
    "The inventory names something that the intent does not have.",
    "Add it to intent.yaml, or correct the name.",
  ),
  entry("inventory.date", "A date does not exist.", "Write a day of the calendar, like 2026-11-24."),
  entry("inventory.address", "An address cannot be a client's.", "holdfast client add picks a free one."),
  entry("inventory.address_taken", "Two clients have one address.", "Give one of them a free address."),
  entry(
    "inventory.tombstone",
    "An address still has the tombstone of an earlier client.",
    "Choose an address that nobody had.",
  ),
  entry(
    "inventory.family",
    "A grant's addresses do not fit the families that it uses.",
    "Add the address, or use a profile without the family.",
  ),
  entry(
    "inventory.profile_not_allowed",
    "A grant has a profile that its network does not allow.",
    "Grant an allowed profile, or extend the constraint.",
  ),
  entry("inventory.excludes", "A client has excludes, but no full tunnel.", "Remove the excludes."),
  entry("inventory.key_reused", "One WireGuard key is used in two places.", "Make a new key for one of them."),
  entry(
    "inventory.psk_reused",
    "One preshared key is used in two places.",
    "Make a new preshared key for one of them.",
  ),
  entry(
    "inventory.key_burnt",
    "A key of the burnt-key ledger is in use.",
    "Make a new key; burnt keys never come back.",
  ),
  entry("inventory.key_not_in_ledger", "A burnt key is not in the ledger.", "Add its fingerprint to the ledger."),
  entry(
    "inventory.key_count",
    "A grant has not exactly the live keys it needs.",
    "An active client has one live key per grant.",
  ),
  entry(
    "inventory.revoked_key",
    "A revoked client still has a usable key.",
    "Set its keys to burnt and add them to the ledger.",
  ),
  entry(
    "site.missing_file",
    "A file of the site is not there.",
    "Run the command in the site's folder; holdfast init makes a new one.",
  ),
  entry(
    "site.unreadable",
    "A file of the site cannot be read or written.",
    "Check the file's owner and permissions, and the disk.",
  ),
  entry(
    "site.too_large",
    "A file of the site is larger than it may be.",
    "Read the detail for the limit; remove what does not belong there.",
  ),
  entry(
    "site.bad_yaml",
    "A file of the site is not the YAML that Holdfast reads.",
    "Correct the file at the line and column shown.",
  ),
  entry("site.duplicate_key", "A file of the site gives one key twice.", "Remove one of the two."),
  entry("site.aliases", "A file of the site uses YAML aliases beyond all need.", "Write the values out."),
  entry(
    "site.changed",
    "A file of the site changed while it was being edited.",
    "Look at the change, then run the command again.",
  ),
  entry(
    "site.trust_conflict",
    "Another trust document of this version is already in the site.",
    "Compare both; a version is written once.",
  ),
  entry(
    "contract.ambiguous",
    "A contract has a name that two things have.",
    "Say which one it is, as in `client alice`.",
  ),
  entry(
    "contract.violated",
    "What would be loaded breaks a contract of the site.",
    "Correct the policy that the detail names, or the contract; holdfast ask shows any packet's way.",
  ),
  entry(
    "contract.undecided",
    "A contract cannot be decided, and is not passed unread.",
    "Read the detail for the reason; say the contract in other words, or remove it.",
  ),
  entry(
    "invariant.violated",
    "The compiled state breaks an invariant.",
    "Read the detail; docs/invariants.md explains each one.",
  ),
];
