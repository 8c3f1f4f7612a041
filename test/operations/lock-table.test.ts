import postgres from "postgres";
import { expect, test } from "vitest";
import { startPostgres } from "@mayfly/embedded";
import { codeOf, READER, startInstallation, until } from "../harness/index.ts";

const details = {
  type: "mayfly-task",
  goal: "find no lock",
  deadline: "10m",
  credentials: [{ role: READER, ttl: "5m" }],
};
/** More than the server has room for. */
const FILL = "SELECT count(pg_advisory_lock(i)) FROM generate_series(1, 200000) AS i";

test("broker and worker are not ready while the ledger has no lock left, and are when it has", async () => {
  // Its lock table is filled, so it is this test's own.
  await using server = await startPostgres({ unsafeNoFsync: true });
  await using mayfly = await startInstallation({ ledgerServer: server });
  const broker = await mayfly.startBroker();
  await mayfly.register(broker);
  const worker = await mayfly.startWorker({ MAYFLY_HEALTH_LISTEN: "127.0.0.1:0" });
  const { port } = JSON.parse(await worker.line("health is served")) as { readonly port: number };
  const readyz = [`${broker.api.url}/readyz`, `http://127.0.0.1:${port}/readyz`];
  const statuses = (): Promise<readonly number[]> =>
    Promise.all(readyz.map(async (url) => (await fetch(url)).status));
  await until("both to be ready", 30_000, async () => (await statuses()).join() === "200,200");

  const holder = postgres(server.url("postgres"), { max: 1, onnotice: () => undefined });
  await expect(holder.unsafe(FILL)).rejects.toMatchObject({ code: "53200" });
  const refused = await broker.api.exchange({ subject: mayfly.svid("locked-out"), details });
  expect(codeOf(refused)).toBe("ledger_unavailable");
  await until("both to say so", 30_000, async () => (await statuses()).join() === "503,503");
  const told = await fetch(readyz[0] ?? "", {
    headers: { authorization: `Bearer ${mayfly.adminToken}` },
  });
  const { checks } = (await told.json()) as { readonly checks: readonly object[] };
  expect(checks).toContainEqual({
    name: "ledger",
    ok: false,
    required: true,
    detail: "The ledger answers, and refuses work (SQLSTATE 53200).",
  });
  // Nobody's restart would mend it.
  expect((await fetch(`${broker.api.url}/healthz`)).status).toBe(200);

  await holder.end({ timeout: 5 });
  await until(
    "both to be ready again",
    60_000,
    async () => (await statuses()).join() === "200,200",
  );
  const granted = await broker.api.exchange({ subject: mayfly.svid("let-in"), details });
  expect(granted.status).toBe(200);
});
