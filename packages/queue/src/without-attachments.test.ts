import { inspect } from "node:util";
import { expect, test } from "vitest";
import { withoutAttachments } from "./without-attachments.ts";

test("name, code, message and causes stay, and whatever hangs on them goes", () => {
  const inner = Object.assign(new Error("refused"), { code: "ECONNREFUSED", password: "hunter2" });
  const outer = Object.assign(new TypeError("lost", { cause: inner }), {
    client: { a: "hunter2" },
  });
  const bare = withoutAttachments(outer);
  expect(bare).toMatchObject({
    name: "TypeError",
    message: "lost",
    cause: { message: "refused", code: "ECONNREFUSED" },
  });
  expect(inspect(bare, { depth: 9, showHidden: true })).not.toContain("hunter2");
});

test("of several attempts to connect the first speaks, and a loop of causes ends", () => {
  const aggregate = new AggregateError([new Error("refused"), new Error("timeout")], "");
  expect(withoutAttachments(aggregate).cause).toMatchObject({ message: "refused" });
  const loop = new Error("round");
  loop.cause = loop;
  expect(withoutAttachments(loop).message).toBe("round");
});

test("what is no error is not shown", () => {
  expect(withoutAttachments("hunter2").message).not.toContain("hunter2");
});
