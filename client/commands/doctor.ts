/** `doctor`: looks at everything that will matter on the worst day, and says what to do about each finding. */
import { existsSync } from "node:fs";
import packageJson from "../../package.json";
import type { Problem } from "../../schemas/problem.ts";
import { problem } from "../../schemas/problem.ts";
import { gitState } from "../git.ts";
import { keyPath, localHolders, readKeyHead } from "../keys.ts";
import { type Ending, finished, refused, table } from "../out.ts";
import { keyFolder, stateFolder } from "../places.ts";
import { isComplete, needLines, openOnes, type Proposal, readProposals } from "../proposals.ts";
import { keptReceipts, readMemory } from "../receipts-file.ts";
import { readRevocations } from "../revocations.ts";
import { rolePaths } from "../role-keys.ts";
import { askStatus, type Context, type Home, openHome, sessionOf } from "../session.ts";
import { entryOf } from "../trust-change.ts";

type Finding = { readonly state: "ok" | "warn" | "FAIL"; readonly what: string; readonly text: string };
type Look = { readonly findings: readonly Finding[]; readonly problems: readonly Problem[] };

const good = (what: string, text: string): Look => ({ findings: [{ state: "ok", what, text }], problems: [] });
const warn = (what: string, text: string): Look => ({ findings: [{ state: "warn", what, text }], problems: [] });
const bad = (what: string, problems: readonly Problem[]): Look => ({
  findings: problems.map((one) => ({
    state: "FAIL" as const,
    what,
    text: `${one.code}${one.path === "" ? "" : ` at ${one.path}`}`,
  })),
  problems,
});

function lookAtKeys(home: Home): readonly Look[] {
  const { network } = home;
  const holders = localHolders(network);
  const looks: Look[] = [];
  if (holders.length === 0)
    looks.push(bad("keys", [problem("keys.missing", keyFolder(network), "there is no operator key")]));
  const names = [...holders, ...["root", "admin", "recovery"].filter((name) => existsSync(keyPath(network, name)))];
  for (const name of names) {
    const head = readKeyHead(keyPath(network, name));
    if (!head.ok) looks.push(bad("keys", head.problems));
    else if (!head.value.locked) looks.push(warn("keys", `${name}.key is not locked by a passphrase`));
    else looks.push(good("keys", `${name}.key is locked, and only you can read it`));
  }
  if (existsSync(keyPath(network, "recovery"))) {
    looks.push(warn("recovery", `${keyPath(network, "recovery")} is still here: move it to another place`));
  } else looks.push(good("recovery", "recovery.key is not on this machine"));
  return looks;
}

/** Proposals that wait, keys that took themselves back, and files that a rotation left. */
function lookAtTrust(home: Home): readonly Look[] {
  const { crypto, folder, chain, network } = home;
  const open = readProposals(crypto, folder, chain);
  const revoked = readRevocations(home);
  const waits = (one: Proposal): Look =>
    warn("trust", `${one.name} waits: ${isComplete(one) ? "holdfast trust apply" : needLines(one).join("; ")}`);
  const still = (revoked.ok ? revoked.value : []).flatMap(({ key }) => {
    const entry = entryOf(chain.view.roster.message.operators, key);
    return entry?.status === "active" ? [entry.holder] : [];
  });
  const aside = (["root", "admin", "recovery"] as const).flatMap((role) =>
    rolePaths(network, role).filter((path) => path !== keyPath(network, role)),
  );
  const busy = open.ok && openOnes(open.value).length > 0;
  return [
    ...(open.ok ? openOnes(open.value).map(waits) : [bad("trust", open.problems)]),
    ...(open.ok ? open.value.stale.map((name) => warn("trust", `${name} was overtaken: delete it`)) : []),
    ...(revoked.ok ? [] : [bad("operators", revoked.problems)]),
    ...still.map((holder) => warn("operators", `${holder} took the key back: holdfast operator remove ${holder}`)),
    // The one that is put aside signs until the new root is in force.
    ...(busy ? [] : aside.map((path) => warn("keys", `${path} was put aside by a rotation: move it to another place`))),
  ];
}

function lookAtGit(home: Home): Look {
  const git = gitState(home.folder);
  if (git === undefined) return warn("git", "the site is in no Git repository: history and copies are up to you");
  const count = git.uncommitted.length;
  return count === 0
    ? good("git", `clean at ${git.commit.slice(0, 12) || "no commit yet"}`)
    : warn("git", `${count} paths are not committed`);
}

function lookAtReceipts(home: Home): readonly Look[] {
  const active = home.chain.view.roster.message.routers.filter((one) => one.status === "active");
  if (active.length === 0) return [warn("routers", "none is enrolled yet: holdfast router enrol")];
  return active.map((router) => {
    const memory = readMemory(stateFolder(home.network, router.id, router.incarnation));
    if (!memory.ok) return bad("receipts", memory.problems);
    const chain = keptReceipts(home.crypto, router.sign_key, memory.value);
    return chain.ok
      ? good("receipts", `${router.id}: ${memory.value.head.index} kept, chain whole`)
      : bad("receipts", chain.problems);
  });
}

async function lookAtRouter(context: Context, home: Home, id: string): Promise<readonly Look[]> {
  const session = await sessionOf(context, home, id);
  if (!session.ok) return [bad(id, session.problems)];
  const stop = context.voice.progress(`asking ${id}`);
  const standing = await askStatus(session.value);
  stop();
  if (!standing.ok) return [bad(id, standing.problems)];
  const { status } = standing.value;
  const version = status.agent_version;
  return [
    good(id, `answers; generation ${status.lkg_generation} runs`),
    status.guard_alive
      ? good(id, "its guard is alive")
      : bad(id, [{ code: "guard.dead", path: id, detail: "no sign of life" }]),
    ...(status.outside_changed ? [warn(id, `outside: ${status.outside_detail.split("\n")[0]}`)] : []),
    status.drift ? warn(id, `drift: ${status.drift_detail.split("\n")[0]}`) : good(id, "no drift"),
    version === packageJson.version
      ? good(id, `holdfastd ${version}, as here`)
      : warn(id, `holdfastd ${version}, here ${packageJson.version}`),
    ...(status.pending === null ? [] : [warn(id, `generation ${status.pending.generation} is on trial`)]),
  ];
}

/** `holdfast doctor` */
export async function doctor(context: Context): Promise<Ending> {
  const opened = await openHome(context);
  if (!opened.ok) return refused(opened.problems);
  const home = opened.value;
  const wanted = context.args.one("router");
  const routers = home.chain.view.roster.message.routers
    .filter((one) => one.status === "active" && (wanted === undefined || one.id === wanted))
    .map((one) => one.id);
  const looks: Look[] = [
    home.site.ok
      ? good("site", `${home.site.value.inventory.clients.length} clients, every law holds`)
      : bad("site", home.site.problems),
    good(
      "trust",
      `root ${home.chain.view.root.message.version}, roster ${home.chain.view.roster.message.version}, chain whole`,
    ),
    ...lookAtTrust(home),
    ...lookAtKeys(home),
    lookAtGit(home),
    ...lookAtReceipts(home),
  ];
  if (!context.args.has("offline")) for (const id of routers) looks.push(...(await lookAtRouter(context, home, id)));
  const findings = looks.flatMap((look) => look.findings);
  const problems = looks.flatMap((look) => look.problems);
  const answer = table(findings.map(({ state, what, text }) => [state, what, text]));
  return { ...(problems.length === 0 ? finished(answer) : refused(problems)), answer, fields: { findings } };
}
