/** Every rule of the scanner, broken byte by byte; the same bytes without the fault are taken. */
import { describe, expect, test } from "bun:test";
import type { Field } from "../../proto/gen/table.ts";
import { limits } from "../../schemas/limits.ts";
import { scan, type WireTable } from "../../schemas/scan.ts";
import { decode, encode, type MessageName } from "../../schemas/wire.ts";
import { join, message, number, sized, tag, text, varint } from "./bytes.ts";
import { samples } from "./samples.ts";

const lane = text(1, "rescue");
const zeros = (length: number): Uint8Array => new Uint8Array(length);

type Case = { name: string; of: MessageName; good: Uint8Array; bad: Uint8Array; code: string; path: string };

const one = (name: string, of: MessageName, good: Uint8Array, bad: Uint8Array, code: string, path: string): Case => ({
  ...{ name, of, good, bad, code, path },
});

const root = message("Root", samples.Root);
const signature = message("Signature", samples.Signature);
const envelope = (inner: Uint8Array): Uint8Array => join(text(1, "t"), sized(3, inner));

const cases: readonly Case[] = [
  one("an unknown field", "Lane", lane, join(lane, number(5, 1)), "wire.unknown_field", "Lane"),
  one("an unknown field with a length", "Lane", lane, join(lane, sized(127, [1])), "wire.unknown_field", "Lane"),
  one("field number 0", "Lane", lane, join(lane, [0, 1]), "wire.unknown_field", "Lane"),
  one("the largest field number", "Lane", lane, join(lane, number(2 ** 29 - 1, 1)), "wire.unknown_field", "Lane"),
  one(
    "an unknown field inside",
    "Envelope",
    envelope(signature),
    envelope(join(signature, number(3, 1))),
    "wire.unknown_field",
    "Envelope.signatures[0]",
  ),
  one("trailing zero", "Lane", lane, join(lane, [0]), "wire.unknown_field", "Lane"),
  one(
    "a duplicate number",
    "SafeMode",
    number(1, 8),
    join(number(1, 8), number(1, 8)),
    "wire.duplicate_field",
    "SafeMode.api_port",
  ),
  one("a duplicate text", "Lane", lane, join(lane, lane), "wire.duplicate_field", "Lane.name"),
  one(
    "a duplicate message, to be merged",
    "Root",
    sized(11, number(1, 1)),
    join(sized(11, number(1, 1)), sized(11, number(2, 1))),
    "wire.duplicate_field",
    "Root.safe_mode",
  ),
  one("two messages in a row", "Root", root, join(root, root), "wire.not_canonical", "Root.network_id"),
  one(
    "descending fields",
    "Lane",
    join(lane, number(2, 1)),
    join(number(2, 1), lane),
    "wire.not_canonical",
    "Lane.name",
  ),
  one(
    "a list in two pieces",
    "Root",
    join(sized(5, []), number(6, 1)),
    join(sized(5, []), number(6, 1), sized(5, [])),
    "wire.not_canonical",
    "Root.keys[0]",
  ),
  one("a number where text belongs", "Lane", lane, number(1, 1), "wire.wrong_type", "Lane.name"),
  one("bytes where a number belongs", "Lane", number(4, 1), sized(4, [1]), "wire.wrong_type", "Lane.packets"),
  one("64 fixed bits", "Lane", number(4, 1), join(tag(4, 1), zeros(8)), "wire.wrong_type", "Lane.packets"),
  one("32 fixed bits", "Lane", number(4, 1), join(tag(4, 5), zeros(4)), "wire.wrong_type", "Lane.packets"),
  one(
    "a group",
    "Root",
    sized(11, number(1, 1)),
    join(tag(11, 3), number(1, 1), tag(11, 4)),
    "wire.wrong_type",
    "Root.safe_mode",
  ),
  one("the end of a group", "Lane", lane, join(lane, tag(2, 4)), "wire.wrong_type", "Lane.changed"),
  one("wire type 6", "Lane", lane, join(lane, tag(2, 6)), "wire.wrong_type", "Lane.changed"),
  one("wire type 7", "Lane", lane, join(lane, tag(2, 7)), "wire.wrong_type", "Lane.changed"),
  one("an overlong number", "Lane", number(4, 1), join(tag(4, 0), varint(1, 1)), "wire.not_canonical", "Lane.packets"),
  one("an overlong zero", "Lane", number(4, 1), join(tag(4, 0), varint(0, 3)), "wire.not_canonical", "Lane.packets"),
  one("an overlong tag", "Lane", number(4, 1), join(varint(32, 1), [1]), "wire.not_canonical", "Lane"),
  one(
    "an overlong length",
    "Lane",
    lane,
    join(tag(1, 2), varint(6, 1), lane.subarray(2)),
    "wire.not_canonical",
    "Lane.name",
  ),
  one("a written zero", "Lane", number(4, 1), number(4, 0), "wire.not_canonical", "Lane.packets"),
  one("a written false", "Lane", number(2, 1), number(2, 0), "wire.not_canonical", "Lane.changed"),
  one("a written empty text", "Lane", lane, text(1, ""), "wire.not_canonical", "Lane.name"),
  one("written empty bytes", "Signature", sized(1, [1]), sized(1, []), "wire.not_canonical", "Signature.key"),
  one("enum 0", "Confirm", number(6, 1), number(6, 0), "wire.unknown_word", "Confirm.verdict"),
  one("an enum without a word", "Confirm", number(6, 2), number(6, 3), "wire.unknown_word", "Confirm.verdict"),
  one("a negative enum", "Confirm", number(6, 2), number(6, 2n ** 64n - 1n), "wire.out_of_range", "Confirm.verdict"),
  one("a bool of 2", "Lane", number(2, 1), number(2, 2), "wire.out_of_range", "Lane.changed"),
  one("2^32 in 32 bits", "Root", number(3, 2 ** 32 - 1), number(3, 2 ** 32), "wire.out_of_range", "Root.version"),
  one("2^64 in 64 bits", "Lane", number(4, 2n ** 64n - 1n), number(4, 2n ** 64n), "wire.out_of_range", "Lane.packets"),
  one(
    "a number of eleven bytes",
    "Lane",
    number(4, 1),
    join(tag(4, 0), varint(1, 10)),
    "wire.out_of_range",
    "Lane.packets",
  ),
  one("a tag of more than 32 bits", "Lane", lane, join(lane, varint(2n ** 32n)), "wire.out_of_range", "Lane"),
  one("a length of 2^32", "Lane", lane, join(tag(1, 2), varint(2 ** 32), [1]), "wire.out_of_range", "Lane.name"),
  one("a length past the end", "Lane", lane, lane.subarray(0, -1), "wire.truncated", "Lane.name"),
  one("a length of 2^31", "Lane", lane, join(tag(1, 2), varint(2 ** 31), [1]), "wire.truncated", "Lane.name"),
  one("a tag without a value", "Lane", lane, join(lane, tag(2, 0)), "wire.truncated", "Lane.changed"),
  one("a number cut in the middle", "Lane", number(4, 128), join(tag(4, 0), [128]), "wire.truncated", "Lane.packets"),
  one("a tag cut in the middle", "Lane", lane, join(lane, [0x90]), "wire.truncated", "Lane"),
  one(
    "an inner length past its message",
    "Root",
    sized(11, number(1, 1)),
    join(sized(11, [8]), [1]),
    "wire.truncated",
    "Root.safe_mode.api_port",
  ),
  one(
    "an inner text that ends in the outer message",
    "Envelope",
    envelope(sized(1, [1])),
    join(text(1, "t"), sized(3, [10, 5, 1]), zeros(9)),
    "wire.truncated",
    "Envelope.signatures[0].key",
  ),
];

