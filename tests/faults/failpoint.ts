/**
 * The failpoints of the test build (see netns/program.ts). The file `failpoints/plan` beside the state folder says
 * what happens where; without it nothing does. It is read at every passing, so a test sets it while the agent runs.
 */
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pointName } from "./points.ts";

const state = process.argv[process.argv.indexOf("--state") + 1] ?? "";
const folder = join(dirname(state), "failpoints");

let plan = "";
let passed = 0;

function readPlan(): string {
  try {
    return readFileSync(join(folder, "plan"), "utf8");
  } catch {
    return "";
  }
}

function fail(code: string): never {
  writeFileSync(join(folder, "hit"), code);
  throw Object.assign(new Error(`${code}: failpoint`), { code });
}

export function failpoint(step: string, target: string): void {
  const text = readPlan();
  if (text !== plan) [plan, passed] = [text, 0];
  if (plan === "") return;
  const [action = "", nth = "", ...words] = plan.trimEnd().split(" ");
  const name = pointName(step, target);
  if (action === "trace") appendFileSync(join(folder, "trace"), `${name}\n`);
  if (name !== words.join(" ")) return;
  passed += 1;
  if (passed !== Number(nth)) return;
  if (action === "kill") process.kill(process.pid, "SIGKILL");
  else if (action !== "trace") fail(action);
}
