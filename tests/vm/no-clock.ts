/** A router that comes back in 1970, and a client that remembers its handshakes of today. */
import { toBase64 } from "../../schemas/digest.ts";
import { crypto } from "../agent/operator.ts";
import { type Space, World } from "../netns/world.ts";
import type { Recording } from "./recording.ts";
import { RouterMachine } from "./router-machine.ts";
import { diskOfFirst } from "./second-life.ts";

const [DEVICE, PORT] = ["hfo", 51820];
/** The first client of every bundle of the recorded life. */
const CLIENT = { keys: crypto.boxKeys(new Uint8Array(32).fill(1)), address: "10.99.0.2" };

async function untilShake(world: World, space: Space, after: number, limitMs: number): Promise<number> {
  const limit = performance.now() + limitMs;
  for (;;) {
    const [, text = "0"] = (await world.must(space, ["wg", "show", DEVICE, "latest-handshakes"])).trim().split("\t");
    if (Number(text) > after) return Number(text);
    if (performance.now() > limit) throw new Error("the tunnel does not come up");
    await Bun.sleep(200);
  }
}

/**
 * The client's WireGuard lives on while the router loses power and its clock. Returns the seconds that the guest was up
 * when the tunnel was. Throws when that does not come within a minute.
 */
export async function tunnelAfter1970(recording: Recording, folder: string): Promise<number> {
  const disk = diskOfFirst(recording, folder);
  const world = await World.create({ name: "noclock" });
  const client = await world.space("client");
  const life = {
    state: disk,
    within: (argv: readonly string[]) => world.argv(client, argv),
    forwards: [`udp:127.0.0.1:${PORT}-10.0.0.1:${PORT}`],
  };
  try {
    let machine = await RouterMachine.boot(recording.image, life);
    try {
      await machine.untilUp();
      const server = (await machine.must("wg show hf-home public-key")).trim();
      await world.must(client, ["wireguard-go", DEVICE]);
      const config = `[Interface]\nPrivateKey = ${toBase64(CLIENT.keys.secretKey)}\n[Peer]\nPublicKey = ${server}\nEndpoint = 127.0.0.1:${PORT}\nAllowedIPs = 10.99.0.0/24\n`;
      await world.must(client, ["wg", "setconf", DEVICE, "/dev/stdin"], { stdin: config });
      await world.must(client, [
        "sh",
        "-c",
        `ip addr add ${CLIENT.address}/24 dev ${DEVICE} && ip link set ${DEVICE} up`,
      ]);
      // Data, without which WireGuard looks for nobody.
      world.spawn(client, ["ping", "-q", "-i", "0.5", "10.99.0.1"]);
      const first = await untilShake(world, client, 0, 30_000);
      // The router dials the client too, so that the client remembers a time of the router's clock.
      await Bun.sleep(1500);
      await machine.must(`ip link set hf-home down; ip link set hf-home up; ping -c 1 -W 5 ${CLIENT.address} || :`);
      await untilShake(world, client, first, 30_000);
    } finally {
      await machine.cut();
    }
    const since = Math.floor(Date.now() / 1000);
    machine = await RouterMachine.boot(recording.image, { ...life, devices: ["-rtc", "base=1970-01-01T00:00:00"] });
    try {
      await machine.untilUp();
      await untilShake(world, client, since, 60_000);
      const up = Number.parseFloat(await machine.must("cat /proc/uptime"));
      if (up > 60) throw new Error(`the tunnel is up after ${up} s`);
      return up;
    } finally {
      await machine.cut();
    }
  } finally {
    world.destroy();
  }
}
