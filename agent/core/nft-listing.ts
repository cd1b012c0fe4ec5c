/** What nft prints of the owned table, brought to one order and, where asked, freed of the epoch. */

/**
 * `nft -s list table` with one fact a line in one order: the kernel lists objects as they were made, and elements
 * of concatenated interval sets as they were added. Lines are "object TAB place TAB text", place being the
 * line's number inside the object or "=" for an element, sorted by code unit (`LC_ALL=C sort`).
 */
export function normalListing(listing: string): string {
  const facts: string[] = [];
  let object = "";
  let place = 0;
  let inside = false; // an element list goes on over several lines
  for (const line of listing.split("\n")) {
    const text = line.trim();
    if (/^\t[a-z]/.test(line) && text.endsWith("{")) {
      object = text.slice(0, -1).trim();
      place = 0;
      facts.push(`${object}\t\t`);
    } else if (object === "" || text === "") {
      // the table's own lines
    } else if (text === "}") object = "";
    else if (inside || text.startsWith("elements = {")) {
      const elements = text
        .replace(/^elements = \{ /, "")
        .replace(/ \}$/, "")
        .replace(/,$/, "");
      for (const element of elements.split(", ")) facts.push(`${object}\t=\t${element}`);
      inside = !text.endsWith(" }");
    } else {
      facts.push(`${object}\t${String(place).padStart(4, "0")}\t${text}`);
      place += 1;
    }
  }
  return facts.sort().join("\n");
}

/** Words of rules that carry the epoch in their upper half, e.g. 0x0007ffff under epoch 7. */
export function withoutEpoch(normal: string, epoch: number): string {
  const upper = epoch.toString(16).padStart(4, "0");
  const word = new RegExp(`0x${upper}([0-9a-f]{4})`, "g");
  return normal
    .split("\n")
    .map((fact) => (/\t\d{4}\t.*\bct mark\b/.test(fact) ? fact.replace(word, "$HF_EPOCH:$1") : fact))
    .join("\n");
}
