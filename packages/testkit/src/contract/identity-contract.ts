import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  BrokerError,
  parseTrustRootName,
  Secret,
  type CallContext,
  type IdentityVerifier,
  type PresentedIdentity,
  type TrustRoot,
  type TrustRoots,
} from "@mayfly/spec";
import type { FakeClock } from "../fake-clock.ts";

/** How a token is spoiled; each kind of verifier spoils its own. */
export const IDENTITY_FLAWS = [
  "expired",
  "not_valid_yet",
  "other_audience",
  "other_key",
  "tampered",
] as const;
export type IdentityFlaw = (typeof IDENTITY_FLAWS)[number];

export interface IdentityUnderTest {
  readonly clock: FakeClock;
  /** Empty at the start. */
  readonly trustRoots: TrustRoots;
  /** The root that the tokens below belong to. */
  readonly root: TrustRoot;
  /** A verifier of that root alone. */
  readonly verifier: IdentityVerifier;
  /** What `present` says that the workload is. */
  readonly subject: string;
  /** A token that lives for 5 minutes from the clock's now, sound or with one flaw. */
  present(flaw?: IdentityFlaw): PresentedIdentity;
  /** A sound token of an issuer that no root claims. */
  presentForeign(): PresentedIdentity;
  /** Outbound requests so far. */
  fetches(): number;
  close(): Promise<void>;
}
export interface IdentityContractSubject {
  readonly name: string;
  /** Those that a proof of this kind can have. Default: all. */
  readonly flaws?: readonly IdentityFlaw[];
  start(): Promise<IdentityUnderTest>;
}

const MARK = "canary-a7f3";
const JUNK: readonly PresentedIdentity[] = [
  { kind: "jwt", token: Secret.of("") },
  { kind: "jwt", token: Secret.of("..") },
  { kind: "jwt", token: Secret.of(MARK) },
  { kind: "jwt", token: Secret.of("e30.e30.e30") },
  { kind: "jwt", token: Secret.of(`${MARK}.`.repeat(4000)) },
  { kind: "x509", chain: [] },
  { kind: "x509", chain: [new Uint8Array([0x30, 0])] },
];

