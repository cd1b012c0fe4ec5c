/** What to change so that packets which are dropped pass: narrow ways first, each with all that it needs. */
import { LANE_WORDS, namesOf, portText, type SideWord, sideWord } from "../../schemas/contract-words.ts";
import type { Contract, Intent, PortRange, Service } from "../../schemas/intent.ts";
import type { Client } from "../../schemas/inventory.ts";
import type { ContractSubject } from "./contracts-sides.ts";
import type { Change } from "./edits.ts";
import { liesIn } from "./edits-close.ts";

type Changes = readonly Change[];

const add = (list: Change["list"], value: unknown): Change => ({ list, id: "", field: "", op: "add", value });
const into = (list: Change["list"], id: string, field: string, value: unknown): Change => ({
  ...{ list, id, field, op: "add", value },
});

/** A name that nobody has yet, cut to what a name may be. */
function freshName(taken: readonly { readonly id: string }[], wish: string): string {
  const base = wish.replace(/[^a-z0-9-]+/g, "-").slice(0, 28);
  const used = (name: string): boolean => taken.some(({ id }) => id === name);
  for (let n = 1; ; n += 1) {
    const name = n === 1 ? base : `${base}-${n}`;
    if (!used(name)) return name;
  }
}

type Services = { readonly ids: readonly string[]; readonly made: Changes; readonly addressed: boolean };

const span = ({ protocol, from, to }: PortRange): string => `${protocol} ${from} ${to === 0 ? from : to}`;

function serviceOf(intent: Intent, port: PortRange, addresses: readonly string[]): Service | undefined {
  return intent.services.find(
    (one) => one.ports.length === 1 && span(one.ports[0]!) === span(port) && `${one.addresses}` === `${addresses}`,
  );
}

/** Services that the contract asks for: those that there are, and new ones for its ports. */
function servicesOf({ intent }: ContractSubject, contract: Contract, addresses: readonly string[]): Services | null {
  if (contract.services.some((id) => LANE_WORDS.includes(id) || id === "dhcp")) return null;
  const named = contract.services.map((id) => intent.services.find((one) => one.id === id));
  if (named.includes(undefined)) return null;
  const made: Change[] = [];
  const ids = [...contract.services];
  for (const port of contract.ports) {
    const known = serviceOf(intent, port, addresses);
    if (known !== undefined) ids.push(known.id);
    else {
      const where = addresses.length === 0 ? "" : `-${addresses[0]!.replace(/^.*[.:](?=[^.:])/, "")}`;
      const id = freshName(intent.services, `${portText(port).replace("/", "-")}${where}`);
      made.push(add("services", { id, addresses: [...addresses], ports: [port] }));
      ids.push(id);
    }
  }
  const addressed =
    named.every((one) => one!.addresses.length > 0) && (contract.ports.length === 0 || addresses.length > 0);
  return { ids, made, addressed };
}

/** The zone, network or router that a side is, or lies in; undefined where there is not exactly one. */
function placeOf({ intent, router }: ContractSubject, word: SideWord): string | undefined {
  if (word.kind === "router") return "router";
  if (word.kind === "zone" || word.kind === "network") return word.name;
  const zones = intent.zones.filter((zone) => zone.router === router);
  const uplinks = zones.filter((zone) => zone.kind === "uplink");
  const near =
    word.kind === "address"
      ? zones.filter((zone) => zone.subnets.some((subnet) => liesIn(word.text, subnet)))
      : word.kind === "internet"
        ? uplinks
        : [];
  return near.length === 1 ? near[0]!.id : undefined;
}

/** A policy between two places: services into one that is there, its other family, or a new one. */
function policyWays(
  { intent }: ContractSubject,
  from: string,
  to: string,
  contract: Contract,
  services: Services,
): readonly Changes[] {
  const { ids, made } = services;
  const between = intent.policies.filter((one) => one.from === from && one.to === to);
  const families = (["v4", "v6"] as const).filter((family) => contract[family]);
  const enough = between.find((one) =>
    ids.length === 0 ? one.services.length === 0 : ids.every((id) => one.services.includes(id)),
  );
  const wider = enough === undefined ? [] : families.filter((family) => !enough[family]);
  if (enough !== undefined && wider.length > 0) {
    return [wider.map((field): Change => ({ list: "policies", id: enough.id, field, op: "set", value: true }))];
  }
  const known = between.find((one) => one.services.length > 0 && families.every((family) => one[family]));
  if (known !== undefined && ids.length > 0) {
    const missing = ids.filter((id) => !known.services.includes(id));
    return [[...made, ...missing.map((id) => into("policies", known.id, "services", id))]];
  }
  const id = freshName(intent.policies, `${from}-${to}`);
  const { v4, v6 } = contract;
  return [[...made, add("policies", { id, from, to, services: [...ids], v4, v6 })]];
}

