/**
 * Looks at the IPv4 addresses of a device every millisecond until standard input ends; then says how often it looked,
 * and how often none of the wanted addresses was there. `bun address-child.ts DEVICE ADDRESS...`
 */
import { networkInterfaces } from "node:os";

const [device = "", ...wanted] = process.argv.slice(2);
let samples = 0;
let neither = 0;
let over = false;
process.stdout.write("ready\n");
void Bun.stdin.text().then(() => {
  over = true;
});
while (!over) {
  const now = networkInterfaces()[device] ?? [];
  samples += 1;
  if (!now.some((one) => wanted.includes(one.address))) neither += 1;
  await Bun.sleep(1);
}
process.stdout.write(`${JSON.stringify({ samples, neither })}\n`);
process.exit(0);
