import { describe, expect, test } from "vitest";
import { Secret, type OpenBackend, type TokenVerification } from "@mayfly/spec";
import { BackendBench } from "./backend-bench.ts";
import type { BackendContractSubject, ContractTokens } from "./backend-contract-subject.ts";

const DAY_SECONDS = 86_400;
/** Keys sign for a month; whatever a type makes of it, a year is more. */
const DAYS_MAX = 366;
const STEP_SECONDS = 120;
/** Two days: no key is published for longer before it signs. */
const STEPS_MAX = 1_440;

/** K1 to K4, of a type that signs tokens. */
export function describeTokens(subject: BackendContractSubject, benchOf: () => BackendBench): void {
  describe("tokens", () => {
    describeReading(subject, benchOf);
    describeKeys(benchOf);
    describeRetired(benchOf);
  });
}

function tokensOf({ upstream }: BackendBench): ContractTokens {
  if (upstream.tokens === undefined) throw new Error("the upstream of a type with tokens has some");
  return upstream.tokens;
}

function verificationOf({ verification }: OpenBackend): TokenVerification {
  if (verification === undefined) throw new Error("a type that signs tokens has a verification");
  return verification;
}

async function issueToken(bench: BackendBench) {
  const plan = bench.plan(600);
  const { material, fingerprintOf } = await bench.open.issue(plan, bench.issueCall());
  const token = material[fingerprintOf];
  if (token instanceof Secret) return { plan, token };
  throw new Error("the member of the fingerprint is the token");
}

async function keyIdsOf(bench: BackendBench): Promise<readonly string[]> {
  const keys = await verificationOf(bench.open).keys();
  return keys.flatMap(({ kid }) => (typeof kid === "string" ? [kid] : []));
}

/** With another signature, of the same length. */
function forged(token: Secret): Secret {
  const [header = "", claims = "", signature = ""] = token.expose("crypto").split(".");
  return Secret.of(`${header}.${claims}.${"A".repeat(signature.length)}`);
}

function describeReading(subject: BackendContractSubject, benchOf: () => BackendBench): void {
  test("K3. a token of its own is read by its lease, and nothing else is, nor once expired", async () => {
    const bench = benchOf();
    const verification = verificationOf(bench.open);
    const { plan, token } = await issueToken(bench);
    const read = await verification.read(token);
    expect(read).toMatchObject({ leaseId: plan.leaseId, confirmation: null });
    expect(read?.audience).not.toHaveLength(0);
    const stranger = new BackendBench(subject, bench.upstream, "stranger");
    const theirs = await issueToken(stranger);
    await stranger.open.close();
    for (const other of [forged(token), theirs.token, Secret.of("no token"), Secret.of("a.b.c")]) {
      expect(await verification.read(other)).toBeNull();
    }
    await bench.upstream.pass(601_000);
    expect(await verification.read(token)).toBeNull();
  });
}

function describeKeys(benchOf: () => BackendBench): void {
  test("K2. the next key is added when it is due, and one alone by however many processes", async () => {
    const bench = benchOf();
    const processes = [bench.open, bench.openAgain()];
    const rotate = async (): Promise<readonly string[]> => {
      const now = bench.upstream.clock.now();
      await Promise.all(processes.map((open) => verificationOf(open).rotate(now)));
      return keyIdsOf(bench);
    };
    const before = await rotate();
    expect(before).not.toHaveLength(0);
    expect(await rotate()).toEqual(before);
    const after = await passDaysUntil(bench, rotate, (keyIds) => keyIds.at(-1) !== before.at(-1));
    expect(after.filter((keyId) => !before.includes(keyId))).toHaveLength(1);
    expect(await rotate()).toEqual(after);
    await processes[1]?.close();
  });
  test("K1. a key is published before it signs, and for as long as a token of its lives", async () => {
    const bench = benchOf();
    const tokens = tokensOf(bench);
    const verification = verificationOf(bench.open);
    const rotate = async (): Promise<readonly string[]> => {
      await verification.rotate(bench.upstream.clock.now());
      return keyIdsOf(bench);
    };
    const first = (await rotate()).at(-1);
    await passDaysUntil(bench, rotate, (keyIds) => keyIds.at(-1) !== first);
    let old = await issueToken(bench);
    const next = await passUntil(bench, async (published) => {
      const issued = await issueToken(bench);
      const keyId = tokens.keyIdOf(issued.token);
      // Whoever fetched the keys a step ago can verify what is signed now.
      expect(published).toContain(keyId);
      if (keyId !== tokens.keyIdOf(old.token)) return issued;
      old = issued;
      return null;
    });
    expect(tokens.keyIdOf(next.token)).not.toBe(tokens.keyIdOf(old.token));
    await passUntil(bench, async () => {
      if ((await verification.read(old.token)) === null) return old;
      expect(await keyIdsOf(bench)).toContain(tokens.keyIdOf(old.token));
      return null;
    });
    expect(bench.upstream.clock.now()).toBeGreaterThanOrEqual(old.plan.expiresAt);
    await passUntil(bench, async () =>
      (await keyIdsOf(bench)).includes(tokens.keyIdOf(old.token)) ? null : old,
    );
  });
}

async function passDaysUntil(
  bench: BackendBench,
  rotate: () => Promise<readonly string[]>,
  isSo: (keyIds: readonly string[]) => boolean,
): Promise<readonly string[]> {
  for (let days = 0; days < DAYS_MAX; days++) {
    const keyIds = await rotate();
    if (isSo(keyIds)) return keyIds;
    await bench.upstream.pass(DAY_SECONDS * 1_000);
  }
  throw new Error("no key was added in a year");
}

/** `look` is told which keys were published a step ago. */
async function passUntil<T>(
  bench: BackendBench,
  look: (published: readonly string[]) => Promise<T | null>,
): Promise<T> {
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const published = await keyIdsOf(bench);
    await bench.upstream.pass(STEP_SECONDS * 1_000);
    const found = await look(published);
    if (found !== null) return found;
  }
  throw new Error("it did not become so in two days");
}

function describeRetired(benchOf: () => BackendBench): void {
  test("K4. what is to end is read although its key was retired or it expired, and no forgery", async () => {
    const bench = benchOf();
    const verification = verificationOf(bench.open);
    const tokens = tokensOf(bench);
    const { plan, token } = await issueToken(bench);
    await tokens.retire(tokens.keyIdOf(token));
    await bench.upstream.pass(tokens.retiredWithinSeconds * 1_000);
    expect(await verification.read(token)).toBeNull();
    expect(await keyIdsOf(bench)).not.toContain(tokens.keyIdOf(token));
    const ending = { leaseId: plan.leaseId, confirmation: null };
    expect(await verification.readForEnd(token)).toMatchObject(ending);
    expect(await verification.readForEnd(forged(token))).toBeNull();
    expect(await verification.readForEnd(Secret.of("no token"))).toBeNull();
    const next = await issueToken(bench);
    await bench.upstream.pass(601_000);
    expect(bench.upstream.clock.now()).toBeGreaterThan(plan.expiresAt);
    expect(await verification.readForEnd(token)).toMatchObject(ending);
    expect(await verification.readForEnd(next.token)).toMatchObject({ leaseId: next.plan.leaseId });
  });
}
