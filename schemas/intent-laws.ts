/**
 * The laws between fields of an intent. Shapes say what a value may be, laws what values may stand together: every
 * one lists all that breaks it, with the place in the document and the fix in the sentence. The site reader, the
 * CLI and the router run the same list; U and V numbers are those of the reference's catalogue of systems.
 */
import type { Intent } from "./intent.ts";
import { indexIntent, type Law } from "./intent-laws-index.ts";
import * as names from "./intent-laws-names.ts";
import * as ports from "./intent-laws-ports.ts";
import * as reach from "./intent-laws-reach.ts";
import * as routers from "./intent-laws-routers.ts";
import * as subnets from "./intent-laws-subnets.ts";
import type { Problem } from "./problem.ts";

const laws: readonly Law[] = [
  names.uniqueIds,
  names.uniqueValues,
  names.reservedNames,
  names.knownReferences,
  names.sameRouter,
  routers.oneZonePerInterface,
  routers.classifiedInterfaces,
  routers.uplinkZones,
  routers.uplinkAddresses,
  routers.localAddresses,
  routers.routes,
  routers.management,
  routers.managementZones,
  subnets.disjointSubnets,
  subnets.ulaOnly,
  subnets.networkSubnets,
  subnets.zoneSubnets,
  subnets.tunnelMtu,
  subnets.dnsServers,
  ports.servicePorts,
  ports.serviceAddresses,
  ports.networkPorts,
  ports.managementPort,
  ports.endpoints,
  ports.portForwards,
  ports.probes,
  ports.confirmWindow,
  ports.probeBudget,
  reach.policies,
  reach.profileReach,
  reach.profileServices,
  reach.allowedPairs,
  reach.nat,
];

/** Everything that breaks a law; [] for a lawful intent. `path` is in document form, "zones[2].subnets[0]". Total. */
export function intentProblems(intent: Intent): readonly Problem[] {
  const index = indexIntent(intent);
  return laws.flatMap((law) => law(index));
}
