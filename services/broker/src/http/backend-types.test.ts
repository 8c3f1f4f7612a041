import { expect, it } from "vitest";
import { createBrokerBench } from "../testing/broker-bench.ts";
import { createFakeBackend, createFakeClock, FakeUpstream } from "@mayfly/testkit";
import { textAt } from "../testing/token-form.ts";

const AUTHORITY = [
  { what: "As its administrator.", language: "sh", text: "allow mayfly\n" },
] as const;

it("a type tells what may be written of it and what it needs, outsiders' types as ours", async () => {
  const outsider = {
    ...createFakeBackend({ upstream: new FakeUpstream({ clock: createFakeClock() }) }),
    type: "acme",
    authority: AUTHORITY,
  };
  const bench = await createBrokerBench({ types: [outsider] });
  const list = await bench.admin("GET", "/v1/backend-types");
  expect([list.status, list.body]).toEqual([200, { items: ["fake", "acme"] }]);
  const one = await bench.admin("GET", "/v1/backend-types/acme");
  expect(one.body).toEqual({
    type: "acme",
    config: outsider.configSchema,
    role: outsider.roleSchema,
    params: outsider.paramsSchema,
    authority: AUTHORITY,
  });
  const other = await bench.admin("GET", "/v1/backend-types/fake");
  expect(other.body).toMatchObject({ type: "fake", authority: [] });
});

it("a type that is not installed is not found, with the one that was probably meant", async () => {
  const bench = await createBrokerBench();
  const answer = await bench.admin("GET", "/v1/backend-types/fakee");
  expect(answer.status).toBe(404);
  expect(textAt(answer, "todo")).toBe("Did you mean fake? Installed are: fake.");
  const strange = await bench.admin("GET", "/v1/backend-types/%1b%5b31m");
  expect(textAt(strange, "detail")).toBe("There is no backend type (unprintable).");
});
