import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ConnectionLost,
  grantedOf,
  READER,
  startInstallation,
  until,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";

const CLIENTS = 6;
const GRANTS_MS_MAX = 120_000;
/** A server may close a connection just when a client uses it again (RFC 9112 section 9.5). */
const UNREAD = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);

let mayfly: Installation;
beforeAll(async () => {
  mayfly = await startInstallation({
    settings: { MAYFLY_LIVE_LEASES_MAX_PER_WORKLOAD: "100000" },
  });
  const broker = await mayfly.startBroker();
  await mayfly.register(broker);
  await mayfly.startWorker();
  await broker.stop();
});
afterAll(async () => {
  await mayfly[Symbol.asyncDispose]();
});

const opening = (index: number) => ({
  subject: mayfly.svid(`stopped-${index}`),
  details: {
    type: "mayfly-task",
    goal: "exchange while the broker stops",
    deadline: "10m",
    idle_timeout: "5m",
    credentials: [{ role: READER }],
  },
});

/** Exchanges until nobody answers. Returns the leases that it was given, and why it stopped. */
async function exchangeUntilGone(
  broker: RunningBroker,
  index: number,
  leases: string[],
): Promise<string> {
  for (;;) {
    try {
      leases.push(grantedOf(await broker.api.exchange(opening(index))).lease);
    } catch (error) {
      if (error instanceof ConnectionLost) return codeOf(error);
      throw error;
    }
  }
}

/** The innermost code: what the operating system said. */
function codeOf(error: unknown): string {
  const inner = error instanceof Error ? error.cause : undefined;
  if (inner !== undefined) return codeOf(inner);
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

/** Holds a request of the broker open: its body never ends. */
async function holdRequest(broker: RunningBroker): Promise<void> {
  const { hostname, port } = new URL(broker.api.url);
  const socket = connect({ host: hostname, port: Number(port) });
  await once(socket, "connect");
  socket.on("error", () => undefined);
  socket.write("POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx");
}

describe("a broker that is told to stop", () => {
  test("under load says so, answers all it accepted, and leaves no secret undelivered", async () => {
    const broker = await mayfly.startBroker({
      MAYFLY_DRAIN_SECONDS: "8",
      MAYFLY_STOP_SECONDS: "60",
    });
    const leases: string[] = [];
    const clients = Array.from({ length: CLIENTS }, (_, index) =>
      exchangeUntilGone(broker, index, leases),
    );
    await until("grants", GRANTS_MS_MAX, async () => leases.length >= 2 * CLIENTS);
    expect((await broker.api.admin("GET", "/readyz")).status).toBe(200);
    const before = leases.length;
    const stopped = broker.stop();
    await until("readiness to say no", 20_000, async () => {
      const { status } = await broker.api.admin("GET", "/readyz");
      return status === 503;
    });
    await stopped;
    // Refused, or cut with the connection that it was just sent on, unread: none that was accepted
    // was lost, as the leases below show.
    const ends = await Promise.all(clients);
    expect(ends.filter((code) => !UNREAD.has(code))).toEqual([]);
    expect(await broker.exited).toMatchObject({ code: 0 });
    expect(leases.length).toBeGreaterThan(before);
    const live = await mayfly.ledger<{ id: string }[]>`
      SELECT 'lease_' || replace(id::text, '-', '') AS id FROM mayfly.leases
      WHERE state IN ('reserved', 'active') AND end_requested_at IS NULL`;
    expect(live.length).toBeGreaterThan(0);
    expect(live.map(({ id }) => id).filter((id) => !leases.includes(id))).toEqual([]);
  });
  test("cuts a request that does not end within its time, and ends with 1", async () => {
    const broker = await mayfly.startBroker({ MAYFLY_STOP_SECONDS: "1" });
    await holdRequest(broker);
    await broker.stop();
    expect(await broker.exited).toMatchObject({ code: 1 });
    expect(broker.output()).toContain("requests under way are cut");
  });
  test("ends at once when it is told again", async () => {
    const broker = await mayfly.startBroker({ MAYFLY_STOP_SECONDS: "300" });
    await holdRequest(broker);
    process.kill(broker.pid, "SIGTERM");
    await broker.line("broker stops");
    process.kill(broker.pid, "SIGTERM");
    expect(await broker.exited).toMatchObject({ code: 1 });
  });
});

test("a worker that is told to stop under load ends with 0, and another ends what it left", async () => {
  const broker = await mayfly.startBroker();
  const worker = await mayfly.startWorker();
  const granted = await Promise.all(
    Array.from({ length: 8 }, async (_, index) =>
      grantedOf(await broker.api.exchange(opening(index))),
    ),
  );
  await Promise.all(
    granted.map(({ taskId }) => broker.api.admin("POST", `/v1/tasks/${taskId}/kill`, {})),
  );
  await worker.stop();
  expect(await worker.exited).toMatchObject({ code: 0 });
  await mayfly.startWorker();
  await until("every lease to end", GRANTS_MS_MAX, async () => {
    const [row] = await mayfly.ledger<{ open: number }[]>`
      SELECT count(*)::integer AS open FROM mayfly.leases AS l
      WHERE l.task_id = ANY(${granted.map(({ taskId }) => uuid(taskId))}) AND l.state <> 'ended'`;
    return row?.open === 0;
  });
  await broker.stop();
});

const uuid = (taskId: string): string =>
  taskId.slice("task_".length).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
