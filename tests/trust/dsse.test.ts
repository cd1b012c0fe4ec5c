/** Signed statements: every kind opens as itself, and no bit of an envelope can change. */
import { describe, expect, test } from "bun:test";
import { claimedKind, type Kind, type MessageOf, openStatement, signStatement } from "../../agent/core/dsse.ts";
import { makeEnrolRequest } from "../../agent/core/enrol.ts";
import { equalBytes, sha256 } from "../../schemas/digest.ts";
import { limits } from "../../schemas/limits.ts";
import { decode, encode, type Messages } from "../../schemas/wire.ts";
import { number } from "../wire/bytes.ts";
import { samples } from "../wire/samples.ts";
import {
  box,
  codeOf,
  crypto,
  directive,
  keyReport,
  laneKey,
  request,
  root1,
  roster1,
  signed,
  signer,
} from "./documents.ts";

const statements = {
  root: root1,
  roster: roster1,
  directive: signed("directive", directive(), "ada"),
  confirm: signed("confirm", samples.Confirm, "ada"),
  receipt: signed("receipt", samples.Receipt, "router"),
  "key-report": keyReport,
  "enrol-request": makeEnrolRequest(crypto, samples.EnrolToken, {
    ...{ sign: signer("router"), seal: box("router"), rescueKey: laneKey("rescue") },
  }),
  request: signed("request", request(), "ada"),
  "operator-card": signed("operator-card", samples.OperatorCard, "ada"),
  "self-revoke": signed("self-revoke", samples.SelfRevoke, "ada"),
  beacon: signed("beacon", samples.Beacon, "router"),
  answer: signed("answer", { ...samples.Answer, status: null, problems: [] }, "router"),
};
const byTwo = signed("directive", directive(), "ada", "bob");
const kinds = Object.keys(statements) as Kind[];

type Envelope = Messages["Envelope"];

const opened = (bytes: Uint8Array): Envelope => {
  const read = decode("Envelope", bytes);
  if (!read.ok) throw new Error("no envelope");
  return read.value;
};

/** The envelope of a directive that two signed, changed. */
const changed = (change: (envelope: Envelope) => Partial<Envelope>): Uint8Array => {
  const envelope = opened(byTwo.envelope);
  return encode("Envelope", { ...envelope, ...change(envelope) });
};

const openDirective = (bytes: Uint8Array): string => codeOf(openStatement(crypto, "directive", bytes));

/** PAE as the DSSE document has it, over text. */
const pae = (type: string, payload: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]);

describe("every kind", () => {
  for (const kind of kinds) {
    const { envelope, message, digest } = statements[kind];

    test(`${kind}: opens as itself, by any of its bytes`, () => {
      const read = openStatement(crypto, kind, Buffer.from(envelope));
      expect(read).toEqual({ ok: true, value: statements[kind] } as never);
      expect(claimedKind(envelope)).toBe(kind);
      const { payload_type, payload } = opened(envelope);
      expect(payload_type).toBe(`application/vnd.holdfast.${kind}.v1+protobuf`);
      expect(equalBytes(digest, sha256(pae(payload_type, payload)))).toBe(true);
    });

    test(`${kind}: opens as no other kind`, () => {
      for (const other of kinds.filter((one) => one !== kind)) {
        const code =
          envelope.length > limits.directiveBytes && other === "directive" ? "wire.too_large" : "trust.wrong_kind";
        expect(codeOf(openStatement(crypto, other, envelope))).toBe(code);
      }
    });

    test(`${kind}: turning any single bit refuses it`, () => {
      const taken: number[] = [];
      for (let bit = 0; bit < envelope.length * 8; bit += 1) {
        const other = new Uint8Array(envelope);
        other[bit >> 3] = other[bit >> 3]! ^ (1 << (bit & 7));
        if (openStatement(crypto, kind, other).ok) taken.push(bit);
      }
      expect(taken).toEqual([]);
    }, 120_000);

    test(`${kind}: cutting, lengthening or doubling it refuses it`, () => {
      for (let length = 0; length < envelope.length; length += 1) {
        expect(openStatement(crypto, kind, envelope.subarray(0, length)).ok).toBe(false);
      }
      for (const more of [new Uint8Array(1), envelope, number(4, 1)]) {
        expect(openStatement(crypto, kind, Buffer.concat([envelope, more])).ok).toBe(false);
      }
    });

    test(`${kind}: signing twice gives one digest, whoever signs`, () => {
      const again = signStatement(crypto, kind, message as MessageOf<typeof kind>, [signer("zoe")]);
      expect(equalBytes(again.digest, digest)).toBe(true);
    });
  }
});

