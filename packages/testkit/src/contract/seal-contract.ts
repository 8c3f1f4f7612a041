import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Secret, type Sealer } from "@mayfly/spec";

/** What differs between implementations of `Sealer`. */
export interface SealContractSubject {
  /** A sealer over named keys: the first seals, all open. One name is one key, and one root key. */
  createSealer(keyNames: readonly [string, ...string[]]): Sealer;
}

const text = fc.oneof(fc.string({ unit: "binary", maxLength: 300 }), fc.string());
const BINDING = "lease:lease_1";

async function refusal(opening: Promise<Secret>): Promise<Error> {
  const outcome: unknown = await opening.catch((error: unknown) => error);
  if (outcome instanceof Error) return outcome;
  throw new Error("it opened");
}

/** The obligations of `Sealer` (`seal.ts` in @mayfly/spec), by number. */
export function describeSealContract(name: string, harness: SealContractSubject): void {
  describe(`Sealer contract: ${name}`, () => {
    test("E1 what was sealed opens with its binding, whatever the text", async () => {
      const sealer = harness.createSealer(["k1"]);
      await fc.assert(
        fc.asyncProperty(text, fc.string(), async (plain, binding) => {
          const sealed = await sealer.seal(Secret.of(plain), binding);
          expect((await sealer.open(sealed, binding)).expose("crypto")).toBe(plain.toWellFormed());
        }),
        { numRuns: 50 },
      );
    });

    test("E1 what was sealed does not open with another binding", async () => {
      const sealer = harness.createSealer(["k1"]);
      await fc.assert(
        fc.asyncProperty(text, fc.string(), fc.string(), async (plain, binding, other) => {
          fc.pre(binding !== other);
          const sealed = await sealer.seal(Secret.of(plain), binding);
          expect(await refusal(sealer.open(sealed, other))).toBeInstanceOf(Error);
        }),
        { numRuns: 50 },
      );
    });

    test("E1 no value opens after any one bit of it changed", async () => {
      const sealer = harness.createSealer(["k1"]);
      const sealed = await sealer.seal(Secret.of("hunter2"), BINDING);
      expect((await sealer.open(sealed, BINDING)).expose("crypto")).toBe("hunter2");
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        const altered = Uint8Array.from(sealed);
        altered[bit >> 3]! ^= 1 << (bit & 7);
        await refusal(sealer.open(altered, BINDING));
      }
    });

    test("E1 no value opens cut short or with something after it", async () => {
      const sealer = harness.createSealer(["k1"]);
      const sealed = await sealer.seal(Secret.of("hunter2"), BINDING);
      for (let length = 0; length < sealed.length; length++) {
        expect(await refusal(sealer.open(sealed.subarray(0, length), BINDING))).toBeDefined();
      }
      expect(await refusal(sealer.open(Uint8Array.of(...sealed, 0), BINDING))).toBeDefined();
    });

    test("E2 what an older key sealed opens while that key is configured", async () => {
      const before = harness.createSealer(["k1"]);
      const during = harness.createSealer(["k2", "k1"]);
      const after = harness.createSealer(["k2"]);
      const old = await before.seal(Secret.of("old"), BINDING);
      const fresh = await during.seal(Secret.of("fresh"), BINDING);
      expect((await during.open(old, BINDING)).expose("crypto")).toBe("old");
      expect((await after.open(fresh, BINDING)).expose("crypto")).toBe("fresh");
      await refusal(after.open(old, BINDING));
    });

    test("E2 a process that only opens with the new key reads what the others seal", async () => {
      const ahead = harness.createSealer(["k2", "k1"]);
      const behind = harness.createSealer(["k1", "k2"]);
      for (const [from, to] of [
        [ahead, behind],
        [behind, ahead],
      ] as const) {
        const sealed = await from.seal(Secret.of("between"), BINDING);
        expect((await to.open(sealed, BINDING)).expose("crypto")).toBe("between");
      }
    });

    test("E2 rotation of the sealing key changes neither fingerprint nor tag", () => {
      const before = harness.createSealer(["k1"]);
      const after = harness.createSealer(["k2"]);
      const secret = Secret.of("hunter2");
      expect(after.fingerprint(secret)).toBe(before.fingerprint(secret));
      expect(after.verifyTag("lease_1", before.tag("lease_1"))).toBe(true);
    });

    test("E3 failures of every kind look alike and show nothing of the content", async () => {
      const sealer = harness.createSealer(["k1"]);
      const stranger = harness.createSealer(["k9"]);
      const sealed = await sealer.seal(Secret.of("hunter2"), BINDING);
      const failures = [
        await refusal(sealer.open(sealed, "lease:lease_2")),
        await refusal(sealer.open(sealed.subarray(1), BINDING)),
        await refusal(stranger.open(sealed, BINDING)),
        await refusal(sealer.open(new Uint8Array(0), BINDING)),
      ];
      expect(new Set(failures.map((failure) => failure.message)).size).toBe(1);
      for (const failure of failures) {
        expect(failure.cause).toBeUndefined();
        expect(`${failure.message}\n${failure.stack ?? ""}`).not.toContain("hunter2");
      }
    });

    test("E3 a sealed value shows neither the text nor that two texts are equal", async () => {
      const sealer = harness.createSealer(["k1"]);
      const one = await sealer.seal(Secret.of("hunter2hunter2"), BINDING);
      const two = await sealer.seal(Secret.of("hunter2hunter2"), BINDING);
      expect(Buffer.from(one).includes("hunter2")).toBe(false);
      expect(Buffer.from(one).equals(Buffer.from(two))).toBe(false);
    });

    test("fingerprints and tags are lowercase hex, stable, and in domains of their own", () => {
      fc.assert(
        fc.property(fc.string(), fc.string(), (one, other) => {
          const sealer = harness.createSealer(["k1"]);
          const fingerprint = sealer.fingerprint(Secret.of(one));
          const tag = sealer.tag(one);
          expect(fingerprint).toMatch(/^[0-9a-f]{64}$/);
          expect(tag).toMatch(/^[0-9a-f]{64}$/);
          expect(fingerprint).not.toBe(tag);
          expect(sealer.fingerprint(Secret.of(one))).toBe(fingerprint);
          expect(sealer.verifyTag(one, tag)).toBe(true);
          if (one.toWellFormed() !== other.toWellFormed()) {
            expect(sealer.verifyTag(other, tag)).toBe(false);
            expect(sealer.fingerprint(Secret.of(other))).not.toBe(fingerprint);
          }
        }),
        { numRuns: 50 },
      );
    });

    test("a tag that is not one is false, not an error", () => {
      const sealer = harness.createSealer(["k1"]);
      const tag = sealer.tag("lease_1");
      for (const wrong of [
        "",
        "00",
        "zz".repeat(32),
        tag.slice(2),
        `${tag}00`,
        tag.toUpperCase(),
      ]) {
        expect(sealer.verifyTag("lease_1", wrong)).toBe(false);
      }
    });
  });
}