const accepted = (of: MessageName, bytes: Uint8Array): unknown => scan(of, bytes) ?? "accepted";

describe("the scanner refuses", () => {
  for (const { name, of, good, bad, code, path } of cases) {
    test(name, () => {
      expect(accepted(of, good)).toBe("accepted");
      expect(scan(of, bad)).toMatchObject({ code, path });
      // The whole decoder says the same: nothing before the scanner, nothing instead of it.
      const read = decode(of, bad);
      expect(read.ok ? "" : read.problems[0]).toMatchObject({ code, path });
    });
  }

  const texts: Readonly<Record<string, readonly [number[], boolean]>> = {
    "two, three and four bytes": [[0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80], true],
    "the last code point": [[0xf4, 0x8f, 0xbf, 0xbf], true],
    "the last one before the surrogates": [[0xed, 0x9f, 0xbf], true],
    "a lone continuation": [[0x80], false],
    "an overlong slash of two": [[0xc0, 0xaf], false],
    "an overlong slash of three": [[0xe0, 0x80, 0xaf], false],
    "an overlong one of four": [[0xf0, 0x80, 0x80, 0xaf], false],
    "a surrogate": [[0xed, 0xa0, 0x80], false],
    "beyond the last code point": [[0xf4, 0x90, 0x80, 0x80], false],
    "a byte that starts nothing": [[0xff], false],
    "a sequence cut by the end": [[0x61, 0xe2, 0x82], false],
    "a sequence cut by another letter": [[0xe2, 0x82, 0x61], false],
    "a bad third byte": [[0xf0, 0x9f, 0x98, 0x00], false],
  };
  for (const [name, [bytes, valid]] of Object.entries(texts)) {
    test(`text of ${name}: ${valid ? "taken" : "refused"}`, () => {
      const found = scan("Lane", sized(1, bytes));
      expect(found?.code).toBe(valid ? undefined : "wire.not_utf8");
      // The same judge as the runtime's own.
      expect(Buffer.from(new TextDecoder().decode(Uint8Array.from(bytes))).equals(Buffer.from(bytes))).toBe(valid);
    });
  }

  test("more bytes than its cap", () => {
    const caps = { bytes: lane.length, elements: 1, depth: 1 };
    expect(scan("Lane", lane, caps)).toBeUndefined();
    expect(scan("Lane", lane, { ...caps, bytes: lane.length - 1 })?.code).toBe("wire.too_large");
  });

  test("more entries than its cap, counted over the whole message", () => {
    const value = { ...samples.Profile, reach: [samples.Reach, samples.Reach], services: ["a", "b", "c"] };
    const bytes = encode("Profile", value);
    const caps = (elements: number) => ({ bytes: 1000, elements, depth: 8 });
    expect(scan("Profile", bytes, caps(7))).toBeUndefined();
    expect(scan("Profile", bytes, caps(6))).toMatchObject({ code: "wire.limit", path: "Profile.dns" });
    expect(scan("Profile", bytes, caps(3))).toMatchObject({ code: "wire.limit", path: "Profile.services[1]" });
  });
});

