/** Secrets in every spelling in which they could leak, and where they are found. */
import { scrypt } from "node:crypto";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import sodium from "libsodium-wrappers";
import { toHex } from "../../schemas/digest.ts";

/** A secret and everything that it would be recognised by. */
export type Secret = { readonly name: string; readonly spellings: readonly Buffer[] };

/** Something to search: a file, a listing, a stream. */
export type Hay = { readonly place: string; readonly bytes: Buffer };

/** The part of base64 that depends on these bytes alone, wherever in a longer text they begin. */
function base64Cores(bytes: Uint8Array): string[] {
  return [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64");
    return text.slice(Math.ceil((offset * 4) / 3), Math.floor(((offset + bytes.length) * 4) / 3));
  });
}

export function secretOf(name: string, bytes: Uint8Array): Secret {
  if (bytes.length < 16) throw new Error(`${name} is too short to be told from chance`);
  const texts = base64Cores(bytes).flatMap((core) => [core, core.replaceAll("+", "-").replaceAll("/", "_")]);
  const hex = toHex(bytes);
  // As JSON.stringify shows bytes: an array, and an object with indices.
  const numbers = [...bytes].join(",");
  const object = [...bytes].map((byte, i) => `"${i}":${byte}`).join(",");
  const spellings = [...new Set([...texts, hex, hex.toUpperCase(), numbers, object])].map((text) => Buffer.from(text));
  return { name, spellings: [Buffer.from(bytes), ...spellings] };
}

/** For each secret the sorted places that hold it in any spelling; a secret that is nowhere has none. */
export function findSecrets(
  secrets: readonly Secret[],
  hays: readonly Hay[],
): Readonly<Record<string, readonly string[]>> {
  const found = secrets.map(({ name, spellings }) => {
    const places = hays.filter(({ bytes }) => spellings.some((one) => bytes.includes(one))).map(({ place }) => place);
    return [name, [...new Set(places)].sort()] as const;
  });
  return Object.fromEntries(found);
}

/** Compiled programs are larger; nothing else here is. */
const FILE_BYTES_MAX = 48 * 1024 * 1024;

/** Every regular file below a folder; `place` is the label and the path below it. What vanishes meanwhile is left out. */
export function filesBelow(label: string, folder: string): Hay[] {
  const hays: Hay[] = [];
  const walk = (below: string): void => {
    for (const name of readdirSync(join(folder, below))) {
      const path = below === "" ? name : `${below}/${name}`;
      try {
        const status = lstatSync(join(folder, path));
        if (status.isDirectory()) walk(path);
        else if (status.isFile() && status.size <= FILE_BYTES_MAX)
          hays.push({ place: `${label}/${path}`, bytes: readFileSync(join(folder, path)) });
      } catch (failure) {
        if ((failure as NodeJS.ErrnoException).code !== "ENOENT") throw failure;
      }
    }
  };
  walk("");
  return hays;
}

/** The seeds in a locked key file of the command line, by its documented format alone: scrypt, then secretbox. */
export async function openKeyFile(path: string, passphrase: string): Promise<readonly Uint8Array[]> {
  await sodium.ready;
  const file = JSON.parse(readFileSync(path, "utf8")) as Record<"lock" | "salt" | "nonce" | "seeds", string>;
  if (file.lock !== "scrypt") throw new Error(`${path} is not locked`);
  const cost = { N: 1 << 16, r: 8, p: 1, maxmem: 128 * 1024 * 1024 };
  const key = await new Promise<Buffer>((resolve, reject) =>
    scrypt(passphrase, Buffer.from(file.salt, "base64"), 32, cost, (error, made) =>
      error ? reject(error) : resolve(made),
    ),
  );
  const bytes = (text: string): Uint8Array => Uint8Array.fromBase64(text);
  const opened = sodium.crypto_secretbox_open_easy(bytes(file.seeds), bytes(file.nonce), new Uint8Array(key));
  return Array.from({ length: opened.length / 32 }, (_, i) => opened.slice(32 * i, 32 * i + 32));
}

/** Looks at argument vector and environment of every process of the machine, again and again, until it is stopped. */
export class ProcessWatch {
  readonly #seen = new Map<string, Buffer>();
  readonly #timer = setInterval(() => this.#look(), 25);

  #look(): void {
    for (const pid of readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name))) {
      for (const file of ["cmdline", "environ"]) {
        try {
          const bytes = readFileSync(`/proc/${pid}/${file}`);
          this.#seen.set(`${file} ${Bun.hash(bytes)}`, bytes);
        } catch {
          // gone between the listing and the look, or a thread of the kernel
        }
      }
    }
  }

  /** Everything that was seen, once each. */
  stop(): readonly Hay[] {
    clearInterval(this.#timer);
    return [...this.#seen].map(([key, bytes]) => ({ place: `process ${key.split(" ")[0]}`, bytes }));
  }
}
