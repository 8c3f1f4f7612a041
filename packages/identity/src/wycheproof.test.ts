import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { createFakeClock } from "@mayfly/testkit";
import { KEY_OF_ALGORITHM, OIDC_ALGORITHMS } from "./algorithms.ts";
import { checkHeader } from "./check-header.ts";
import { inlineKeys } from "./key-source.ts";
import { parseCompactJws } from "./parse-compact-jwt.ts";
import { parseJwkSet } from "./parse-jwk-set.ts";
import { Refusal } from "./refusal.ts";
import { verifyPayload } from "./verify-signature.ts";

/*
 * Wycheproof's vectors, through the path that every token takes: form, header, the issuer's keys,
 * the signature. What is refused is refused by a rule of ours, which throws a Refusal.
 */
type Jwk = Readonly<Record<string, unknown>>;
interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly jws?: string;
  readonly result: "valid" | "invalid";
}
interface Group {
  readonly comment: string;
  readonly public?: Jwk;
  readonly private?: Jwk;
  readonly tests: readonly Vector[];
}
const FILES = ["json_web_signature", "json_web_key", "json_web_crypto"] as const;
const groupsOf = (file: (typeof FILES)[number]): readonly Group[] => {
  const place = new URL(`./__fixtures__/wycheproof/${file}_test.json`, import.meta.url);
  return (JSON.parse(readFileSync(place, "utf8")) as { testGroups: readonly Group[] }).testGroups;
};
const ALL = FILES.flatMap((file) =>
  groupsOf(file).flatMap((group) =>
    group.tests.map((vector) => ({ name: `${file} ${vector.tcId}`, group, vector })),
  ),
);
type Case = (typeof ALL)[number];

/** One key as a set, the algorithm's name of RFC 7518 in place of one that there is not. */
const keysOf = ({ group }: Case): unknown => {
  const shown = group.public ?? group.private ?? {};
  if (Array.isArray(shown["keys"])) return shown;
  return { keys: [shown["alg"] === "ES521" ? { ...shown, alg: "ES512" } : shown] };
};

const context = {
  clock: createFakeClock(),
  signal: new AbortController().signal,
  traceId: "wycheproof",
};

async function outcome(each: Case, keys = keysOf(each)): Promise<string> {
  try {
    const jws = parseCompactJws(each.vector.jws ?? "");
    const algorithms = OIDC_ALGORITHMS;
    const header = checkHeader(jws.header, {
      algorithms,
      members: ["alg", "kid", "typ"],
      typeAllowed: () => true,
    });
    const source = inlineKeys(parseJwkSet(keys, { algorithms, profile: "oidc" }));
    await verifyPayload(jws, header, source, "sole", context);
    return "verified";
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.reason;
  }
}

const algorithmIn = ({ vector }: Case): unknown => {
  const [header = ""] = (vector.jws ?? "").split(".");
  try {
    return (JSON.parse(Buffer.from(header, "base64url").toString()) as Jwk)["alg"];
  } catch {
    return undefined;
  }
};
/**
 * RFC 7520's figure 20 signs with PS384 under a key that says PS256, which the vectors let pass. A
 * key serves the algorithm that it names (RFC 8725 section 3.1).
 */
const OTHER_ALGORITHM_THAN_ITS_KEY = ["json_web_signature 346", "json_web_signature 350"];
const isAccepted = (each: Case): boolean =>
  OIDC_ALGORITHMS.some((algorithm) => algorithm === algorithmIn(each));

describe("Wycheproof's JSON web signatures", () => {
  test("that are valid and of an algorithm that is accepted are verified", async () => {
    const valid = ALL.filter((each) => each.vector.result === "valid" && isAccepted(each));
    const refused: string[] = [];
    for (const each of valid) {
      const seen = await outcome(each);
      const right = OTHER_ALGORITHM_THAN_ITS_KEY.includes(each.name) ? "algorithm" : "verified";
      if (seen !== right) refused.push(`${each.name}: ${each.vector.comment}: ${seen}`);
    }
    expect(refused).toEqual([]);
    const algorithms = new Set(valid.map(algorithmIn));
    // There is none of ES384 and EdDSA: those are in wycheproof-signatures.test.ts.
    const least = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES512"];
    expect([...algorithms]).toEqual(expect.arrayContaining(least));
    expect(valid.length).toBeGreaterThan(30);
  });

  test("that are invalid are refused, by our own rules", async () => {
    const invalid = ALL.filter(({ vector }) => vector.result === "invalid");
    const verified: string[] = [];
    for (const each of invalid) {
      const seen = await outcome(each);
      if (seen === "verified") verified.push(`${each.name}: ${each.vector.comment}`);
    }
    expect(verified).toEqual([]);
    expect(invalid.length).toBeGreaterThan(400);
  });

  test("that are valid and of a symmetric algorithm are refused all the same", async () => {
    const symmetric = ALL.filter(
      (each) => each.vector.result === "valid" && String(algorithmIn(each)).startsWith("HS"),
    );
    expect(symmetric.length).toBeGreaterThan(10);
    for (const each of symmetric) expect(await outcome(each)).not.toBe("verified");
  });

  test("would show a path that verifies nothing: a changed byte is refused", async () => {
    const [valid] = ALL.filter((each) => each.vector.result === "valid" && isAccepted(each));
    if (valid === undefined) throw new Error("there is none");
    const jws = (valid.vector.jws ?? "").replace(/^([^.]+)\..{4}/, "$1.Zm9w");
    expect(await outcome({ ...valid, vector: { ...valid.vector, jws } })).toBe("signature");
  });

  test("have an algorithm of ours for each key type", () => {
    expect(Object.keys(KEY_OF_ALGORITHM)).toEqual(expect.arrayContaining([...OIDC_ALGORITHMS]));
  });
});
