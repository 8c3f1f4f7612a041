import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BrokerError } from "@mayfly/spec";
import { parseTaskDetails } from "./task-details.ts";

const LIMITS = { taskSecondsMax: 86_400 };
const open = (members: object = {}) =>
  parseTaskDetails({ type: "mayfly-task", goal: "Reconcile", deadline: "15m", ...members }, LIMITS);
function refused(parse: () => unknown): BrokerError {
  try {
    parse();
  } catch (error) {
    if (BrokerError.is(error)) return error;
  }
  throw new Error("expected a refusal");
}

describe("a task descriptor", () => {
  test("is brought to normal form", () => {
    expect(
      open({
        version: 1,
        ref: "JIRA-4711",
        idle_timeout: 60,
        initiator: "alice@acme.test",
        targets: ["orders-db:orders", "orders-db:invoices", "orders-db:orders"],
        credentials: [
          { role: "orders-db/reader" },
          { role: "orders-db/writer", params: { a: [1, { b: null }] }, ttl: "2m", issue: "later" },
        ],
      }),
    ).toEqual({
      kind: "open",
      descriptor: {
        version: 1,
        goal: "Reconcile",
        ref: "JIRA-4711",
        deadlineSeconds: 900,
        idleTimeoutSeconds: 60,
        claimedInitiator: "alice@acme.test",
        targets: ["orders-db:invoices", "orders-db:orders"],
        credentials: [
          { role: "orders-db/reader", params: {}, ttlSeconds: null, issue: "now" },
          {
            role: "orders-db/writer",
            params: { a: [1, { b: null }] },
            ttlSeconds: 120,
            issue: "later",
          },
        ],
        parent: null,
      },
    });
  });

  test("needs only type, goal and deadline, and is idle after five minutes", () => {
    expect(open()).toMatchObject({
      descriptor: { idleTimeoutSeconds: 300, credentials: [], targets: [], ref: null },
    });
  });

  test("with `task` draws on that task", () => {
    const task = "task_00000000000070008000000000000000";
    const details = { type: "mayfly-task", task, credentials: [{ role: "orders-db/reader" }] };
    expect(parseTaskDetails(details, LIMITS)).toEqual({
      kind: "continue",
      task,
      credentials: [{ role: "orders-db/reader", params: {}, ttlSeconds: null, issue: "now" }],
    });
  });

  test.each<[string, object, string]>([
    ["an unknown member", { colour: "red" }, "colour"],
    [
      "an unknown member of a credential",
      { credentials: [{ role: "a/b", x: 1 }] },
      "credentials[0].x",
    ],
    ["another type", { type: "payment" }, "type"],
    ["another version", { version: 2 }, "version"],
    ["an empty goal", { goal: "" }, "goal"],
    ["a goal too long", { goal: "x".repeat(1025) }, "goal"],
    ["a goal that drives a terminal", { goal: "\u{1b}[2J" }, "goal"],
    ["a goal that is no text", { goal: "\u{d800}" }, "goal"],
    ["no deadline", { deadline: undefined }, "deadline"],
    ["a deadline of nothing", { deadline: 0 }, "deadline"],
    ["a deadline beyond the longest", { deadline: "25h" }, "deadline"],
    ["a deadline with a fraction", { deadline: 1.5 }, "deadline"],
    ["an ill-formed role", { credentials: [{ role: "reader" }] }, "credentials[0].role"],
    [
      "params that are no object",
      { credentials: [{ role: "a/b", params: [] }] },
      "credentials[0].params",
    ],
    ["an ill-formed target", { targets: ["orders"] }, "targets[0]"],
    ["an ill-formed parent", { parent: "task_1" }, "parent"],
  ])("with %s is refused, naming the place", (_what, members, where) => {
    const error = refused(() => open(members));
    expect(error.code).toBe("invalid_task");
    expect(error.where).toBe(`authorization_details[0].${where}`);
    expect(error.message).toContain(error.where!);
  });

  test.each<[string, object, string]>([
    ["a member of another form", { goal: "x" }, "goal"],
    ["an ill-formed task", { task: "nope" }, "task"],
    [
      "a credential for later",
      { credentials: [{ role: "a/b", issue: "later" }] },
      "credentials[0].issue",
    ],
  ])("that draws, with %s is refused, naming the place", (_what, members, where) => {
    const task = "task_00000000000070008000000000000000";
    const form = { type: "mayfly-task", task, ...members };
    const error = refused(() => parseTaskDetails(form, LIMITS));
    expect(error).toMatchObject({
      code: "invalid_task",
      where: `authorization_details[0].${where}`,
    });
  });

  test.each([null, [], "text", 7, true])("that is %j is refused", (input) => {
    expect(refused(() => parseTaskDetails(input, LIMITS)).code).toBe("invalid_task");
  });

  test("whatever it is, is parsed or refused as such, and no key of it breaks a message", () => {
    fc.assert(
      fc.property(fc.object({ maxDepth: 3 }), fc.string({ unit: "binary" }), (input, key) => {
        const error = refused(() =>
          parseTaskDetails({ ...input, type: "mayfly-task", [`x${key}`]: 1 }, LIMITS),
        );
        expect(error.code).toBe("invalid_task");
        expect(error.message).toMatch(/^[\u{20}-\u{7e}]*$/u);
      }),
    );
  });
});
