/**
 * One TCP connection that says something twenty times in a second and notes the boot time of the last answer. When
 * standard input ends it tells. `bun stream-child.ts HOST PORT`
 */
import { connect } from "node:net";
import { bootMs } from "../../agent/host/clock.ts";

const [host = "", port = ""] = process.argv.slice(2);
let answers = 0;
let lastMs = 0;
const socket = connect({ host, port: Number(port) });
socket.on("data", () => {
  if (answers === 0) process.stdout.write("ready\n");
  answers += 1;
  lastMs = bootMs();
});
// However it ends: what counts is the last answer.
socket.on("error", () => {});
const timer = setInterval(() => socket.write("x"), 50);
await Bun.stdin.text();
clearInterval(timer);
process.stdout.write(`${JSON.stringify({ answers, lastMs })}\n`);
process.exit(0);
