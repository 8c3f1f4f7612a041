import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemRandom } from "@mayfly/host";
import { parseTrustRootName, type BundleSource } from "@mayfly/spec";
import { freshDatabase } from "@mayfly/testkit/vitest";
import { migrate } from "./migrate.ts";
import { migrationsDirectory } from "./migration-files.ts";
import { createTestLedger, TEST_PASSWORDS, type TestLedger } from "./testing/test-ledger.ts";

const SHA256 = "ab".repeat(32);
const sourceOf = (name: string): BundleSource => ({
  trustRoot: parseTrustRootName(name, "root"),
  sourceSha256: SHA256,
});
/** Below it, each whole number is a double of its own. */
const EXACT = 2n ** 53n;

/** What versions do that know sequences as doubles alone. */
const asBefore = (sql: postgres.Sql) => ({
  note: (name: string, sequence: number) => sql`
    INSERT INTO mayfly.bundle_sequences AS known (trust_root, source_sha256, sequence)
    VALUES (${name}, decode(${SHA256}, 'hex'), ${sequence}::float8)
    ON CONFLICT (trust_root, source_sha256)
      DO UPDATE SET sequence = excluded.sequence, seen_at = now()
      WHERE known.sequence IS NULL OR known.sequence < excluded.sequence`,
  newest: async (name: string): Promise<unknown> => {
    const [row] = await sql`
      SELECT sequence FROM mayfly.bundle_sequences WHERE trust_root = ${name}`;
    return row?.["sequence"] ?? null;
  },
  forget: (name: string) => sql`
    UPDATE mayfly.bundle_sequences SET sequence = NULL, seen_at = now()
    WHERE trust_root = ${name} AND sequence IS NOT NULL`,
});

let ledger: TestLedger;
let sql: postgres.Sql;
beforeAll(async () => {
  ledger = await createTestLedger();
  sql = postgres(ledger.urlOf("mayfly_broker"), { max: 1 });
});
afterAll(async () => {
  await sql.end();
  await ledger.close();
});

describe("beside a broker that knows sequences as doubles", () => {
  test("each knows what the other saw, and forgets what the other forgets", async () => {
    const { bundleSequences } = ledger.broker;
    const old = asBefore(sql);
    await old.note("a.test", 7);
    expect(await bundleSequences.newest(sourceOf("a.test"))).toBe(7n);
    expect(await bundleSequences.note(sourceOf("a.test"), 6n)).toBe(7n);
    expect(await bundleSequences.note(sourceOf("a.test"), 8n)).toBe(8n);
    expect(await old.newest("a.test")).toBe(8);
    await old.note("a.test", 9);
    expect(await bundleSequences.newest(sourceOf("a.test"))).toBe(9n);
    await old.forget("a.test");
    expect(await bundleSequences.newest(sourceOf("a.test"))).toBeNull();
    expect(await bundleSequences.note(sourceOf("a.test"), 1n)).toBe(1n);
    expect(await old.newest("a.test")).toBe(1);
  });

  test("nothing goes back by what it rounds, and what it rounded up refuses no bundle", async () => {
    const { bundleSequences } = ledger.broker;
    const old = asBefore(sql);
    const seen = 2n ** 60n + 100n;
    await bundleSequences.note(sourceOf("b.test"), seen);
    await old.note("b.test", Number(seen + 156n));
    expect(await bundleSequences.newest(sourceOf("b.test"))).toBe(seen);
    const next = EXACT + 3n;
    await old.note("c.test", Number(next));
    expect(Number(next)).toBeGreaterThan(Number(EXACT));
    expect(await bundleSequences.note(sourceOf("c.test"), next)).toBe(next);
  });
});

test("what was on record as a double is what it was, or the least that it may have been", async () => {
  const { url } = await freshDatabase();
  const directory = await mkdtemp(join(tmpdir(), "mayfly-before-sequences-"));
  const options = { url, random: systemRandom, passwords: TEST_PASSWORDS };
  const own = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    await cp(migrationsDirectory(), directory, { recursive: true });
    for (const file of await readdir(directory)) {
      if (/^\d{4}_/.test(file) && file >= "0031") await rm(join(directory, file));
    }
    await migrate({ ...options, directory });
    const old = asBefore(own);
    const before = {
      small: 7,
      broken: 8.5,
      exact: Number(EXACT) - 1,
      most: 1e300,
      rounded: 2 ** 60,
    };
    for (const [name, sequence] of Object.entries(before)) await old.note(name, sequence);
    await old.note("forgotten", 3);
    await old.forget("forgotten");
    await migrate(options);
    const rows = await own`
      SELECT trust_root, sequence_number::text AS digits FROM mayfly.bundle_sequences`;
    const { rounded, ...others } = Object.fromEntries(
      rows.map((row) => [String(row["trust_root"]), row["digits"]]),
    );
    expect(others).toEqual({
      small: "7",
      broken: "8",
      exact: String(EXACT - 1n),
      most: String(2n ** 64n - 1n),
      forgotten: null,
    });
    // Doubles are 256 from each other there, and the lowest that is rounded to this one is 64 less.
    const most = 2n ** 60n - 64n;
    expect(BigInt(String(rounded))).toBeLessThanOrEqual(most);
    expect(BigInt(String(rounded))).toBeGreaterThan(most - 512n);
  } finally {
    await own.end();
    await rm(directory, { recursive: true });
  }
});
