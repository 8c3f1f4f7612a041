import { readdirSync, readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { BACKEND_TYPES } from "./backend-types.ts";
import { fileSchemas } from "./file-schemas.ts";

const schemas = fileSchemas(BACKEND_TYPES);
const folder = new URL("../../../docs/schemas/", import.meta.url);

const compiled = new Map<string, ValidateFunction>();
/** As the YAML language server reads it: draft 2020-12, unknown keywords tolerated. */
function validator(name: string): ValidateFunction {
  const schema = schemas.get(name);
  if (schema === undefined) throw new Error(`no schema ${name}`);
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  const validate = compiled.get(name) ?? ajv.compile(schema);
  compiled.set(name, validate);
  return validate;
}
const judge = (name: string, yaml: string): boolean =>
  parseAllDocuments(yaml).every((document) => validator(name)(document.toJS()));

const BACKEND = `backend: orders-db
type: postgres
config:
  host: db.internal
  database: orders
  username: mayfly
  password: { from: env:ORDERS_DB_PASSWORD }
`;
const ROLE = `role: orders-db/reader
description: Read orders and invoices
member_of: app_reader
ttl_max: 30m
data_class: confidential
reversibility: read_only
environment: prod
`;
const OIDC = "trust: ci\nkind: oidc\nconfig: { preset: github_actions }\n";
const SPIFFE = `trust: acme.test
kind: spiffe
config: { trust_domain: acme.test, bundle_endpoint: { url: "https://b.test", profile: https_web } }
`;
const TESTS = `- name: nobody else does
  workload: spiffe://acme.test/agent/other
  issue: orders-db/reader
  task: { deadline: 15m }
  expect: deny
`;
/** Each with the schema of its kind and of its type. */
const EXAMPLES: readonly (readonly [names: readonly string[], yaml: string])[] = [
  [["backend.json", "backend.postgres.json"], BACKEND],
  [["role.json", "role.postgres.json"], ROLE],
  [["trust.json", "trust.oidc.json"], OIDC],
  [["trust.json", "trust.spiffe.json"], SPIFFE],
  [["policy-tests.json"], TESTS],
];
const cases = EXAMPLES.flatMap(([names, yaml]) => names.map((name) => [name, yaml] as const));

test("the schemas under docs/schemas are those that the parsers have: run write-file-schemas.ts", () => {
  expect(readdirSync(folder).toSorted()).toEqual([...schemas.keys()].toSorted());
  for (const [name, schema] of schemas) {
    expect(JSON.parse(readFileSync(new URL(name, folder), "utf8")), name).toEqual(schema);
  }
});

describe.each(cases)("%s", (name, yaml) => {
  test("takes what the documentation shows", () => {
    const validate = validator(name);
    for (const document of parseAllDocuments(yaml)) {
      expect(validate(document.toJS()), JSON.stringify(validate.errors)).toBe(true);
    }
  });

  test("refuses every key of it misspelt, and one that is added", () => {
    const keys = [...yaml.matchAll(/(?<=^|[\s{,])([a-z_]+):(?=\s)/gm)];
    expect(keys.length).toBeGreaterThan(2);
    for (const { index, 0: key } of keys) {
      const misspelt = `${yaml.slice(0, index)}x${key}${yaml.slice(index + key.length)}`;
      expect(judge(name, misspelt), misspelt).toBe(false);
    }
  });
});

test("a secret is taken as a reference alone, another text either way", () => {
  const literal = BACKEND.replace("{ from: env:ORDERS_DB_PASSWORD }", "hunter2");
  expect(judge("backend.postgres.json", literal)).toBe(false);
  const elsewhere = BACKEND.replace("env:ORDERS_DB_PASSWORD", "vault:x");
  expect(judge("backend.postgres.json", elsewhere)).toBe(false);
  const host = BACKEND.replace("db.internal", "{ from: file:host }");
  expect(judge("backend.postgres.json", host)).toBe(true);
  expect(judge("backend.json", host)).toBe(true);
});
