/** Beacons as others see them: a router's word about where it stands, which a directive may cite to be fresh. */
import { equalBytes } from "../../schemas/digest.ts";
import { type Result, refuse } from "../../schemas/problem.ts";
import type { RosterRouter } from "../../schemas/trust.ts";
import type { Crypto } from "./crypto.ts";
import { type Opened, openStatement, soleSigner } from "./dsse.ts";

/**
 * A beacon of this router, signed by it alone. How old it is only the router itself can tell. Codes trust.one_signer,
 * trust.signer_unknown, trust.network, trust.router, trust.incarnation.
 */
export function openBeacon(
  crypto: Crypto,
  router: Pick<RosterRouter, "router_id" | "incarnation" | "sign_key">,
  networkId: Uint8Array,
  bytes: Uint8Array,
): Result<Opened<"beacon">> {
  const opened = openStatement(crypto, "beacon", bytes);
  if (!opened.ok) return opened;
  const { message } = opened.value;
  const signer = soleSigner(opened.value);
  if (!signer.ok) return signer;
  if (!equalBytes(signer.value, router.sign_key)) return refuse("trust.signer_unknown", "beacon", "not this router");
  if (!equalBytes(message.network_id, networkId)) return refuse("trust.network", "beacon.network_id", "another one");
  if (!equalBytes(message.router_id, router.router_id)) {
    return refuse("trust.router", "beacon.router_id", "another one");
  }
  if (message.incarnation !== router.incarnation) {
    return refuse("trust.incarnation", "beacon.incarnation", `${message.incarnation}, not ${router.incarnation}`);
  }
  return opened;
}
