import { MayflyError } from "@mayfly/client";
import { expect, test } from "vitest";
import { asTyped } from "./as-typed.ts";

const ROLES = [
  { role: "orders-db/reader", prefix: "A" },
  { role: "stock-db/reader", prefix: "B" },
];
const DETAILS = "authorization_details[0]";
const refused = (code: string, where: string, what: string): MayflyError =>
  new MayflyError({ code, what, where, hint: "Do otherwise.", status: 400, trace: "t" });

test.each([
  [`${DETAILS}.deadline`, "--deadline"],
  [`${DETAILS}.idle_timeout`, "--idle-timeout"],
  [`${DETAILS}.targets[1]`, "--target"],
  [`${DETAILS}.credentials[1].role`, "--role stock-db/reader"],
  [`${DETAILS}.credentials`, "--role"],
])("%s is %s for who typed it", (where, option) => {
  const { parts } = asTyped(refused("invalid_task", where, `${where}: is wrong`), ROLES);
  expect(parts).toMatchObject({ where: option, what: `${option}: is wrong`, code: "invalid_task" });
  expect(parts.todo).toContain("mayfly exec --help");
});

test("a denial keeps its own advice, and names the role that was asked for", () => {
  const denied = refused("denied", `${DETAILS}.credentials[0]`, "Policy 'x' forbids it.");
  expect(asTyped(denied, ROLES).parts).toMatchObject({
    what: "Policy 'x' forbids it.",
    where: "--role orders-db/reader",
    todo: "Do otherwise.",
    trace: "t",
  });
});

test("what is of no option stays as it is", () => {
  const refusal = refused("invalid_identity", "subject_token", "No.");
  expect(asTyped(refusal, ROLES).parts).toMatchObject({ where: "subject_token", what: "No." });
});