describe("signatures", () => {
  test("none: trust.unsigned", () => {
    expect(openDirective(changed(() => ({ signatures: [] })))).toBe("trust.unsigned");
  });

  test("the same signer twice, or in another order: trust.signature_order", () => {
    expect(openDirective(changed(({ signatures: [a] }) => ({ signatures: [a!, a!] })))).toBe("trust.signature_order");
    expect(openDirective(changed(({ signatures: [a, b] }) => ({ signatures: [b!, a!] })))).toBe(
      "trust.signature_order",
    );
  });

  test("without one of two it is the same statement by fewer people, who are counted elsewhere", () => {
    const fewer = openStatement(
      crypto,
      "directive",
      changed(({ signatures: [a] }) => ({ signatures: [a!] })),
    );
    expect(fewer.ok && equalBytes(fewer.value.digest, byTwo.digest)).toBe(true);
    expect(fewer.ok && fewer.value.signers).toEqual(byTwo.signers.slice(0, 1));
  });

  const swaps: Readonly<Record<string, (envelope: Envelope) => Partial<Envelope>>> = {
    "a signature by another key": ({ signatures: [a, b] }) => ({ signatures: [a!, { ...b!, sig: a!.sig }] }),
    "a valid one and one of zeros": ({ signatures: [a, b] }) => ({
      signatures: [a!, { ...b!, sig: new Uint8Array(64) }],
    }),
    "a signature over the payload alone": ({ payload }) => ({
      signatures: [{ key: signer("ada").publicKey, sig: crypto.sign(payload, signer("ada").secretKey) }],
    }),
    "a signature over another kind": ({ payload }) => ({
      signatures: [
        {
          key: signer("ada").publicKey,
          sig: crypto.sign(pae("application/vnd.holdfast.confirm.v1+protobuf", payload), signer("ada").secretKey),
        },
      ],
    }),
    "another payload under the same signatures": () => ({ payload: encode("Directive", directive({ note: "other" })) }),
  };
  for (const [what, change] of Object.entries(swaps)) {
    test(`${what}: trust.bad_signature`, () => expect(openDirective(changed(change))).toBe("trust.bad_signature"));
  }

  test("a type that differs in one letter is another kind", () => {
    const wrong = changed(({ payload_type }) => ({ payload_type: payload_type.replace("holdfast", "Holdfast") }));
    expect(openDirective(wrong)).toBe("trust.wrong_kind");
    expect(claimedKind(wrong)).toBeUndefined();
    expect(claimedKind(new Uint8Array([1]))).toBeUndefined();
  });

  test("a payload that is signed but not canonical is refused after its signature", () => {
    const type = "application/vnd.holdfast.directive.v1+protobuf";
    const payload = Buffer.concat([encode("Directive", directive()), number(26, 5)]);
    const sig = crypto.sign(pae(type, payload), signer("ada").secretKey);
    const envelope = { payload_type: type, payload, signatures: [{ key: signer("ada").publicKey, sig }] };
    expect(openDirective(encode("Envelope", envelope))).toBe("wire.duplicate_field");
  });

  test("an envelope beyond the size of its kind is refused unread", () => {
    expect(openDirective(new Uint8Array(limits.directiveBytes + 1))).toBe("wire.too_large");
  });
});

describe("signing", () => {
  test("without a key, twice with one, or of a value that is none, is a bug", () => {
    expect(() => signStatement(crypto, "directive", directive(), [])).toThrow("trust.unsigned");
    expect(() => signed("directive", directive(), "ada", "ada")).toThrow("trust.signature_order");
    expect(() => signed("directive", directive({ note: "x".repeat(201) }), "ada")).toThrow("encode");
    const many = Array.from({ length: limits.signatures + 1 }, (_, i) => signer(`s${i}`));
    expect(() => signStatement(crypto, "directive", directive(), many)).toThrow("encode");
  });

  test("the published vector of PAE", () => {
    expect(Buffer.from(pae("http://example.com/HelloWorld", Buffer.from("hello world"))).toString()).toBe(
      "DSSEv1 29 http://example.com/HelloWorld 11 hello world",
    );
  });
});
