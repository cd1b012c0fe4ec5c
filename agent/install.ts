/** `holdfastd install`: the scripts and units that this program carries, written to where init looks for them. */
import { copyFileSync, existsSync, linkSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import artifacts from "./scripts/artifacts.sh" with { type: "text" };
import fence from "./scripts/fence.sh" with { type: "text" };
import boot from "./scripts/holdfast-boot" with { type: "text" };
import fenceCommand from "./scripts/holdfast-fence" with { type: "text" };
import guard from "./scripts/holdfast-guard" with { type: "text" };
import restore from "./scripts/holdfast-restore" with { type: "text" };
import step from "./scripts/holdfast-step" with { type: "text" };
import write from "./scripts/holdfast-write" with { type: "text" };
import kernel from "./scripts/kernel.sh" with { type: "text" };
import plan from "./scripts/plan.sh" with { type: "text" };
import record from "./scripts/record.sh" with { type: "text" };
import rescue from "./scripts/rescue.nft" with { type: "text" };
import openrcBoot from "./scripts/units/openrc/holdfast-boot" with { type: "text" };
import openrcGuard from "./scripts/units/openrc/holdfast-guard" with { type: "text" };
import openrcAgent from "./scripts/units/openrc/holdfastd" with { type: "text" };
import procdBoot from "./scripts/units/procd/holdfast-boot" with { type: "text" };
import procdGuard from "./scripts/units/procd/holdfast-guard" with { type: "text" };
import procdAgent from "./scripts/units/procd/holdfastd" with { type: "text" };
import systemdBoot from "./scripts/units/systemd/holdfast-boot.service" with { type: "text" };
import systemdGuard from "./scripts/units/systemd/holdfast-guard.service" with { type: "text" };
import systemdAgent from "./scripts/units/systemd/holdfastd.service" with { type: "text" };

const programs = {
  "holdfast-boot": boot,
  "holdfast-fence": fenceCommand,
  "holdfast-guard": guard,
  "holdfast-restore": restore,
  "holdfast-step": step,
  "holdfast-write": write,
};
const parts = {
  "artifacts.sh": artifacts,
  "fence.sh": fence,
  "kernel.sh": kernel,
  "plan.sh": plan,
  "record.sh": record,
  "rescue.nft": rescue,
};

/** Where units go, what they are, and how they are switched on. */
const inits = {
  systemd: {
    folder: "etc/systemd/system",
    mode: 0o644,
    units: {
      "holdfast-boot.service": systemdBoot,
      "holdfast-guard.service": systemdGuard,
      "holdfastd.service": systemdAgent,
    },
    next: "systemctl daemon-reload && systemctl enable --now holdfast-boot holdfast-guard holdfastd",
  },
  openrc: {
    folder: "etc/init.d",
    mode: 0o755,
    units: { "holdfast-boot": openrcBoot, "holdfast-guard": openrcGuard, holdfastd: openrcAgent },
    next: "rc-update add holdfast-boot boot && rc-update add holdfast-guard default && rc-update add holdfastd default",
  },
  procd: {
    folder: "etc/init.d",
    mode: 0o755,
    units: { "holdfast-boot": procdBoot, "holdfast-guard": procdGuard, holdfastd: procdAgent },
    next: "for unit in holdfast-boot holdfast-guard holdfastd; do /etc/init.d/$unit enable; done",
  },
} as const;

export type InitName = keyof typeof inits;

/** The init system of the tree below `root`; undefined when none is recognised. */
export function detectInit(root: string): InitName | undefined {
  if (existsSync(join(root, "sbin/procd"))) return "procd";
  if (existsSync(join(root, "sbin/openrc-run"))) return "openrc";
  return ["usr/lib/systemd/systemd", "lib/systemd/systemd"].some((path) => existsSync(join(root, path)))
    ? "systemd"
    : undefined;
}

function put(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, text, { mode });
  renameSync(`${path}.new`, path);
}

/** The compiled program under both of its names, one inode. From source there is none to copy. */
function putProgram(folder: string): boolean {
  if (!import.meta.path.startsWith("/$bunfs/")) return false;
  mkdirSync(folder, { recursive: true });
  const fresh = join(folder, ".holdfastd.new");
  copyFileSync(process.execPath, fresh);
  for (const name of ["holdfastd", "holdfast"]) {
    const link = join(folder, `.${name}.link`);
    rmSync(link, { force: true });
    linkSync(fresh, link);
    renameSync(link, join(folder, name));
  }
  rmSync(fresh);
  return true;
}

/** Writes everything below `root`; enables nothing, but says how. Returns the exit code. */
export function install(
  options: { readonly root: string; readonly lib: string; readonly init: string | undefined },
  say: (text: string) => void,
): number {
  const init = options.init ?? detectInit(options.root);
  if (init === undefined || !Object.hasOwn(inits, init)) {
    say("holdfastd: name the init system: --init systemd, openrc or procd");
    return 2;
  }
  const { folder, mode, units, next } = inits[init as InitName];
  const lib = join(options.root, options.lib);
  for (const [name, text] of Object.entries(programs)) put(join(lib, name), text, 0o755);
  for (const [name, text] of Object.entries(parts)) put(join(lib, name), text, 0o644);
  for (const [name, text] of Object.entries(units)) put(join(options.root, folder, name), text, mode);
  const copied = putProgram(join(options.root, "usr/bin"));
  say(`scripts in ${lib}, ${init} units in ${join(options.root, folder)}${copied ? ", program in /usr/bin" : ""}`);
  say(`next: ${next}`);
  return 0;
}
