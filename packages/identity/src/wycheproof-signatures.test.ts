import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { createFakeClock, createTestSigningKey, signCompact } from "@mayfly/testkit";
import { KEY_OF_ALGORITHM, OIDC_ALGORITHMS, type Algorithm } from "./algorithms.ts";
import { checkHeader } from "./check-header.ts";
import { DPOP_ALGORITHMS } from "./dpop-proofs.ts";
import { inlineKeys } from "./key-source.ts";
import { parseCompactJws } from "./parse-compact-jwt.ts";
import { parseJwkSet } from "./parse-jwk-set.ts";
import { Refusal } from "./refusal.ts";
import { verifyPayload } from "./verify-signature.ts";

/*
 * Wycheproof's vectors of the algorithms for which it has no JSON web signatures, or none that is
 * invalid. What they sign is no JSON web signature's text, so that a valid one can be none: each is
 * verified as it is by the key that our reader makes of its key, and by the very call that jose
 * makes with it; and each signature is put under a token, whose text none of them signs.
 */
type Jwk = Readonly<Record<string, unknown>>;
interface Group {
  readonly publicKey: Readonly<Record<"wx" | "wy" | "pk", string | undefined>>;
  readonly tests: readonly {
    readonly tcId: number;
    readonly comment: string;
    readonly msg: string;
    readonly sig: string;
    readonly result: "valid" | "invalid";
  }[];
}
const FILES = {
  ES384: { name: "ecdsa_secp384r1_sha384_p1363", size: 48 },
  ES512: { name: "ecdsa_secp521r1_sha512_p1363", size: 66 },
  EdDSA: { name: "ed25519", size: 32 },
  Ed25519: { name: "ed25519", size: 32 },
} as const;
type Tested = keyof typeof FILES;
const TESTED = Object.keys(FILES) as readonly Tested[];

const base64url = (hex: string, size: number): string => {
  const bytes = Buffer.from(hex.padStart(2 * size, "0"), "hex");
  return bytes.subarray(-size).toString("base64url");
};
function vectorsOf(algorithm: Tested) {
  const { name, size } = FILES[algorithm];
  const place = new URL(`./__fixtures__/wycheproof/${name}_test.json`, import.meta.url);
  const { testGroups } = JSON.parse(readFileSync(place, "utf8")) as {
    testGroups: readonly Group[];
  };
  return testGroups.flatMap(({ publicKey: { wx = "", wy = "", pk }, tests }) => {
    const { kty, crv } = KEY_OF_ALGORITHM[algorithm];
    const numbers =
      pk === undefined
        ? { x: base64url(wx, size), y: base64url(wy, size) }
        : { x: base64url(pk, size) };
    return tests.map((vector) => ({
      ...vector,
      jwk: { kty, crv, ...numbers, alg: algorithm, kid: "k" },
    }));
  });
}

const keysOf = (jwk: Jwk, algorithm: Algorithm) =>
  parseJwkSet({ keys: [jwk] }, { algorithms: [algorithm], profile: "oidc" });

/** As jose calls the platform, which is what decides. */
async function verifiesRaw(
  algorithm: Tested,
  jwk: Jwk,
  sig: string,
  msg: string,
): Promise<boolean> {
  const [key] = keysOf(jwk, algorithm).keys;
  if (key === undefined) throw new Error("the key of a vector is not taken");
  const { crv } = KEY_OF_ALGORITHM[algorithm];
  const [made, called] = algorithm.startsWith("Ed")
    ? [{ name: "Ed25519" }, { name: "Ed25519" }]
    : [
        { name: "ECDSA", namedCurve: crv },
        { name: "ECDSA", hash: `SHA-${algorithm.slice(2)}` },
      ];
  const signature = Buffer.from(sig, "hex");
  const cryptoKey = key.key.toCryptoKey(made, true, ["verify"]);
  return crypto.subtle.verify(called, cryptoKey, signature, Buffer.from(msg, "hex"));
}

const context = {
  clock: createFakeClock(),
  signal: new AbortController().signal,
  traceId: "wycheproof",
};
/** Through the path that every token takes. */
async function outcome(compact: string, jwk: Jwk, algorithm: Algorithm): Promise<string> {
  try {
    const jws = parseCompactJws(compact);
    const rules = { algorithms: [algorithm], members: ["alg", "kid"], typeAllowed: () => true };
    const header = checkHeader(jws.header, rules);
    await verifyPayload(jws, header, inlineKeys(keysOf(jwk, algorithm)), "sole", context);
    return "verified";
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.reason;
  }
}

const encoded = (text: string): string => Buffer.from(text).toString("base64url");
const tokenWith = (algorithm: Algorithm, sig: string): string =>
  [encoded(JSON.stringify({ alg: algorithm, kid: "k" })), encoded('{"sub":"a"}')]
    .concat(Buffer.from(sig, "hex").toString("base64url"))
    .join(".");

/** Hundreds of signatures each, beside other tests. */
const SLOW = { timeout: 120_000 };

