import { expect, test } from "vitest";
import { Secret, type JsonObject } from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { createJsonLog, type LogLevel } from "./json-log.ts";
import { createTraceScope } from "./trace-scope.ts";

function logTo(lines: string[], level: LogLevel = "debug", fields?: JsonObject) {
  return createJsonLog({
    stream: { write: (line) => lines.push(line) },
    level,
    clock: createFakeClock(),
    ...(fields === undefined ? {} : { fields }),
  });
}

test("a line is one JSON object: level, time, bound fields, own fields, message", () => {
  const lines: string[] = [];
  const log = logTo(lines, "debug", { service: "broker" }).child({ traceId: "t1" });
  log.info("a lease was reserved", { leaseId: "lease_1" });
  expect(lines).toHaveLength(1);
  expect(lines[0]?.endsWith("\n")).toBe(true);
  expect(JSON.parse(lines[0] ?? "")).toEqual({
    level: "info",
    at: "2026-01-01T00:00:00.000Z",
    service: "broker",
    traceId: "t1",
    leaseId: "lease_1",
    message: "a lease was reserved",
  });
});

test.each<[LogLevel, readonly string[]]>([
  ["debug", ["debug", "info", "warn", "error"]],
  ["warn", ["warn", "error"]],
  ["silent", []],
])("at level %s, less severe lines are dropped", (level, expected) => {
  const lines: string[] = [];
  const log = logTo(lines, level);
  log.debug("debug");
  log.info("info");
  log.warn("warn");
  log.error("error");
  expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject(
    expected.map((message) => ({ message })),
  );
});

test("an error is shown by name, code, message and causes, and nothing that hangs on it", () => {
  const lines: string[] = [];
  const cause = Object.assign(new TypeError("refused"), { code: "ECONNREFUSED" });
  const error = Object.assign(new Error("lost", { cause }), { parameters: ["hunter2"] });
  logTo(lines).error("it failed", {}, error);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    error: { name: "Error", message: "lost", cause: { name: "TypeError", code: "ECONNREFUSED" } },
  });
  expect(lines[0]).not.toContain("hunter2");
});

test("a loop of causes ends, and what is no error is not shown", () => {
  const lines: string[] = [];
  const loop = new Error("round");
  loop.cause = loop;
  logTo(lines).error("it failed", {}, loop);
  logTo(lines).error("it failed", {}, { password: "hunter2" });
  expect(lines).toHaveLength(2);
  expect(lines.join()).not.toContain("hunter2");
});

const jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzcGlmZmU6Ly9hY21lLnRlc3QvYSJ9.c2lnbmF0dXJl";
test.each<[string, JsonObject]>([
  ["a password, by its name", { password: "hunter2" }],
  ["however it is written", { Access_Token: "hunter2", x: { "client-secret": "hunter2" } }],
  ["in a list", { users: [{ password: "hunter2" }] }],
  ["a whole object under such a name", { credential: { user: "a", text: "hunter2" } }],
  ["in a URL", { url: "postgres://broker:hunter2@db/orders" }],
  ["in a header", { header: "Bearer hunter2hunter2" }],
])("the second net catches %s", (_name, fields) => {
  const lines: string[] = [];
  const log = logTo(lines);
  log.info("caught", fields);
  log.child(fields).info("caught");
  log.warn("caught", {}, new Error(JSON.stringify(fields["url"] ?? fields["header"] ?? "")));
  expect(lines).toHaveLength(3);
  expect(lines.join()).not.toContain("hunter2");
});

test("the second net catches tokens and private keys by their looks", () => {
  const lines: string[] = [];
  const key = "-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----";
  logTo(lines).info("caught", { a: `token ${jwt}`, b: key });
  logTo(lines).error("caught", {}, new Error(`refused ${jwt}`));
  expect(lines.join()).not.toMatch(/eyJ|MIGH/);
});

test("a secret shows itself as one, whatever its name", () => {
  const lines: string[] = [];
  const fields: JsonObject = { anything: `${Secret.of("hunter2").toString()}` };
  logTo(lines).info("shown", fields);
  expect(lines[0]).toContain("[secret]");
});

test("what is not secret is shown as it is", () => {
  const lines: string[] = [];
  const fields = { tokens: 3, leaseId: "lease_1", url: "https://broker.test/token", ok: null };
  logTo(lines).info("shown", fields);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject(fields);
});

test("a line is bounded, and a field cannot pose as the line's own", () => {
  const lines: string[] = [];
  let deep: JsonObject = { end: "here" };
  for (let depth = 0; depth < 50; depth++) deep = { deep };
  logTo(lines).info("bounded", { text: "x".repeat(100_000), deep, level: "error", message: "no" });
  expect(lines[0]?.length).toBeLessThan(4_000);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    level: "info",
    message: "bounded",
    _level: "error",
    _message: "no",
  });
});

test("a line inside a trace names it, across whatever is awaited; a line outside does not", async () => {
  const lines: string[] = [];
  const scope = createTraceScope();
  const log = createJsonLog({
    stream: { write: (line) => lines.push(line) },
    level: "debug",
    clock: createFakeClock(),
    currentTrace: () => scope.current(),
  });
  const work = async (): Promise<void> => {
    await Promise.resolve();
    log.info("inside");
    log.child({ backend: "orders-db" }).info("inside");
    log.info("named by the call", { trace: "another" });
    log.child({ trace: "bound" }).info("named by its binding");
  };
  await Promise.all([scope.run("one", work), scope.run("two", () => Promise.resolve())]);
  log.info("outside");
  const traces = lines.map((line): unknown => {
    expect(line.match(/"trace"/g)?.length ?? 0).toBeLessThan(2);
    const { trace } = JSON.parse(line) as { readonly trace?: string };
    return trace;
  });
  expect(traces).toEqual(["one", "one", "another", "bound", undefined]);
});