/** The obligations of {@link IdentityVerifier} and {@link TrustRoots}, by number. */
export function describeIdentityContract(subject: IdentityContractSubject): void {
  describe(`identity contract: ${subject.name}`, () => {
    let under: IdentityUnderTest;
    const flaws = subject.flaws ?? IDENTITY_FLAWS;
    const context = (): CallContext => ({
      clock: under.clock,
      signal: new AbortController().signal,
      traceId: "trace",
    });
    beforeEach(async () => {
      under = await subject.start();
    });
    afterEach(async () => {
      await under.close();
    });
    const refusalOf = async (work: Promise<unknown>): Promise<BrokerError> => {
      const outcome: unknown = await work.then(
        () => "vouched",
        (error: unknown) => error,
      );
      if (!BrokerError.is(outcome))
        throw new Error(`expected a BrokerError, got ${String(outcome)}`);
      return outcome;
    };

    test("A1. claims its own tokens, no others, and never throws on junk", () => {
      expect(under.verifier.claims(under.present())).toBe(true);
      expect(under.verifier.claims(under.presentForeign())).toBe(false);
      for (const junk of JUNK) expect(under.verifier.claims(junk)).toBe(false);
      expect(under.fetches()).toBe(0);
    });

    test("A1. a claim is not yet trust: what it claims it may still refuse", async () => {
      const spoiled = under.present("other_key");
      expect(under.verifier.claims(spoiled)).toBe(true);
      const refusal = await refusalOf(under.verifier.verify(spoiled, context()));
      expect(refusal.code).toBe("invalid_identity");
    });

    test("A2. vouches for a sound token, and says who, until when and from when", async () => {
      const identity = await under.verifier.verify(under.present(), context());
      expect(identity.workload).toMatchObject({
        trustRoot: under.root.name,
        kind: under.root.kind,
        subject: under.subject,
      });
      expect(identity.provenAt).toBe(under.clock.now());
      expect(identity.expiresAt - under.clock.now()).toBe(300_000);
      expect(identity.tokenSha256).toMatch(/^[0-9a-f]{64}$/);
    });

    test.each(flaws)("A2. refuses a token that is flawed: %s", async (flaw) => {
      const refusal = await refusalOf(under.verifier.verify(under.present(flaw), context()));
      expect(refusal.code).toBe("invalid_identity");
    });

    test("A2. judges each call anew: what was good expires", async () => {
      const presented = under.present();
      await under.verifier.verify(presented, context());
      await under.clock.advance(300_000 + 61_000);
      const refusal = await refusalOf(under.verifier.verify(presented, context()));
      expect(refusal.code).toBe("invalid_identity");
    });

    test("A3. one message for all causes, and the cause kept for the log", async () => {
      under.trustRoots.replace([under.root]);
      const flawed = flaws.map((flaw) => under.present(flaw));
      const refusals = await Promise.all(
        [...flawed, ...JUNK, under.presentForeign()].map((presented) =>
          refusalOf(under.trustRoots.verify(presented, context())),
        ),
      );
      const seen = refusals.map(({ code, message, where, public: shown, retryAfterSeconds }) =>
        JSON.stringify([code, message, where, shown, retryAfterSeconds]),
      );
      expect(new Set(seen).size).toBe(1);
      expect(refusals.every(({ cause }) => cause instanceof Error)).toBe(true);
    });

    test("A3. no part of the token is in the error, its causes included", async () => {
      under.trustRoots.replace([under.root]);
      for (const presented of [...JUNK, under.present("tampered"), under.present("other_key")]) {
        const error = await refusalOf(under.trustRoots.verify(presented, context()));
        const shown = chainOf(error).join("\n");
        expect(shown).not.toContain(MARK);
        if (presented.kind === "jwt") {
          const parts = presented.token.expose("crypto").split(".");
          for (const part of parts.filter(({ length }) => length > 8)) {
            expect(shown).not.toContain(part);
          }
        }
      }
    });

    test("A4. replaces all roots at once, and a removed one vouches no more", async () => {
      await refusalOf(under.trustRoots.verify(under.present(), context()));
      under.trustRoots.replace([under.root]);
      const identity = await under.trustRoots.verify(under.present(), context());
      expect(identity.workload.subject).toBe(under.subject);
      under.trustRoots.replace([]);
      await refusalOf(under.trustRoots.verify(under.present(), context()));
    });

    test("A4. a disabled root vouches for nothing", async () => {
      under.trustRoots.replace([{ ...under.root, enabled: false }]);
      await refusalOf(under.trustRoots.verify(under.present(), context()));
      expect(under.fetches()).toBe(0);
    });

    test("A4. two roots that claim the same token vouch for nothing, in either order", async () => {
      const twin = { ...under.root, name: parseTrustRootName("twin", "name") };
      for (const roots of [
        [under.root, twin],
        [twin, under.root],
      ]) {
        under.trustRoots.replace(roots);
        const refusal = await refusalOf(under.trustRoots.verify(under.present(), context()));
        expect(refusal.code).toBe("invalid_identity");
      }
    });

    test("A5. what no root claims is refused before any fetch", async () => {
      under.trustRoots.replace([under.root]);
      const before = under.fetches();
      for (const presented of [under.presentForeign(), ...JUNK]) {
        await refusalOf(under.trustRoots.verify(presented, context()));
      }
      expect(under.fetches()).toBe(before);
    });

    test("a parsed configuration parses to itself", () => {
      const { name, kind, config } = under.root;
      expect(under.trustRoots.parse(name, kind, config).config).toEqual(config);
    });

    test("an unknown member of a configuration is an error that names it", () => {
      const { name, kind, config } = under.root;
      const parse = (): unknown => under.trustRoots.parse(name, kind, { ...config, isuer: "x" });
      expect(parse).toThrow(/isuer/);
      expect(parse).toThrow(expect.objectContaining({ code: "config_invalid" }) as Error);
    });
  });
}

/** The messages and stacks of an error and of all its causes. */
function chainOf(error: Error): readonly string[] {
  const cause: unknown = error.cause;
  const own = [error.message, error.stack ?? "", JSON.stringify(error)];
  return cause instanceof Error ? [...own, ...chainOf(cause)] : own;
}
