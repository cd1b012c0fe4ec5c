/** `npm run bench -- NAME [options]`: numbers with their floor beside them. Asserts nothing about time. */
import { admit } from "./admit.ts";
import { proof } from "./proof.ts";

const benches: Readonly<Record<string, (words: readonly string[]) => Promise<number>>> = { admit, proof };

const [name = "", ...words] = process.argv.slice(2);
const bench = Object.hasOwn(benches, name) ? benches[name] : undefined;
if (bench === undefined) {
  console.error(`usage: npm run bench -- ${Object.keys(benches).join("|")} [options]`);
  process.exit(2);
}
process.exit(await bench(words));
