import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  fileIdentity,
  MayflyError,
  openTask,
  withTask,
  type PostgresPassword,
  type Task,
  type TaskOptions,
} from "@mayfly/client";
import { pause, READER, until, WRITER } from "../harness/index.ts";
import { startClientWorld, type ClientWorld } from "./client-world.ts";

let world: ClientWorld;
let bot: TaskOptions;
beforeAll(async () => {
  world = await startClientWorld();
  bot = {
    ...world.reach,
    goal: "Reconcile the October invoices",
    credentials: [READER],
    deadline: "10m",
    identity: fileIdentity(await world.tokenFile("bot")),
  };
});
afterAll(() => world[Symbol.asyncDispose]());

async function logsIn(db: PostgresPassword): Promise<boolean> {
  const sql = postgres(db.url.expose(), { max: 1, connect_timeout: 30, fetch_types: false });
  try {
    const rows = await sql`SELECT count(*)::int AS n FROM orders`;
    return rows.length === 1;
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 1 });
  }
}
const refusalOf = async (promise: Promise<unknown>): Promise<MayflyError> => {
  const error: unknown = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (MayflyError.is(error)) return error;
  throw new Error(`expected a MayflyError, got ${inspect(error)}`);
};

test("a credential works while the callback runs, and is refused when it has returned", async () => {
  let held: { readonly task: Task; readonly db: PostgresPassword } | null = null;
  const answer = await withTask(bot, async (task) => {
    const db = task.credential(READER);
    held = { task, db };
    expect(await logsIn(db)).toBe(true);
    return 42;
  });
  expect(answer).toBe(42);
  const { task, db } = held!;
  expect(await logsIn(db)).toBe(false);
  expect(await world.taskState(task.id)).toBe("completed");
  expect(task.signal.aborted).toBe(false);
  const { state, leases } = await task.complete();
  expect([state, leases[0]?.outcome, leases[0]?.exposure]).toEqual([
    "completed",
    "revoked",
    "none",
  ]);
});

test("what the callback throws comes out, and the ledger has its class but not its text", async () => {
  const thrown = new RangeError("password=hunter2");
  let db: PostgresPassword | null = null;
  let id = "";
  const outcome = withTask(bot, (task) => {
    db = task.credential(READER);
    id = task.id;
    throw thrown;
  });
  await expect(outcome).rejects.toBe(thrown);
  expect(await logsIn(db!)).toBe(false);
  const { body, text } = await world.broker.api.admin("GET", `/v1/tasks/${id}`);
  expect(body).toMatchObject({ state: "failed", end_reason: "RangeError" });
  expect(text).not.toContain("hunter2");
});

test("no string form of a credential shows it", async () => {
  await withTask(bot, (task) => {
    const db = task.credential(READER);
    const { password } = db.expose();
    const shown = [
      String(db),
      "" + String(db.password) + String(db.url),
      [db, db.password, db.url].join(" "),
      JSON.stringify({ db, all: task.credentials, task }),
      inspect({ db, task, all: task.credentials }, { depth: 9, showHidden: true }),
      inspect(db.password, { showHidden: true }),
    ].join("\n");
    expect(shown).toContain("[secret]");
    expect(shown).not.toContain(password);
    expect(db.url.expose()).toContain(password);
  });
});

test("a denial says which policy, which decision and what to do", async () => {
  const mallory = fileIdentity(await world.tokenFile("mallory"));
  const error = await refusalOf(openTask({ ...bot, identity: mallory }));
  expect(error).toMatchObject({ code: "denied", determiningPolicies: ["mallory-gets-nothing"] });
  expect(error.decision).toMatch(/^dec_/);
  expect(error.message).toContain("mallory-gets-nothing");
  expect(error.hint).not.toBe("");
  expect(error.trace).not.toBe(null);
});

test("a mistake in the descriptor names the place", async () => {
  const error = await refusalOf(openTask({ ...bot, deadline: "400d" }));
  expect(error).toMatchObject({ code: "invalid_task", where: "authorization_details[0].deadline" });
});

test("a killed task aborts the signal and refuses to draw", async () => {
  const task = await openTask({ ...bot, idleTimeout: 9 });
  await world.kill(task.id);
  await until("the signal", 60_000, async () => task.signal.aborted);
  expect(task.lost).toMatchObject({ code: "task_lost" });
  expect(await refusalOf(task.draw(READER))).toBe(task.lost);
  expect((await task.complete()).state).toBe("killed");
});

test("whoever hears first that the task was killed aborts the signal, and says what that means", async () => {
  const task = await openTask(bot);
  await world.kill(task.id);
  const refused = await refusalOf(task.draw(READER));
  expect(refused.code).toBe("task_ended");
  expect([task.signal.aborted, task.lost?.cause]).toEqual([true, refused]);
  expect(task.lost?.hint).toContain("ask the operators before you open a new task");
});

