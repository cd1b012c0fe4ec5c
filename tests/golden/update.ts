/** Rewrites what every story comes to; read the difference before you commit it. `bun tests/golden/update.ts [NAME]` */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { folder, outcomes, readStory, storyNames } from "./golden.ts";

for (const name of storyNames().filter((one) => one.includes(process.argv[2] ?? ""))) {
  for (const [file, text] of outcomes(readStory(name))) writeFileSync(join(folder, name, file), text);
}
