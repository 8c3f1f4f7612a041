import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { JsonObject } from "@mayfly/spec";
import { NOW } from "./__fixtures__/broker-answers.ts";
import { runAgainst, type Ran } from "./__fixtures__/run-against.ts";
import { TestBroker } from "./__fixtures__/test-broker.ts";

const BACKEND = "GET /v1/backends/orders-db";
const SCHEMA = "GET /schemas/role.postgres.json";
const GET = "GET /v1/roles/orders-db/reader";
const PUT = "PUT /v1/roles/orders-db/reader";
const backend: JsonObject = {
  id: "orders-db",
  type: "postgres",
  revision: 1,
  enabled: true,
  config: {},
  upstream_identity: "1",
  updated_at: NOW,
};
/** As `services/composition/src/file-schemas.ts` makes them. */
const schema: JsonObject = {
  type: "object",
  properties: {
    role: { type: "string" },
    ttl_max: {
      anyOf: [
        { type: "integer", minimum: 1 },
        { type: "string", pattern: "^[0-9]+[smhd]$" },
      ],
    },
    data_class: { type: "string", enum: ["public", "internal"] },
    member_of: {
      anyOf: [{ type: "string" }, { type: "array", minItems: 1, items: { type: "string" } }],
    },
  },
  required: ["role", "data_class", "member_of"],
  additionalProperties: false,
};
const role: JsonObject = {
  role: "orders-db/reader",
  backend: "orders-db",
  description: "",
  ttl_max_seconds: 1800,
  data_class: "internal",
  reversibility: "read_only",
  environment: "dev",
};

let broker: TestBroker;
let url: string;
beforeEach(async () => {
  broker = new TestBroker();
  url = await broker.start();
  broker.answers.set(BACKEND, { body: backend });
  broker.answers.set(SCHEMA, { body: schema });
  broker.answers.set(PUT, { status: 201, body: { result: "created", role } });
});
afterEach(() => broker.stop());
const run = (line: string): Promise<Ran> => runAgainst(url, line);
const calls = (): readonly string[] => broker.requests.map(({ call }) => call);

describe("role add", () => {
  test.each([
    ["--set member_of=a --set ttl_max=30m", { member_of: "a", ttl_max: "30m" }],
    ["--set member_of[0]=a --set ttl_max=1800", { member_of: ["a"], ttl_max: 1800 }],
    ['--set member_of=["a","b"]', { member_of: ["a", "b"] }],
  ])("takes each form that a member may have: %s", async (flags, members) => {
    const { code, err } = await run(
      `role add orders-db/reader ${flags} --set data_class=internal --yes`,
    );
    expect([code, calls()]).toEqual([0, [BACKEND, SCHEMA, GET, PUT]]);
    expect(broker.requests.at(-1)?.body).toEqual({ ...members, data_class: "internal" });
    expect(broker.preconditions.at(-1)).toBe("none *");
    expect(err).toContain("created  role orders-db/reader");
  });

  test("prints the file of the role, with its name, and registers nothing", async () => {
    const { code, out } = await run(
      "role add orders-db/reader --set member_of=a --set data_class=internal --print",
    );
    expect([code, calls()]).toEqual([0, [BACKEND, SCHEMA]]);
    expect(out).toBe(`# yaml-language-server: $schema=${url}/schemas/role.postgres.json
role: orders-db/reader
data_class: internal
member_of: a
`);
  });

  test("names what is missing, refuses a value that is none, and never changes a role", async () => {
    const missing = await run("role add orders-db/reader --yes");
    expect(missing.err).toContain("2 answers are missing");
    expect(missing.err).toContain("member_of  --set member_of=… (text)");
    const wrong = await run("role add orders-db/reader --set data_class=top --set member_of=a");
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining("public, internal")]);
    broker.answers.set(GET, { body: role });
    const there = await run("role add orders-db/reader --set member_of=a --yes");
    expect([there.code, there.err]).toEqual([2, expect.stringContaining("mayfly role put")]);
    expect((await run("role add orders-db --yes")).code).toBe(2);
    expect(calls()).not.toContain(PUT);
  });
});
