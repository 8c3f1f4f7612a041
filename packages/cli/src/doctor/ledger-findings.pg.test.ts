import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freshDatabase, startPostgres, type EmbeddedPostgres } from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { migrate } from "@mayfly/postgres";
import { migrateQueue } from "@mayfly/queue";
import { Secret, type Clock } from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { runAgainst } from "../__fixtures__/run-against.ts";

const QUEUE_USERS = ["mayfly_broker", "mayfly_worker"];
const PASSWORD = "a password of this test";
let server: EmbeddedPostgres;
let url: string;
let superuser: postgres.Sql;
// Roles belong to the server and are changed here, so it is one of this file's own.
beforeAll(async () => {
  server = await startPostgres({ unsafeNoFsync: false });
  url = await freshDatabase(server);
  const passwords = { mayfly_broker: Secret.of(PASSWORD) };
  await migrate({ url, random: systemRandom, passwords });
  const connection = Secret.of(url);
  await migrateQueue({ connection, schema: "mayfly_queue", grantTo: QUEUE_USERS });
  superuser = postgres(url, { max: 1, onnotice: () => undefined });
});
afterAll(async () => {
  await superuser.end({ timeout: 5 });
  await server.stop("immediate");
});

interface Found {
  readonly check: string;
  readonly text: string;
  readonly todo: string;
}

/** What doctor finds in the ledger's database, as the broker's role sees it. */
async function found(
  as: "mayfly_broker" | "superuser" = "mayfly_broker",
  clock: Clock = systemClock,
): Promise<readonly Found[]> {
  const login = new URL(url);
  if (as === "mayfly_broker") [login.username, login.password] = [as, encodeURIComponent(PASSWORD)];
  const environment = { MAYFLY_URL: "http://127.0.0.1:1", MAYFLY_DATABASE_URL: login.href };
  const { out } = await runAgainst("http://127.0.0.1:1", "doctor --json", { environment, clock });
  return out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Found & { readonly result: string })
    .filter(({ result, check }) => result === "bad" && (check === "ledger" || check === "schema"))
    .map(({ check, text, todo }) => ({ check, text, todo }));
}

test("a ledger as migrations make it has nothing to find", async () => {
  expect(await found()).toEqual([]);
});

test("a superuser's login is found", async () => {
  const [first, ...more] = await found("superuser");
  expect(first?.text).toMatch(/is a superuser/);
  expect(more).toEqual([]);
});

test("a clock of this machine that is off is found", async () => {
  const [first, ...more] = await found("mayfly_broker", createFakeClock());
  expect(first?.text).toMatch(/^The server's clock is -?\d+ s from ours\.$/);
  expect(more).toEqual([]);
});

/** Each made for real, found, and mended by what the finding says to do. */
const CASES: readonly (readonly [what: string, make: string, text: RegExp])[] = [
  [
    "commits that are not waited for",
    "ALTER ROLE mayfly_broker SET synchronous_commit = off",
    /synchronous_commit is off/,
  ],
  [
    "a right on the history that nobody should have",
    "GRANT DELETE ON mayfly.events TO mayfly_worker",
    /^mayfly_worker has DELETE on mayfly\.events\.$/,
  ],
  [
    "a right that a worker needs and lacks",
    "REVOKE INSERT ON mayfly.log_entries FROM mayfly_worker",
    /^mayfly_worker lacks INSERT on mayfly\.log_entries\.$/,
  ],
  [
    "a column that a broker may write and should not",
    "GRANT UPDATE (opened_at) ON mayfly.tasks TO mayfly_broker",
    /^mayfly_broker has UPDATE \(opened_at\) on mayfly\.tasks\.$/,
  ],
  [
    "a power of a role that no grant holds back",
    "ALTER ROLE mayfly_worker CREATEDB",
    /^mayfly_worker has CREATEDB\.$/,
  ],
  [
    "a role that is a member of another one",
    "GRANT mayfly_broker TO mayfly_auditor",
    /^mayfly_auditor is a member of mayfly_broker\.$/,
  ],
];
describe("doctor finds", () => {
  test.each(CASES)("%s, and what it says to do mends it", async (_what, make, text) => {
    await superuser.unsafe(make);
    const [first, ...more] = await found();
    expect(more).toEqual([]);
    expect(first?.text).toMatch(text);
    const isRoleSetting = make.includes("synchronous_commit");
    await superuser.unsafe(
      isRoleSetting ? "ALTER ROLE mayfly_broker RESET synchronous_commit" : (first?.todo ?? ""),
    );
    expect(await found()).toEqual([]);
  });

  test("what an auditor could use up, once there is one, and what it says to do mends it", async () => {
    await superuser.unsafe("ALTER ROLE mayfly_auditor LOGIN CONNECTION LIMIT -1");
    await superuser`GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO PUBLIC`;
    await superuser`GRANT EXECUTE ON FUNCTION lo_create(oid) TO PUBLIC`;
    const open = await found();
    expect(open.map(({ text }) => text)).toEqual([
      expect.stringMatching(/^mayfly_auditor may take advisory locks /),
      expect.stringMatching(/^mayfly_auditor may make large objects /),
      "mayfly_auditor may open every connection that the server has.",
      expect.stringMatching(/may log in to other databases of the server \(postgres, template1\)/),
    ]);
    for (const { todo } of open) await superuser.unsafe(todo);
    expect(await found()).toEqual([]);
    await superuser`ALTER ROLE mayfly_auditor NOLOGIN`;
  });

  test("a queue whose tables are not there", async () => {
    await superuser`ALTER SCHEMA mayfly_queue RENAME TO elsewhere`;
    const [first, ...more] = await found();
    await superuser`ALTER SCHEMA elsewhere RENAME TO mayfly_queue`;
    expect(first?.text).toMatch(/queue's schema mayfly_queue is not there/);
    expect(more).toEqual([]);
  });

  test("a schema that lacks a migration of this version, and a database without a ledger", async () => {
    const [last] = await superuser<{ version: number }[]>`
      DELETE FROM mayfly.schema_versions
      WHERE version = (SELECT max(version) FROM mayfly.schema_versions) RETURNING *`;
    const [first] = await found();
    expect(first?.text).toMatch(/lacks migration/);
    expect(first?.todo).toBe("Run: mayfly migrate");
    await superuser`INSERT INTO mayfly.schema_versions ${superuser({ ...last })}`;
    await superuser`ALTER SCHEMA mayfly RENAME TO elsewhere`;
    const none = await found("superuser");
    await superuser`ALTER SCHEMA elsewhere RENAME TO mayfly`;
    expect(none.map(({ text }) => text)).toContain("The database has no ledger.");
  });
});