/** What a profile gives: services, a zone, the internet. */
function profileWays(
  { intent }: ContractSubject,
  profile: string,
  to: SideWord,
  place: string | undefined,
  contract: Contract,
  { ids, made }: Services,
): readonly Changes[] {
  const found = intent.profiles.find((one) => one.id === profile);
  if (found === undefined) return [];
  if (ids.length > 0) {
    const missing = ids.filter((id) => !found.services.includes(id));
    return missing.length === 0 ? [] : [[...made, ...missing.map((id) => into("profiles", profile, "services", id))]];
  }
  // Not everybody who has the profile need have both families.
  const wanted = [contract, ...(contract.v4 && contract.v6 ? [{ v4: true, v6: false }] : [])];
  if (to.kind === "internet") {
    return wanted.map((flags) =>
      (["v4", "v6"] as const)
        .filter((family) => flags[family] && !found.internet[family])
        .map((family): Change => {
          return { list: "profiles", id: profile, field: `internet.${family}`, op: "set", value: true };
        }),
    );
  }
  if (to.kind !== "zone" || place === undefined || found.reach.some((reach) => reach.zone === place)) return [];
  return wanted.map(({ v4, v6 }) => [into("profiles", profile, "reach", { zone: place, v4, v6 })]);
}

/** A port-forward for each port of an address inside, at the first IPv4 address of the uplinks. */
function forwardWays(
  { intent, router }: ContractSubject,
  from: SideWord,
  to: SideWord,
  contract: Contract,
): readonly Changes[] {
  if (to.kind !== "address" || to.prefix.family !== 4 || to.prefix.length !== 32) return [];
  const uplink = intent.zones.find(
    (zone) =>
      zone.router === router &&
      zone.kind === "uplink" &&
      (from.kind === "internet" || (from.kind === "zone" && from.name === zone.id)),
  );
  const own = intent.routers.find((one) => one.id === router)!.uplinks;
  const address = own
    .filter((one) => uplink?.interfaces.includes(one.interface))
    .flatMap((one) => one.addresses)
    .find((text) => !text.includes(":"));
  const ports = [
    ...contract.ports,
    ...contract.services.flatMap((id) => intent.services.find((one) => one.id === id)?.ports ?? []),
  ];
  if (
    uplink === undefined ||
    address === undefined ||
    ports.length === 0 ||
    ports.some((port) => port.protocol === "icmp")
  )
    return [];
  const taken = [...intent.port_forwards];
  return [
    ports.map((port) => {
      const id = freshName(taken, `${portText(port).replace("/", "-")}`);
      const count = port.to === 0 ? 1 : port.to - port.from + 1;
      const { protocol, from: first } = port;
      const value = {
        id,
        zone: uplink.id,
        address: address.split("/")[0]!,
        protocol,
        port: first,
        to_address: to.text.split("/")[0]!,
        to_port: first,
        count,
      };
      taken.push(value as (typeof taken)[number]);
      return add("port_forwards", value);
    }),
  ];
}

const profilesOf = ({ intent, router }: ContractSubject, client: Client): readonly string[] => {
  const here = new Set(intent.networks.filter((one) => one.router === router).map((one) => one.id));
  return [...new Set(client.grants.filter((grant) => here.has(grant.network)).map((grant) => grant.profile))];
};

/** Ways to let what a contract asks for pass, the narrowest first. What they come to is not known yet. */
export function opening(subject: ContractSubject, contract: Contract): readonly Changes[] {
  const names = namesOf(subject.intent, subject.inventory);
  const [from, to] = [sideWord(names, contract.from, "from"), sideWord(names, contract.to, "to")];
  if ("code" in from || "code" in to) return [];
  const services = servicesOf(subject, contract, to.kind === "address" ? [to.text] : []);
  if (services === null) return [];
  const place = placeOf(subject, to);
  const inward =
    from.kind === "internet" ||
    subject.intent.zones.some((zone) => zone.kind === "uplink" && from.kind === "zone" && zone.id === from.name);
  if (inward && to.kind !== "router") return forwardWays(subject, from, to, contract);
  const client = from.kind === "client" ? subject.inventory.clients.find((one) => one.id === from.name) : undefined;
  const profiles = from.kind === "profile" ? [from.name] : client === undefined ? [] : profilesOf(subject, client);
  const ways: Changes[] = [];
  if (client !== undefined && services.ids.length > 0 && services.addressed) {
    const missing = services.ids.filter((id) => !client.services.includes(id));
    ways.push([...services.made, ...missing.map((id) => into("clients", client.id, "services", id))]);
  }
  ways.push(...profiles.flatMap((one) => profileWays(subject, one, to, place, contract, services)));
  const start = placeOf(subject, from);
  if (start !== undefined && start !== "router" && place !== undefined)
    ways.push(...policyWays(subject, start, place, contract, services));
  return ways.filter((changes) => changes.length > 0);
}