describe.each(TESTED)("Wycheproof's signatures of %s", SLOW, (algorithm) => {
  const vectors = vectorsOf(algorithm);

  test("are verified where they are valid, and where they are not they are not", async () => {
    const wrong: string[] = [];
    for (const { tcId, comment, result, jwk, sig, msg } of vectors) {
      const verified = await verifiesRaw(algorithm, jwk, sig, msg);
      if (verified !== (result === "valid")) wrong.push(`${tcId} ${result}: ${comment}`);
    }
    expect(wrong).toEqual([]);
    expect(vectors.filter(({ result }) => result === "valid").length).toBeGreaterThan(80);
    expect(vectors.filter(({ result }) => result === "invalid").length).toBeGreaterThan(60);
  });

  test("are none of a token's, and refused by our own rules", async () => {
    const seen = new Set<string>();
    for (const { sig, jwk } of vectors) {
      seen.add(await outcome(tokenWith(algorithm, sig), jwk, algorithm));
    }
    expect([...seen]).toEqual(["signature"]);
  });
});

/** Orders of the groups: a number and it plus the order are one number to who does not look. */
const ORDERS = {
  ES256: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  ES384: 2n ** 384n - 0x389cb27e0bc8d220a7e5f24db74f58851313e695333ad68dn,
  ES512: 2n ** 521n - 0x5ae79787c40d069948033feb708f65a2fc44a36477663b851449048e16ec79bf7n,
  EdDSA: 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n,
} as const;

const hexOf = (number: bigint, bytes: number): string =>
  number.toString(16).padStart(2 * bytes, "0");
const reversed = (hex: string): string => Buffer.from(hex, "hex").reverse().toString("hex");

/** What Wycheproof does to signatures, done to the two halves of one of a token. */
function spoiled(algorithm: keyof typeof ORDERS, sig: string): Readonly<Record<string, string>> {
  const size = sig.length / 4;
  const [first, second] = [sig.slice(0, 2 * size), sig.slice(2 * size)];
  const order = ORDERS[algorithm];
  const common = {
    "nothing at all": "",
    "one byte less": sig.slice(0, -2),
    "one byte more": `${sig}00`,
    "zeros alone": "00".repeat(2 * size),
    "the halves exchanged": second + first,
    "the first half twice": first + first,
    "another first half": hexOf(BigInt(`0x${first}`) ^ 1n, size) + second,
    "another second half": first + hexOf(BigInt(`0x${second}`) ^ 1n, size),
  };
  if (algorithm === "EdDSA") {
    const s = BigInt(`0x${reversed(second)}`) + order;
    return { ...common, "s and the order": first + reversed(hexOf(s, size)) };
  }
  const halves = { r: BigInt(`0x${first}`), s: BigInt(`0x${second}`) };
  const whole = (r: bigint, s: bigint, bytes = size): string => hexOf(r, bytes) + hexOf(s, bytes);
  return {
    ...common,
    "r is zero": whole(0n, halves.s),
    "s is zero": whole(halves.r, 0n),
    "r is the order": whole(order, halves.s),
    "s is the order": whole(halves.r, order),
    "both are one": whole(1n, 1n),
    "r and the order, in more bytes": whole(halves.r + order, halves.s, size + 1),
    "s and the order, in more bytes": whole(halves.r, halves.s + order, size + 1),
    "in DER": derOf(first, second),
  };
}

function derOf(...numbers: readonly string[]): string {
  const parts = numbers.map((hex) => {
    const bare = hex.replace(/^(?:00)+/, "");
    const positive = /^[89a-f]/.test(bare) ? `00${bare}` : bare;
    return `02${hexOf(BigInt(positive.length / 2), 1)}${positive}`;
  });
  const length = parts.join("").length / 2;
  return `30${length > 127 ? "81" : ""}${hexOf(BigInt(length), 1)}${parts.join("")}`;
}

describe.each(Object.keys(ORDERS) as (keyof typeof ORDERS)[])("a token of %s", (algorithm) => {
  const key = createTestSigningKey("k", algorithm);
  const jwk = key.publicJwk;
  const sound = signCompact(key, { alg: algorithm, kid: "k" }, { sub: "a" });
  const sig = Buffer.from(sound.split(".")[2] ?? "", "base64url").toString("hex");

  test("is verified as it was signed", async () => {
    expect(await outcome(sound, jwk, algorithm)).toBe("verified");
    expect(await outcome(tokenWith(algorithm, sig), jwk, algorithm)).toBe("verified");
  });

  test.each(Object.entries(spoiled(algorithm, sig)))("is refused with %s", async (_name, bad) => {
    expect(await outcome(tokenWith(algorithm, bad), jwk, algorithm)).toBe("signature");
  });
});

test("RFC 8037's Ed25519 signature is verified, and is none under a changed text", async () => {
  const jwk = {
    kty: "OKP",
    crv: "Ed25519",
    x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    alg: "EdDSA",
  };
  const header = "eyJhbGciOiJFZERTQSJ9";
  const signature =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
  const signed = `${header}.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.${signature}`;
  expect(await outcome(signed, jwk, "EdDSA")).toBe("verified");
  // It names no key, so that there might be another one that it is of.
  expect(await outcome(`${header}.e30.${signature}`, jwk, "EdDSA")).toBe("unknown_key");
});

test("each algorithm that is accepted has vectors, here or among the JSON web signatures", () => {
  const json = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES512"];
  const accepted = new Set([...OIDC_ALGORITHMS, ...DPOP_ALGORITHMS]);
  expect([...accepted].toSorted()).toEqual([...new Set([...json, ...TESTED])].toSorted());
});
