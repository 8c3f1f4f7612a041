import { inspect } from "node:util";
import { expect, test } from "vitest";
import { MayflyError } from "./mayfly-error.ts";
import { openTaskIn } from "./open-task.ts";
import { startServer } from "./testing/http-server.ts";
import { testSurroundings } from "./testing/test-surroundings.ts";
import { unsignedToken } from "./testing/unsigned-token.ts";

const PASSWORD = "hunter2-canary";
const credential = {
  lease: "lease_1",
  role: "orders-db/reader",
  kind: "postgres-password",
  expires_at: "2030-01-01T00:00:00Z",
  expiry_enforced_by: "login_only",
  revocation: "immediate",
  data: {
    host: "db",
    port: 5432,
    database: "orders",
    username: "mf_1",
    password: PASSWORD,
    url: `postgresql://mf_1:${PASSWORD}@db/orders`,
  },
};
const good = {
  access_token: `eyJ.${PASSWORD}.x`,
  token_type: "Bearer",
  expires_in: 600,
  task: { id: "task_1", deadline: "2030-01-01T00:00:00Z", idle_timeout_seconds: 300 },
  credentials: [credential],
};

async function opened(reply: unknown) {
  await using broker = await startServer(({ path, headers }) => {
    const own = `http://${headers.host ?? ""}`;
    if (path.startsWith("/.well-known/")) {
      return { status: 200, body: JSON.stringify({ issuer: own }) };
    }
    if (path === "/token") return { status: 200, body: JSON.stringify(reply) };
    return { status: 200, body: JSON.stringify({ task: { id: "task_1", state: "completed" } }) };
  });
  const token = unsignedToken(broker.url);
  const task = await openTaskIn(testSurroundings({ MAYFLY_IDENTITY_TOKEN: token }), {
    url: broker.url,
    goal: "Look",
    deadline: "5m",
  });
  await task.complete();
  return task;
}

test("members that a newer broker adds are let by", async () => {
  const more = { ...good, added: [1], credentials: [{ ...credential, added: { a: 1 } }] };
  const task = await opened(more);
  expect(task.credential("orders-db/reader").password.expose()).toBe(PASSWORD);
});

test("a kind that this version does not know is handed out whole, and shows nothing", async () => {
  const other = { ...credential, kind: "aws-sts", data: { secret_access_key: PASSWORD } };
  const task = await opened({ ...good, credentials: [other] });
  expect(() => task.credential("orders-db/reader")).toThrow(/of kind aws-sts, not postgres/);
  const [held] = task.credentials;
  expect(inspect(held) + JSON.stringify(held) + String(held)).not.toContain(PASSWORD);
  expect(held?.expose()).toEqual({ secret_access_key: PASSWORD });
});

test.each([
  ["no task", { ...good, task: undefined }, "task"],
  ["no task token", { ...good, access_token: 5 }, "access_token"],
  ["a time that is none", { ...good, task: { ...good.task, deadline: "soon" } }, "deadline"],
  ["another token type", { ...good, token_type: "DPoP" }, "type DPoP"],
  ["no data", { ...good, credentials: [{ ...credential, data: null }] }, "data"],
  [
    "a port that is none",
    { ...good, credentials: [{ ...credential, data: { ...credential.data, port: "5432" } }] },
    "port",
  ],
])(
  "an answer with %s is refused by name, and nothing of it is shown",
  async (_what, reply, name) => {
    const error: unknown = await opened(reply).catch((thrown: unknown) => thrown);
    expect(MayflyError.is(error) && error.code).toBe("not_a_broker");
    expect(inspect(error, { depth: 9 })).toContain(name);
    expect(inspect(error, { depth: 9 })).not.toContain(PASSWORD);
  },
);
