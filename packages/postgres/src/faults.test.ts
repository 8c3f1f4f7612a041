import { DrizzleQueryError } from "drizzle-orm";
import { expect, test } from "vitest";
import postgres from "postgres";
import { BrokerError } from "@mayfly/spec";
import { faultOf, toBrokerError } from "./faults.ts";

const serverError = (code: string): Error =>
  Object.assign(new postgres.PostgresError("duplicate key"), {
    code,
    detail: "Key (kid)=(s3cret) already exists.",
    constraint_name: "signing_keys_pkey",
  });

test.for<[string, string]>([
  ["40001", "ledger_unavailable"],
  ["40P01", "ledger_unavailable"],
  ["55P03", "busy"],
  ["57014", "ledger_unavailable"],
  ["57P01", "ledger_unavailable"],
  ["25P03", "ledger_unavailable"],
  ["25006", "ledger_unavailable"],
  ["08006", "ledger_unavailable"],
  ["53300", "ledger_unavailable"],
  ["22P05", "invalid_input"],
  ["23514", "invalid_input"],
  ["23505", "conflict"],
  ["42501", "config_invalid"],
  ["42P01", "internal"],
])("SQLSTATE %s is told as %s", ([code, expected]) => {
  expect(toBrokerError(serverError(code)).code).toBe(expected);
  const wrapped = new DrizzleQueryError("select 1", [], serverError(code));
  expect(toBrokerError(wrapped).code).toBe(expected);
});

test.for(["CONNECTION_CLOSED", "CONNECT_TIMEOUT", "ECONNREFUSED", "CONNECTION_ENDED"])(
  "%s is an unavailable ledger, to be tried again",
  (code) => {
    const told = toBrokerError(Object.assign(new Error("write CONNECTION_CLOSED"), { code }));
    expect(told).toMatchObject({ code: "ledger_unavailable", retryAfterSeconds: 1 });
  },
);

test("neither message nor cause carries the row's values", () => {
  const told = toBrokerError(serverError("23505"));
  expect(told.message).not.toContain("s3cret");
  expect(JSON.stringify(faultOf(told.cause))).not.toContain("s3cret");
  expect(JSON.stringify(told.cause, Object.getOwnPropertyNames(told.cause))).not.toContain(
    "s3cret",
  );
});

test("a right that is missing is told with its object, its role and what to do", () => {
  const message = "permission denied for table leases";
  const denied = Object.assign(serverError("42501"), { message });
  const told = toBrokerError(denied, "mayfly_auditor");
  expect(told).toMatchObject({ code: "config_invalid", where: "database role mayfly_auditor" });
  expect(told.message).toContain("mayfly_auditor may not");
  expect(told.message).toContain("permission denied for table leases");
  expect(told.message).toContain("Connect as the role whose work it is");
  expect(toBrokerError(denied).message).toContain("The ledger's database role may not");
});

test("a BrokerError passes as it is, and anything else is internal", () => {
  const own = new BrokerError("task_ended", "over");
  expect(toBrokerError(own)).toBe(own);
  expect(toBrokerError(new TypeError("x")).code).toBe("internal");
  expect(toBrokerError("text").code).toBe("internal");
});
