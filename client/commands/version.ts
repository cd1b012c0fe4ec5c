/** `version` */
import packageJson from "../../package.json";
import { DESIRED_FORMAT } from "../../schemas/desired.ts";
import { type Ending, finished } from "../out.ts";

/** `holdfast version` */
export async function version(): Promise<Ending> {
  const text = `holdfast ${packageJson.version}`;
  return finished(text, { version: packageJson.version, desired_format: DESIRED_FORMAT });
}
