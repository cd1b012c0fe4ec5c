/** `client list` and `client show`: what the inventory says, without asking any router. */
import type { Client } from "../../schemas/inventory.ts";
import { refuse } from "../../schemas/problem.ts";
import { didYouMean } from "../args.ts";
import { type Ending, finished, refused, table } from "../out.ts";
import { type Context, siteFolder } from "../session.ts";
import { readSite } from "../site/site.ts";

const grantsOf = (client: Client) =>
  client.grants.map(({ network, profile, addresses, keys }) => ({
    ...{ network, profile, addresses },
    keys: keys.map(({ generation, public_key, state, origin, psk }) => ({
      generation,
      public_key,
      state,
      origin,
      psk: psk !== "",
    })),
  }));

/** `holdfast client list` */
export async function clientList({ args }: Context): Promise<Ending> {
  const site = readSite(siteFolder(args));
  if (!site.ok) return refused(site.problems);
  const { clients } = site.value.inventory;
  const rows = clients.flatMap((client) =>
    client.grants.map((grant) => [
      client.id,
      client.state,
      grant.network,
      grant.profile,
      grant.addresses.join(" "),
      client.owner,
    ]),
  );
  const without = clients
    .filter((client) => client.grants.length === 0)
    .map((client) => [client.id, client.state, "-", "-", "-", client.owner]);
  const all = [...rows, ...without].sort((a, b) => (a[0]! < b[0]! ? -1 : 1));
  const text =
    all.length === 0
      ? "No clients yet: holdfast client add NAME --network N --profile P\n"
      : table([["CLIENT", "STATE", "NETWORK", "PROFILE", "ADDRESSES", "OWNER"], ...all]);
  return finished(text, {
    clients: clients.map((client) => ({
      client: client.id,
      owner: client.owner,
      state: client.state,
      grants: grantsOf(client),
    })),
  });
}

/** `holdfast client show NAME` */
export async function clientShow({ args }: Context): Promise<Ending> {
  const site = readSite(siteFolder(args));
  if (!site.ok) return refused(site.problems);
  const [name = ""] = args.operands;
  const { clients } = site.value.inventory;
  const client = clients.find((one) => one.id === name);
  if (client === undefined) {
    const guess = didYouMean(
      name,
      clients.map((one) => one.id),
    );
    return refused(refuse("cli.no_client", name, `the inventory has no such client.${guess}`).problems);
  }
  const { id, owner, state, services, hints, expires } = client;
  const rows = [
    ["client", id],
    ["state", state],
    ...(owner === "" ? [] : [["owner", owner]]),
    ...(expires === "" ? [] : [["expires", expires]]),
    ...(services.length === 0 ? [] : [["services", services.join(" ")]]),
    ...client.grants.flatMap((grant) => [
      ["network", `${grant.network}, profile ${grant.profile}, ${grant.addresses.join(" ")}`],
      ...grant.keys.map((key) => [
        `  key ${key.generation}`,
        `${key.public_key} ${key.state}, made by ${key.origin}${key.psk === "" ? "" : ", preshared key"}`,
      ]),
    ]),
  ];
  return finished(table(rows), { client: id, owner, state, services, hints, expires, grants: grantsOf(client) });
}
