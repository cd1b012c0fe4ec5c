/**
 * One life of a router in a virtual machine, from power-on to the cut: its state disk, a control port that runs
 * commands inside, and the way of an operator in its LAN to its agent.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Send } from "../agent/operator.ts";
import type { Image } from "./image.ts";
import { boot, type Hardware, type Machine } from "./machine.ts";

export type Output = { readonly exit: number; readonly out: string };

export type Life = {
  readonly state: string; // path of the disk with the state folder
  readonly log?: string; // file for the log of all writes to it
  readonly init?: string; // first process, /start when absent
  readonly devices?: readonly string[]; // more words for QEMU
  /** Words for QEMU instead of the plain state disk; its node must be called "state". */
  readonly disk?: readonly string[];
  readonly modules?: readonly string[]; // of the kernel, with their options, before init
  readonly within?: Hardware["within"];
  /** Ports that others on loopback reach: "udp:127.0.0.1:PORT-10.0.0.1:PORT". Only for a machine in a namespace. */
  readonly forwards?: readonly string[];
};

/** A port that nobody has now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

function stateDisk({ state, log }: Life): readonly string[] {
  const file = `driver=file,filename=${state}`;
  if (log === undefined) return ["-blockdev", `${file},node-name=state`];
  return [
    ...["-blockdev", `${file},node-name=below`, "-blockdev", `driver=file,filename=${log},node-name=log`],
    ...["-blockdev", "driver=blklogwrites,file=below,log=log,node-name=state"],
  ];
}

/** Commands one after the other over the control port. */
class Control {
  readonly #path: string;
  #socket: Bun.Socket | undefined;
  #text = "";
  #wake: () => void = () => {};
  #turn: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  async #open(limit: number): Promise<Bun.Socket> {
    while (this.#socket === undefined) {
      try {
        this.#socket = await Bun.connect({
          unix: this.#path,
          socket: {
            data: (_, data) => {
              this.#text += new TextDecoder("latin1").decode(data);
              this.#wake();
            },
          },
        });
      } catch (failure) {
        if (performance.now() > limit) throw failure;
        await Bun.sleep(20);
      }
    }
    return this.#socket;
  }

  async #ask(script: string, limit: number): Promise<Output> {
    const socket = await this.#open(limit);
    socket.write(`${Buffer.from(script).toString("base64")}\n`);
    for (;;) {
      const at = this.#text.indexOf("\n");
      if (at >= 0) {
        const [exit = "", out = ""] = this.#text.slice(0, at).split(" ");
        this.#text = this.#text.slice(at + 1);
        return { exit: Number(exit), out: Buffer.from(out, "base64").toString() };
      }
      if (performance.now() > limit) throw new Error(`the guest does not answer: ${script.slice(0, 200)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(1, limit - performance.now()));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  ask(script: string, timeoutMs: number): Promise<Output> {
    const next = this.#turn.then(() => this.#ask(script, performance.now() + timeoutMs));
    this.#turn = next.catch(() => {});
    return next;
  }

  close(): void {
    this.#socket?.end();
  }
}

export class RouterMachine {
  readonly #machine: Machine;
  readonly #control: Control;
  readonly #folder: string;
  readonly #port: number;
  /** What the console has said. */
  readonly said: string[] = [];

  private constructor(machine: Machine, folder: string, port: number) {
    this.#machine = machine;
    this.#folder = folder;
    this.#port = port;
    this.#control = new Control(join(folder, "control"));
    void this.#listen();
  }

  /** Power on. The guest is not up yet when this returns. */
  static async boot(image: Image, life: Life): Promise<RouterMachine> {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-life-"));
    const port = await freePort();
    const forwards = [`tcp:127.0.0.1:${port}-10.0.0.1:8022`, ...(life.forwards ?? [])];
    // Restricted, it lets no answer over UDP out; in a namespace there is nowhere to go but loopback.
    const restrict = life.within === undefined ? "on" : "off";
    const user = `user,id=lan,net=10.0.0.0/24,host=10.0.0.2,ipv6=off,restrict=${restrict},${forwards.map((one) => `hostfwd=${one}`).join()}`;
    const machine = boot(image, {
      memoryMiB: 768,
      rootDisk: [
        ...["-blockdev", `driver=file,filename=${image.disk},read-only=on,node-name=root`],
        ...["-device", "virtio-blk-pci,drive=root"],
      ],
      devices: [
        ...(life.disk ?? stateDisk(life)),
        ...["-device", "virtio-blk-pci,drive=state"],
        ...["-netdev", user, "-device", "virtio-net-pci,netdev=lan,romfile="],
        ...["-device", "virtio-serial-pci", "-chardev"],
        `socket,id=control,path=${join(folder, "control")},server=on,wait=off`,
        ...["-device", "virtserialport,chardev=control,nr=1"],
        ...(life.devices ?? []),
      ],
      options: [
        `guest.root=ro guest.init=${life.init ?? "/start"}`,
        ...(life.modules ?? []).map((one) => `guest.module=${one.replaceAll(" ", ",")}`),
      ].join(" "),
      ...(life.within === undefined ? {} : { within: life.within }),
    });
    return new RouterMachine(machine, folder, port);
  }

  async #listen(): Promise<void> {
    const { console } = this.#machine;
    for (let line = await console.next(); line.done !== true; line = await console.next()) this.said.push(line.value);
  }

  /** Runs a script of the shell inside; standard output and error together. */
  run(script: string, timeoutMs = 60_000): Promise<Output> {
    return this.#control.ask(script, timeoutMs);
  }

  /** `run` that throws unless the script ends with 0. Returns its output. */
  async must(script: string, timeoutMs = 60_000): Promise<string> {
    const { exit, out } = await this.run(script, timeoutMs);
    if (exit !== 0) throw new Error(`${script.slice(0, 200)}: exit ${exit}: ${out.slice(-2000)}\n${this.#last()}`);
    return out;
  }

  #last(): string {
    return this.said.slice(-20).join("\n");
  }

  /** Waits until the agent's socket is there. */
  async untilUp(timeoutMs = 120_000): Promise<void> {
    try {
      await this.must("until [ -S /run/holdfast/holdfastd.sock ]; do sleep 0.1; done", timeoutMs);
    } catch (failure) {
      throw new Error(`the router is not up: ${(failure as Error).message}\n${this.#last()}`);
    }
  }

  /** The way of an operator in the LAN: a new connection for each request. No answer is status 0. */
  readonly send: Send = async (box) => {
    try {
      const url = `http://127.0.0.1:${this.#port}/v1/box`;
      const answer = await fetch(url, {
        ...{ method: "POST", body: box, headers: { connection: "close" }, keepalive: false },
        signal: AbortSignal.timeout(30_000),
      });
      return { status: answer.status, bytes: await answer.bytes() };
    } catch {
      return { status: 0, bytes: new Uint8Array() };
    }
  };

  /** Resolves when the machine was reset or is off. */
  get ended(): Promise<unknown> {
    return this.#machine.exited;
  }

  /** Power cut. */
  async cut(): Promise<void> {
    this.#machine.cut();
    await this.#machine.exited;
    this.#control.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