/** What no message of ours has, so that the rule holds for the first one that does. */
const field = (number: number, key: string, type: Field["type"], more: Partial<Field> = {}): Field => ({
  ...{ number, key, name: key, type, repeated: false, packed: false },
  ...more,
});
const own: WireTable = {
  messages: {
    Deep: [field(1, "inner", "message", { of: "Deep" }), field(2, "list", "message", { of: "Deep", repeated: true })],
    Many: [
      field(1, "numbers", "uint32", { repeated: true, packed: true }),
      field(2, "flags", "bool", { repeated: true, packed: true }),
      field(3, "words", "enum", { of: "Word", repeated: true, packed: true }),
    ],
  },
  enums: { Word: ["unspecified", "a", "b"] },
};
const caps = { bytes: 1 << 20, elements: 100, depth: limits.wireDepth };
const look = (name: string, bytes: Uint8Array): string => scan(name, bytes, caps, own)?.code ?? "accepted";

describe("tables of the future", () => {
  const nested = (levels: number): Uint8Array => (levels === 1 ? new Uint8Array() : sized(1, nested(levels - 1)));

  test("nesting ends at the limit", () => {
    expect(look("Deep", nested(limits.wireDepth))).toBe("accepted");
    expect(look("Deep", nested(limits.wireDepth + 1))).toBe("wire.limit");
  });

  test("twenty thousand levels and groups end without an overflow", () => {
    const depths = Array.from({ length: 20_000 }, (_, i) => 20_000 - i);
    let length = 0;
    const parts = depths.toReversed().map(() => {
      const part = join(tag(1, 2), varint(length));
      length += part.length;
      return part;
    });
    expect(look("Deep", join(...parts.toReversed()))).toBe("wire.limit");
    expect(look("Deep", new Uint8Array(20_000).fill(tag(1, 3)[0]!))).toBe("wire.wrong_type");
  });

  test("lists of numbers are packed, in one piece, not empty, each value in its range", () => {
    expect(look("Many", join(sized(1, [0, 1, 0x80, 1]), sized(2, [0, 1]), sized(3, [1, 2])))).toBe("accepted");
    expect(look("Many", number(1, 1))).toBe("wire.wrong_type");
    expect(look("Many", join(sized(1, [1]), sized(1, [1])))).toBe("wire.duplicate_field");
    expect(look("Many", sized(1, []))).toBe("wire.not_canonical");
    expect(look("Many", sized(1, [0x80, 0]))).toBe("wire.not_canonical");
    expect(look("Many", sized(1, [0x80]))).toBe("wire.truncated");
    expect(look("Many", sized(1, varint(2 ** 32)))).toBe("wire.out_of_range");
    expect(look("Many", sized(2, [2]))).toBe("wire.out_of_range");
    expect(look("Many", sized(3, [0]))).toBe("wire.unknown_word");
    expect(look("Many", sized(3, [3]))).toBe("wire.unknown_word");
    expect(look("Many", sized(1, new Uint8Array(101)))).toBe("wire.limit");
  });

  test("a message that the table lacks is a bug, not bad input", () => {
    expect(() => scan("Nothing", new Uint8Array())).toThrow("no message Nothing");
  });
});
