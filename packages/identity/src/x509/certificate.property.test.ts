import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Refusal } from "../refusal.ts";
import { parseCertificate } from "./certificate.ts";
import { acme, presentedOutcome } from "./testing/x509-bench.ts";

const [leaf = new Uint8Array()] = acme.issue({
  names: [{ dNSName: "db.test" }, { uniformResourceIdentifier: "spiffe://acme.test/workload" }],
}).chain;

/** What the bytes become: a certificate that is these bytes, or a refusal and nothing else. */
function parsedAs(der: Uint8Array): "refused" | "itself" | "other" {
  try {
    return parseCertificate(der).x509.raw.equals(der) ? "itself" : "other";
  } catch (error) {
    if (error instanceof Refusal) return "refused";
    throw error;
  }
}

/** Thousands of signatures and parses, beside other tests. */
const SLOW = { timeout: 120_000 };

describe("bytes that claim to be a certificate", SLOW, () => {
  const changes = fc.array(
    fc.record({ at: fc.nat({ max: leaf.length - 1 }), to: fc.nat({ max: 255 }) }),
    { minLength: 1, maxLength: 4 },
  );
  const changed = (edits: readonly { readonly at: number; readonly to: number }[]): Buffer => {
    const bytes = Buffer.from(leaf);
    for (const { at, to } of edits) bytes[at] = to;
    return bytes;
  };

  test("are refused, or are that certificate and nothing more, whatever was changed in one", () => {
    fc.assert(
      fc.property(changes, (edits) => {
        expect(parsedAs(changed(edits))).not.toBe("other");
      }),
      { numRuns: 2000 },
    );
  });

  test("count no more once a byte of them was changed, cut off or added", async () => {
    const spoiled = fc.oneof(
      changes.map(changed),
      fc.nat({ max: leaf.length - 1 }).map((length) => Buffer.from(leaf.subarray(0, length))),
      fc.uint8Array({ minLength: 1, maxLength: 8 }).map((more) => Buffer.concat([leaf, more])),
    );
    await fc.assert(
      fc.asyncProperty(spoiled, async (bytes) => {
        fc.pre(!bytes.equals(leaf));
        expect(await presentedOutcome({ kind: "x509", chain: [bytes] })).not.toBe("vouched");
      }),
      { numRuns: 500 },
    );
    expect(await presentedOutcome({ kind: "x509", chain: [leaf] })).toBe("vouched");
  });

  test("are refused without another error, whatever they are", () => {
    const nested = fc
      .tuple(fc.constantFrom(0x30, 0x31, 0xa0, 0xa3, 0x24), fc.integer({ min: 1, max: 8000 }))
      .map(([tag, depth]) =>
        Buffer.from(Array.from({ length: depth * 2 }, (_, n) => (n % 2 === 0 ? tag : 0x80))),
      );
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), nested), (bytes) => {
        expect(parsedAs(bytes)).toBe("refused");
      }),
      { numRuns: 500 },
    );
  });
});
