/** `operator lane`: the operator's end of the rescue lane, as text; the CLI never raises interfaces. */
import { operatorRescueAddress, rescuePorts, routerRescueAddress } from "../../agent/core/compile/rescue.ts";
import { laneConfig } from "../../agent/core/wg-text.ts";
import { toBase64 } from "../../schemas/digest.ts";
import { refuse } from "../../schemas/problem.ts";
import { openOperator, wireGuardPrivateKey } from "../keys.ts";
import { type Ending, finished, refused, table } from "../out.ts";
import { passphraseOf } from "../passphrase.ts";
import { heldReport } from "../reports.ts";
import { type Context, chooseRouter, type Home, openHome } from "../session.ts";

/** Where the lane is dialled: --endpoint, the first uplink address, or the first management address. */
function endpointOf({ args }: Context, home: Home, router: string): string | undefined {
  const known = home.intent?.routers.find((one) => one.id === router);
  const uplink = known?.uplinks.flatMap((one) => one.addresses)[0]?.split("/")[0];
  return args.one("endpoint") ?? uplink ?? known?.management.addresses[0];
}

/** `holdfast operator lane [--conf]` */
export async function operatorLane(context: Context): Promise<Ending> {
  const { args } = context;
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const router = chooseRouter(home.value, args.one("router"));
  if (!router.ok) return refused(router.problems);
  const { id } = router.value;
  const report = heldReport(home.value, router.value);
  if (!report.ok) return refused(report.problems);
  const routerKey = report.value?.message.keys.find((one) => one.network === "rescue")?.public_key;
  const endpoint = endpointOf(context, home.value, id);
  if (routerKey === undefined || endpoint === undefined) {
    const what =
      endpoint === undefined ? "no address to dial: give --endpoint HOST" : "the site has no key report of it";
    return refused(refuse("cli.no_lane", id, what).problems);
  }
  const operator = await openOperator(home.value.crypto, home.value.owner, args.one("as"), passphraseOf(args));
  if (!operator.ok) return refused(operator.problems);
  const { holder, lane } = operator.value;
  const networkId = home.value.chain.view.root.message.network_id;
  const [first, second] = rescuePorts(networkId);
  const port = args.has("second") ? second : first;
  const laneKey = toBase64(lane.publicKey);
  const addresses = {
    address: operatorRescueAddress(networkId, laneKey),
    router_address: routerRescueAddress(networkId, id),
  };
  const fields = {
    router: id,
    holder,
    ...addresses,
    ports: [first, second],
    public_key: laneKey,
    endpoint,
  };
  if (!args.has("conf")) {
    const rows = [
      ["router", `${id}, ${addresses.router_address}`],
      ["here", `${holder}, ${addresses.address}`],
      ["key", fields.public_key],
      ["endpoint", `${endpoint}, udp ${first}, or ${second} where a network has the first`],
    ];
    return finished(table(rows), fields);
  }
  const privateKey = wireGuardPrivateKey(lane);
  const conf = laneConfig({ networkId, holder, laneKey, privateKey, router: id, routerKey, endpoint, port });
  return finished(conf, { ...fields, port, config: conf });
}