test("work of a task that was killed is no success, whether a heartbeat noticed or only the end", async () => {
  const unnoticed = withTask(bot, async (task) => {
    await world.kill(task.id);
    expect(task.isOpen).toBe(true);
    return "done";
  });
  expect(await refusalOf(unnoticed)).toMatchObject({ code: "task_lost" });
  const noticed = withTask({ ...bot, idleTimeout: 9 }, async (task) => {
    await world.kill(task.id);
    await until("the signal", 60_000, async () => task.signal.aborted);
    return task.lost;
  });
  expect(await refusalOf(noticed)).toMatchObject({ code: "task_lost" });
  const own = withTask(bot, async (task) => {
    await world.kill(task.id);
    throw new RangeError("mine");
  });
  expect(await own.catch((error: unknown) => error)).toEqual(new RangeError("mine"));
});

test("heartbeats keep a task alive past its idle timeout", async () => {
  const task = await openTask({ ...bot, idleTimeout: 6 });
  await pause(10_000);
  expect(await world.taskState(task.id)).toBe("active");
  expect(await logsIn(task.credential(READER))).toBe(true);
  await task.complete();
});

test("what was declared for later is drawn, renewed and ended", async () => {
  const credentials = [{ role: READER, ttl: "2m", issue: "later" }, WRITER] as const;
  await withTask({ ...bot, credentials }, async (task) => {
    expect((await refusalOf(Promise.resolve().then(() => task.credential(READER)))).what).toContain(
      WRITER,
    );
    const drawn = await task.draw(READER, { ttl: "1m" });
    expect(task.credential(READER)).toBe(drawn);
    const renewed = await task.renew(drawn, { ttl: "2m" });
    expect(renewed.expiresAt.getTime()).toBeGreaterThan(drawn.expiresAt.getTime());
    expect(task.credential(READER).lease).toBe(drawn.lease);
    await task.endCredential(renewed);
    await until("the refusal", 90_000, async () => !(await logsIn(renewed)));
    expect(await logsIn(task.credential(WRITER))).toBe(true);
  });
});

test("a child acts as another workload, and is lost when its parent ends", async () => {
  const parent = await openTask({ ...bot, idleTimeout: "5m" });
  const child = await parent.child({
    goal: "Check VAT numbers",
    deadline: "5m",
    credentials: [READER],
    identity: fileIdentity(await world.tokenFile("vat-bot")),
  });
  expect(child.parent).toBe(parent.id);
  const db = child.credential(READER);
  expect(await logsIn(db)).toBe(true);
  await parent.complete();
  expect(child.signal.aborted).toBe(true);
  expect(await logsIn(db)).toBe(false);
});

test("with `await using` a task that was left without an end is cancelled", async () => {
  let id = "";
  {
    await using task = await openTask(bot);
    id = task.id;
  }
  expect(await world.taskState(id)).toBe("cancelled");
});

test("a reply that is lost is asked for again, and leaves one task and one live credential", async () => {
  const { broker, installation } = world;
  let lost = 0;
  const proxy = createServer((request, response) => {
    const to = new URL(request.url ?? "/", broker.api.url);
    const { method, headers } = request;
    const onward = httpRequest(to, { method, headers }, (answer) => {
      if (request.url === "/token" && lost === 0) {
        lost++;
        // Read to its end: the broker believes that it was delivered.
        answer.resume().once("end", () => request.socket.destroy());
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const { port } = proxy.address() as AddressInfo;
  const tasks = () => installation.ledger`SELECT count(*)::int AS n FROM mayfly.tasks`;
  const [before] = await tasks();
  const task = await openTask({ ...bot, url: `http://127.0.0.1:${port}` });
  expect(lost).toBe(1);
  expect(await logsIn(task.credential(READER))).toBe(true);
  const [after] = await tasks();
  expect(after?.["n"]).toBe(Number(before?.["n"]) + 1);
  const { leases } = await task.complete();
  expect(leases).toHaveLength(2);
  expect(leases.filter(({ exposure }) => exposure !== "none")).toEqual([]);
  proxy.close();
  proxy.closeAllConnections();
});

test("another issuer than the expected one is not spoken to", async () => {
  const { issuer: _issuer, ...rest } = bot;
  const error = await refusalOf(openTask(rest));
  expect(error.code).toBe("not_a_broker");
  expect(error.message).toContain(world.reach.issuer);
});

test("a task is bound to a key of its own, which its children and heartbeats share, unless told not to", async () => {
  const confirmationsOf = async (ids: readonly string[]): Promise<unknown> => {
    const uuids = ids.map((id) => id.slice("task_".length));
    const rows = await world.installation.ledger`
      SELECT confirmation FROM mayfly.tasks
      WHERE replace(id::text, '-', '') = ANY (${uuids}) ORDER BY id`;
    return rows.map((row): unknown => row["confirmation"]);
  };
  const bound = await withTask(bot, async (task) => {
    await task.heartbeat();
    await task.renew(task.credential(READER)).catch((error: unknown) => {
      // It lives as long as it may already: the broker looked at the lease, and so took the proof.
      if (!MayflyError.is(error) || error.code !== "conflict") throw error;
    });
    const child = { goal: "Look", credentials: [READER], deadline: "5m" } as const;
    return task.child(child, async (below) => confirmationsOf([task.id, below.id]));
  });
  expect(bound).toEqual([
    expect.stringMatching(/^[\w-]{43}$/) as unknown,
    (bound as readonly unknown[])[0],
  ]);
  const bearer = await withTask({ ...bot, dpop: false }, (task) => confirmationsOf([task.id]));
  expect(bearer).toEqual([null]);
});
