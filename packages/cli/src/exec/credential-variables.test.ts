import { OtherCredential, PostgresPassword } from "@mayfly/client";
import { expect, test } from "vitest";
import { credentialVariables } from "./credential-variables.ts";

const facts = {
  lease: "lease_1",
  role: "cache/reader",
  kind: "some-password",
  expiresAt: new Date(0),
  expiryEnforcedBy: "broker",
  revocation: "immediate",
};
const other = new OtherCredential(facts, {
  username: "u",
  "key-prefix": "orders:",
  port: 6379,
  urls: ["a", "b"],
  nothing: null,
});

test("a kind without variables of its own is given member by member", () => {
  expect(credentialVariables(other, "CACHE")).toEqual({
    CACHE_USERNAME: "u",
    CACHE_KEY_PREFIX: "orders:",
    CACHE_PORT: "6379",
    CACHE_URLS: '["a","b"]',
  });
});

test("without a prefix it takes no name that a command may know for something else", () => {
  expect(Object.keys(credentialVariables(other, ""))).toEqual([
    "CREDENTIAL_USERNAME",
    "CREDENTIAL_KEY_PREFIX",
    "CREDENTIAL_PORT",
    "CREDENTIAL_URLS",
  ]);
});

test("PostgreSQL's has the variables of libpq", () => {
  const login = {
    host: "db",
    port: 5432,
    database: "orders",
    username: "u",
    password: "p",
    tls: "unsafe_disable",
    url: "postgresql://u:p@db/orders",
  };
  const variables = credentialVariables(
    new PostgresPassword({ ...facts, kind: "postgres-password" }, login),
    "",
  );
  expect(variables).toMatchObject({ PGUSER: "u", PGPASSWORD: "p", PGSSLMODE: "disable" });
});
