import { createServer, type AddressInfo } from "node:net";
import postgres from "postgres";
import { afterEach, beforeEach, expect, test } from "vitest";
import { freshDatabase, type TestDatabase } from "@mayfly/testkit/vitest";

/*
 * What we need of postgres.js when a server goes away in the middle, and what its release 3.4.9
 * does only with patches/postgres@3.4.9.patch: without, most of these hang, end the process, or
 * write half a transaction.
 */
let database: TestDatabase;
let sql: postgres.Sql;
let other: postgres.Sql;

beforeEach(async () => {
  database = await freshDatabase({ prefix: "driver" });
  const options = { onnotice: () => undefined };
  sql = postgres(database.url, { ...options, max: 1 });
  other = postgres(database.url, { ...options, max: 1 });
  await sql`CREATE TABLE written (what text)`;
});
afterEach(async () => {
  await Promise.all([sql.end({ timeout: 1 }), other.end({ timeout: 1 })]);
});

/** Ends the one session of `sql`, and waits until it has seen that. */
async function cut(pid: number): Promise<void> {
  await other`SELECT pg_terminate_backend(${pid}, 5000)`;
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const pidOf = async (on: postgres.ISql): Promise<number> => {
  const [row] = await on<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`;
  return row?.pid ?? 0;
};
const codeOf = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : error;

test("a transaction that loses its connection writes nothing on the next one", async () => {
  const isReplaced = Promise.withResolvers<void>();
  const late = Promise.withResolvers<unknown>();
  const lost = sql.begin(async (tx) => {
    await tx`INSERT INTO written VALUES ('before')`;
    await cut(await pidOf(tx));
    await isReplaced.promise;
    const insert = tx`INSERT INTO written VALUES ('after')`;
    await insert.then(
      () => late.resolve("written"),
      (error: unknown) => late.resolve(codeOf(error)),
    );
  });
  expect(await lost.catch(codeOf)).toMatch(/CONNECTION_CLOSED|57P01/);
  expect(await sql`SELECT * FROM written`).toHaveLength(0);
  isReplaced.resolve();
  expect(await late.promise).toMatch(/CONNECTION_CLOSED|57P01/);
  expect(await sql`SELECT * FROM written`).toHaveLength(0);
});

test("after a lost transaction each answer is that of its own question", async () => {
  const lost = sql.begin(async (tx) => {
    await cut(await pidOf(tx));
    await tx`INSERT INTO written VALUES ('lost')`;
  });
  expect(await lost.catch(codeOf)).toMatch(/CONNECTION_CLOSED|57P01/);
  const answers = await Promise.all(
    [1, 2, 3, 4].map(async (n) => (await sql<{ n: number }[]>`SELECT ${n}::int AS n`)[0]?.n),
  );
  expect(answers).toEqual([1, 2, 3, 4]);
});

test("a reserved connection that is lost refuses, and its pool goes on", async () => {
  const reserved = await sql.reserve();
  await cut(await pidOf(reserved));
  expect(await reserved`SELECT 1`.catch(codeOf)).toMatch(/CONNECTION_CLOSED|57P01/);
  expect(await sql`SELECT 1 AS one`).toEqual([{ one: 1 }]);
  expect(await reserved`SELECT 1`.catch(codeOf)).toMatch(/CONNECTION_CLOSED|57P01/);
  reserved.release();
  expect(await sql`SELECT 2 AS two`).toEqual([{ two: 2 }]);
});

/** Bytes of the protocol: AuthenticationOk and ReadyForQuery. */
const READY = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]);

test.each([true, false])(
  "reserving is a new connection's first call, types or not (%s)",
  async (types) => {
    const client = postgres(database.url, { max: 1, fetch_types: types });
    const [first, second] = [client.reserve(), client.reserve()];
    const one = await first;
    expect(await one`SELECT 1 AS one`).toEqual([{ one: 1 }]);
    one.release();
    const two = await second;
    expect(await two`SELECT 2 AS two`).toEqual([{ two: 2 }]);
    two.release();
    expect(await client`SELECT 3 AS three`).toEqual([{ three: 3 }]);
    await client.end({ timeout: 1 });
  },
);

test.each([
  ["at once", 0],
  ["after it let us in", 1],
])("a server that hangs up %s is an error, and no wait", async (_when, answers) => {
  const server = createServer((socket) => {
    let heard = 0;
    socket.on("error", () => undefined);
    socket.on("data", () => {
      if (heard++ < answers) socket.write(READY);
      else socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const client = postgres({ host: "127.0.0.1", port, max: 1, user: "nobody", database: "none" });
  try {
    expect(await client`SELECT 1`.catch(codeOf)).toMatch(/CONNECTION_CLOSED|ECONNRESET/);
    expect(await client.reserve().catch(codeOf)).toMatch(/CONNECTION_CLOSED|ECONNRESET/);
  } finally {
    await client.end({ timeout: 1 });
    server.close();
  }
});
