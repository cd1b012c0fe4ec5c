/** First trust: the token's secret, the MAC over what the router says, and the words that people compare. */
import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { checkEnrolRequest, enrolBox, fingerprint, makeEnrolRequest } from "../../agent/core/enrol.ts";
import { equalBytes, sha256 } from "../../schemas/digest.ts";
import type { EnrolRequest, EnrolToken } from "../../schemas/trust.ts";
import { bytes, message } from "../wire/bytes.ts";
import { box, codeOf, crypto, laneKey, networkId, root1, routerId, signed, signer, ZEROS } from "./documents.ts";

const token: EnrolToken = {
  token_id: bytes(16, 1),
  secret: bytes(32, 2),
  network_id: networkId,
  router_id: routerId,
  router: "r1",
  incarnation: 1,
  root_digest: root1.digest,
  root: root1.envelope,
  reply_key: box("ada").publicKey,
};
const keys = { sign: signer("router"), seal: box("router"), rescueKey: laneKey("rescue") };
const made = makeEnrolRequest(crypto, token, keys);

/** The MAC as the .proto words it, by another implementation. */
const mac = (request: EnrolRequest, secret = token.secret): Uint8Array =>
  new Uint8Array(
    createHmac("sha256", secret)
      .update("holdfast/enrol/v1")
      .update(message("EnrolRequest", { ...request, mac: new Uint8Array() }))
      .digest(),
  );

/** A request with changed fields, a MAC that fits them, signed by these keys. */
const forged = (change: Partial<EnrolRequest>, by = "router", secret = token.secret): string => {
  const fields = { ...made.message, ...change };
  const whole = { ...fields, mac: change.mac ?? mac(fields, secret) };
  return codeOf(checkEnrolRequest(crypto, token, signed("enrol-request", whole, by).envelope));
};

describe("an enrolment", () => {
  test("is taken with the token it was made for", () => {
    expect(checkEnrolRequest(crypto, token, made.envelope)).toEqual({ ok: true, value: made });
    expect(equalBytes(made.message.mac, mac(made.message))).toBe(true);
    expect(forged({})).toBe("");
  });

  test("is refused without the secret", () => {
    expect(forged({}, "router", bytes(32, 3))).toBe("trust.enrol_mac");
    expect(forged({ mac: new Uint8Array(32) })).toBe("trust.enrol_mac");
    expect(codeOf(checkEnrolRequest(crypto, { ...token, secret: bytes(32, 3) }, made.envelope))).toBe(
      "trust.enrol_mac",
    );
  });

  test("is refused when any field changes after the MAC", () => {
    const own = made.message.mac;
    expect(forged({ mac: own, rescue_key: laneKey("other") })).toBe("trust.enrol_mac");
    expect(forged({ mac: own, seal_key: box("other").publicKey })).toBe("trust.enrol_mac");
    expect(forged({ mac: own, sign_key: signer("other").publicKey }, "other")).toBe("trust.enrol_mac");
  });

  test("is refused for another token, network, router or incarnation", () => {
    const changes: Partial<EnrolRequest>[] = [
      { token_id: bytes(16, 9) },
      { network_id: bytes(16, 9) },
      { router_id: bytes(16, 9) },
      { incarnation: 2 },
    ];
    for (const change of changes) expect(forged(change)).toBe("trust.enrol_token");
  });

  test("is signed by the key that it names, alone", () => {
    expect(forged({}, "mallory")).toBe("trust.signer_unknown");
    const two = signed("enrol-request", made.message, "router", "mallory");
    expect(codeOf(checkEnrolRequest(crypto, token, two.envelope))).toBe("trust.one_signer");
  });

  test("brings keys that may be used", () => {
    expect(forged({ seal_key: ZEROS })).toBe("trust.key_inadmissible");
    expect(forged({ rescue_key: `${"A".repeat(43)}=` })).toBe("trust.key_inadmissible");
  });
});

describe("the box of the token", () => {
  test("is the same on both sides and follows from the secret alone", () => {
    const sealed = crypto.seal(bytes(5, 0), enrolBox(crypto, token.secret).publicKey);
    expect(crypto.unseal(sealed, enrolBox(crypto, token.secret))).toEqual(bytes(5, 0));
    expect(crypto.unseal(sealed, enrolBox(crypto, bytes(32, 3)))).toBeUndefined();
    const seed = sha256("holdfast/enrol-box/v1\0", token.secret);
    expect(enrolBox(crypto, token.secret)).toEqual(crypto.boxKeys(seed));
  });
});

describe("the fingerprint", () => {
  test("is eight groups of four, and fixed", () => {
    expect(fingerprint(made.message)).toMatch(/^([a-z2-7]{4}-){7}[a-z2-7]{4}$/);
    const fixed = { ...made.message, sign_key: bytes(32, 1), seal_key: bytes(32, 2) };
    expect(fingerprint(fixed)).toBe("ez6r-otti-x2an-mhe3-wwmg-2plk-xau7-477b");
  });

  test("changes with each of the two keys and not with their order", () => {
    const { sign_key, seal_key } = made.message;
    const others = [
      { ...made.message, sign_key: signer("other").publicKey },
      { ...made.message, seal_key: box("other").publicKey },
      { ...made.message, sign_key: seal_key, seal_key: sign_key },
    ];
    for (const other of others) expect(fingerprint(other)).not.toBe(fingerprint(made.message));
  });
});
