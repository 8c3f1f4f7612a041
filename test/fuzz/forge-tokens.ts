import {
  createTestSigningKey,
  hmacCompact,
  signCompact,
  signText,
  unsignedCompact,
  type TestSigningKey,
} from "@mayfly/testkit";
import type { JsonObject } from "@mayfly/spec";

export interface Genuine {
  /** The key that the trust root really has. */
  readonly key: TestSigningKey;
  readonly header: JsonObject;
  readonly claims: JsonObject;
}

/**
 * Tokens that say what a genuine one would say, and that nobody must believe. By name: what was
 * done. Every one of them is for somebody whom policy permits something.
 */
export function forgeTokens({ key, header, claims }: Genuine): ReadonlyMap<string, string> {
  const mallory = createTestSigningKey(key.kid);
  const genuine = signCompact(key, header, claims);
  const [head = "", payload = "", signature = ""] = genuine.split(".");
  const otherPayload = signCompact(mallory, header, { ...claims, admin: true }).split(".")[1] ?? "";
  const byHeader = (change: JsonObject): string =>
    signCompact(key, { ...header, ...change }, claims);
  const byClaims = (change: JsonObject): string =>
    signCompact(key, header, { ...claims, ...change });
  const sub = typeof claims["sub"] === "string" ? claims["sub"] : "";
  const publicText = JSON.stringify(key.publicJwk);
  const pem = key.privateKey.asymmetricKeyType ?? "";
  return new Map(
    Object.entries({
      "other-key": signCompact(mallory, header, claims),
      "own-key-in-header": signCompact(mallory, { ...header, jwk: mallory.publicJwk }, claims),
      jku: signCompact(mallory, { ...header, jku: "https://127.0.0.1:1/keys" }, claims),
      x5u: signCompact(
        mallory,
        { ...header, x5u: "https://127.0.0.1:1/keys", x5c: ["MII"] },
        claims,
      ),
      none: unsignedCompact({ ...header, alg: "none" }, claims),
      "none-mixed": unsignedCompact({ ...header, alg: "nOnE" }, claims),
      unsigned: unsignedCompact(header, claims),
      "hmac-of-jwk": hmacCompact(publicText, { ...header, alg: "HS256" }, claims),
      "hmac-of-kind": hmacCompact(pem, { ...header, alg: "HS256" }, claims),
      "hmac-empty": hmacCompact("", { ...header, alg: "HS256" }, claims),
      "alg-list": byHeader({ alg: ["ES256", "none"] }),
      "alg-other": byHeader({ alg: "RS256" }),
      "alg-lower": byHeader({ alg: "es256" }),
      crit: byHeader({ crit: ["exp"], exp: 1 }),
      "crit-empty": byHeader({ crit: [] }),
      "crit-unknown": byHeader({ crit: ["x-mayfly"], "x-mayfly": true }),
      b64: byHeader({ b64: false, crit: ["b64"] }),
      zip: byHeader({ zip: "DEF" }),
      "kid-path": byHeader({ kid: "../../../dev/null" }),
      "kid-number": byHeader({ kid: 1 }),
      "kid-nul": byHeader({ kid: "authority-1\u0000" }),
      "kid-proto": byHeader({ kid: "__proto__" }),
      "typ-task": byHeader({ typ: "at+jwt" }),
      expired: byClaims({ exp: 1, iat: 0 }),
      "exp-text": byClaims({ exp: "99999999999" }),
      "exp-huge": byClaims({ exp: 1e300 }),
      "exp-missing": byClaims({ exp: null }),
      "not-yet": byClaims({ nbf: 32_503_680_000 }),
      "other-audience": byClaims({ aud: "https://elsewhere.test" }),
      "audience-object": byClaims({ aud: { 0: "https://mayfly.test" } }),
      "no-audience": byClaims({ aud: [] }),
      "sub-list": byClaims({ sub: [sub] }),
      "sub-nul": byClaims({ sub: `${sub}\u0000` }),
      "sub-long": byClaims({ sub: `spiffe://acme.test/${"a".repeat(3000)}` }),
      "sub-other-domain": byClaims({ sub: "spiffe://elsewhere.test/agent/owner" }),
      "sub-dots": byClaims({ sub: "spiffe://acme.test/agent/../agent/owner" }),
      "claims-list": signCompact(key, header, [claims]),
      "claims-null": signText(key, JSON.stringify(header), "null"),
      // The last of two members counts (RFC 7519 section 4): here that is the wrong one.
      "claims-twice": signText(
        key,
        JSON.stringify(header),
        `${JSON.stringify(claims).slice(0, -1)},"sub":"spiffe://elsewhere.test/agent/owner"}`,
      ),
      "header-twice": signText(
        key,
        `${JSON.stringify(header).slice(0, -1)},"alg":"none"}`,
        JSON.stringify(claims),
      ),
      "claims-deep": signText(
        key,
        JSON.stringify(header),
        `${"[".repeat(3000)}${"]".repeat(3000)}`,
      ),
      "claims-no-utf8": `${head}.${Buffer.from([0xff, 0xfe, 0x7b]).toString("base64url")}.${signature}`,
      flipped: `${head}.${payload}.${flipped(signature)}`,
      "signature-short": `${head}.${payload}.${signature.slice(0, 10)}`,
      "signature-zero": `${head}.${payload}.${Buffer.alloc(64).toString("base64url")}`,
      "signature-der": `${head}.${payload}.${Buffer.from("3006020101020101", "hex").toString("base64url")}`,
      "payload-swapped": `${head}.${otherPayload}.${signature}`,
      "four-parts": `${genuine}.${signature}`,
      "two-parts": `${head}.${payload}`,
      padded: `${head}=.${payload}==.${signature}`,
      "json-form": Buffer.from(JSON.stringify({ payload, protected: head, signature })).toString(
        "base64url",
      ),
      encrypted: `${Buffer.from('{"alg":"dir","enc":"A256GCM"}').toString("base64url")}.a.b.c.d`,
      dots: "...",
      word: "token",
    }),
  );
}

const flipped = (signature: string): string =>
  (signature.startsWith("A") ? "B" : "A") + signature.slice(1);
