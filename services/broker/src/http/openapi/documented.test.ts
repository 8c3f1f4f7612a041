import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Validator } from "@seriousme/openapi-schema-validator";
import { ALL_OPERATIONS } from "../operations/all-operations.ts";
import { createBrokerBench } from "../../testing/broker-bench.ts";
import { API_VERSION, openApiDocument } from "./document.ts";
import { routeName } from "./operation.ts";

const HOW =
  "Each route needs an entry in services/broker/src/http/operations: its summary, who may call, the " +
  "schemas of its request (services/broker/src/http/schemas, the same that the route parses with) " +
  "and of its answers (schemas/answers*.ts, which its view is typed with).";

describe("the API's document", () => {
  it("has every route of the running broker, and no other", async () => {
    const { app } = await createBrokerBench();
    const served = app.routes.filter(({ method }) => method !== "ALL").map(routeOf);
    const documented = ALL_OPERATIONS.map(routeName);
    const missing = [...new Set(served)].filter((route) => !documented.includes(route));
    const gone = documented.filter((route) => !served.includes(route));
    expect(missing, `Routes that are not documented. ${HOW}`).toEqual([]);
    expect(gone, "Operations of routes that the broker has not: take them away.").toEqual([]);
  });
  it("has each route and each operationId once", () => {
    expect(repeated(ALL_OPERATIONS.map(routeName))).toEqual([]);
    expect(repeated(ALL_OPERATIONS.map(({ id }) => id))).toEqual([]);
  });
  it("has a schema for each parameter of each path", () => {
    for (const operation of ALL_OPERATIONS) {
      const named = [...operation.path.matchAll(/:(\w+)/g)].map(([, name]) => name);
      expect(Object.keys(operation.params ?? {}), routeName(operation)).toEqual(named);
    }
  });
  it("is docs/openapi.json too, as write-document.ts writes it", () => {
    const issuer = "http://127.0.0.1:8420";
    const document = openApiDocument(ALL_OPERATIONS, { issuer, version: API_VERSION });
    const file = readFileSync(new URL("../../../../../docs/openapi.json", import.meta.url), "utf8");
    const written: unknown = JSON.parse(file);
    expect(written, "run: node services/broker/src/http/openapi/write-document.ts").toEqual(
      document,
    );
  });
  it("is valid by the official schema of OpenAPI 3.1", async () => {
    const document = openApiDocument(ALL_OPERATIONS, { issuer: "https://a.test", version: "1" });
    const result = await new Validator().validate(structuredClone(document));
    expect(result.errors ?? []).toEqual([]);
    expect(result.valid).toBe(true);
    // It could have said no.
    const broken = { ...structuredClone(document), info: { title: 1 } };
    expect((await new Validator().validate(broken)).valid).toBe(false);
  });
});

const routeOf = ({ method, path }: { readonly method: string; readonly path: string }): string =>
  `${method} ${path}`;

const repeated = (names: readonly string[]): readonly string[] =>
  names.filter((name, n) => names.indexOf(name) !== n);
