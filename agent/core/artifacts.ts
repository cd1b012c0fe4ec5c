/**
 * A generation as plain files: what the restore script reads when there is no agent. One record a line, single
 * spaces, line feed, sorted by code unit, no header. The folder is named by the digest of desired.json.
 */
import { type Desired, desiredText } from "../../schemas/desired.ts";
import { sha256Hex } from "../../schemas/digest.ts";
import { addressLine, linkLine, peerLine, routeLine, ruleLine } from "./lines.ts";
import { markerOf, rulesetText } from "./nft-text.ts";

export type Artifact = { readonly name: string; readonly text: string };

/** Name of the file that pins all the others; its own digest stands in the state record. */
export const MANIFEST = "manifest";

/** Sorted lines. Throws on a record that the script would split wrongly: compile() must not make one. */
function fileText(lines: readonly string[]): string {
  for (const line of lines) {
    if (!/^\S+( \S+)*$/.test(line)) throw new Error(`not a record of single-spaced words: ${JSON.stringify(line)}`);
  }
  return [...lines]
    .sort()
    .map((line) => `${line}\n`)
    .join("");
}

/** Every file of the generation, sorted by name, the manifest (as sha256sum prints it) last. */
export function renderArtifacts(desired: Desired): readonly Artifact[] {
  const text = desiredText(desired);
  const marker = markerOf(sha256Hex(text));
  const files: Artifact[] = [
    { name: "addresses", text: fileText(desired.addresses.map(addressLine)) },
    { name: "desired.json", text },
    { name: "links", text: fileText(desired.links.map(linkLine)) },
    {
      name: "peers",
      text: fileText(desired.links.flatMap((link) => link.peers.map((peer) => peerLine(link.name, peer)))),
    },
    { name: "routes", text: fileText(desired.routes.map(routeLine)) },
    { name: "rules", text: fileText(desired.rules.map(ruleLine)) },
    { name: "ruleset.nft", text: rulesetText(desired.nft, marker) },
    { name: "sysctls", text: fileText(desired.sysctls.map(({ key, value }) => `${key} ${value}`)) },
  ];
  const manifest = files.map((file) => `${sha256Hex(file.text)}  ${file.name}\n`).join("");
  return [...files, { name: MANIFEST, text: manifest }];
}

/** Digest of the manifest: what the state record holds as lkg_manifest and trial_manifest. */
export function manifestDigest(artifacts: readonly Artifact[]): string {
  const manifest = artifacts.find((file) => file.name === MANIFEST);
  if (manifest === undefined) throw new Error("artifacts without a manifest");
  return sha256Hex(manifest.text);
}
