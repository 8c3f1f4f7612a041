import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { checkSchema } from "@mayfly/postgres";
import { QUEUE_SCHEMA } from "@mayfly/composition";
import { asSuperuser, sharedServer, startProcess, testPrograms, until } from "../harness/index.ts";

interface Ran {
  /** Of the schema when the first run was dead; null: none. */
  readonly versionBetween: number | null;
  /** What the second run did, as it says itself. */
  readonly next: { readonly applied: readonly string[]; readonly admin_token?: string };
  readonly after: Awaited<ReturnType<typeof checkSchema>>;
}

/** `mayfly migrate` of an empty database, killed at that visit of the point; then once more. */
async function killedAt(trap: string): Promise<Ran> {
  const server = sharedServer();
  const name = `migrated_${randomBytes(6).toString("hex")}`;
  await asSuperuser(server, "postgres", (sql) => sql.unsafe(`CREATE DATABASE ${name}`));
  const url = server.url(name);
  const run = async (own: Readonly<Record<string, string>>) => {
    const migrator = await startProcess(
      "migrator",
      { MAYFLY_DATABASE_URL: url, ...own },
      testPrograms(),
    );
    return { exit: await migrator.exited, output: () => migrator.output() };
  };
  try {
    const dead = await run({ MAYFLY_UNSAFE_FAIL_POINT: trap });
    expect(dead.exit, dead.output()).toEqual({ code: null, signal: "SIGKILL" });
    const { version } = await checkSchema({ url, queueSchema: null });
    const next = await run({});
    expect(next.exit, next.output()).toEqual({ code: 0, signal: null });
    // It may have ended before its last line was read.
    const line = await until(
      "what it says",
      10_000,
      async () => /^\{.*\}$/m.exec(next.output())?.[0],
    );
    return {
      versionBetween: version,
      next: JSON.parse(line) as Ran["next"],
      after: await checkSchema({ url, queueSchema: QUEUE_SCHEMA }),
    };
  } finally {
    await asSuperuser(server, "postgres", (sql) => sql.unsafe(`DROP DATABASE ${name} (FORCE)`));
  }
}

describe("a migration that was killed", () => {
  test("row 20: killed at migrate.applied, the next run does the rest", async () => {
    const { versionBetween, next, after } = await killedAt("migrate.applied=kill@3");
    expect(versionBetween).toBe(3);
    expect(after).toMatchObject({ problems: [] });
    expect(next.applied).toHaveLength((after.version ?? 0) - 3);
    expect(next.applied[0]).toMatch(/^0004/);
  });

  test("row 21: killed at migrate.ledger, the next run makes partitions, queue and token", async () => {
    const { versionBetween, next, after } = await killedAt("migrate.ledger=kill");
    expect(after).toEqual({ version: versionBetween, problems: [] });
    expect(next).toMatchObject({ applied: [], admin_token: expect.any(String) as unknown });
  });

  test("row 22: killed at migrate.queue, the next run makes the administrator's token", async () => {
    const { versionBetween, next, after } = await killedAt("migrate.queue=kill");
    expect(after).toEqual({ version: versionBetween, problems: [] });
    expect(next).toMatchObject({ applied: [], admin_token: expect.any(String) as unknown });
  });
});
