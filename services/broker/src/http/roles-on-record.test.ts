import { expect, it } from "vitest";
import { NO_TERMS } from "@mayfly/spec";
import {
  BOUND,
  CALLER,
  CONFIG,
  createTokenBench,
  OTHER_AUDIENCE,
  openWithToken,
} from "../testing/token-api.ts";
import { at } from "../testing/token-form.ts";

const BACKEND = "/v1/backends/orders-api";

it("a role on record that is allowed no more issues nothing, and holds up nothing else", async () => {
  const bench = await createTokenBench();
  const { roles } = await bench.ledger.catalog.snapshot();
  const caller = roles.find(({ name }) => name === CALLER)!;
  const settings = { ...caller.settings, claims: { email: "root@acme.test" } };
  const actor = { kind: "system", name: "broker" } as const;
  await bench.ledger.catalog.putRole({ ...caller, settings }, actor, NO_TERMS);

  expect((await openWithToken(bench)).text).toContain("role.claims.email");
  const same = await bench.admin("PUT", BACKEND, { type: "jwt", config: CONFIG });
  expect([same.status, at(same, "result")]).toEqual([200, "unchanged"]);
  const config = { ...CONFIG, verifier_leeway_seconds: 10 };
  expect((await bench.admin("PUT", BACKEND, { type: "jwt", config })).status).toBe(200);
  const tested = await bench.admin("POST", `${BACKEND}/test`, {});
  expect([tested.status, at(tested, "problems")]).toEqual([200, []]);
  expect(at(tested, "facts", "roles_that_issue_nothing", 0)).toContain("role.claims.email");
  // What it says of audiences counts on.
  const narrower = { ...CONFIG, audiences: [OTHER_AUDIENCE] };
  const refused = await bench.admin("PUT", BACKEND, { type: "jwt", config: narrower });
  expect(refused.text).toContain("audience_not_configured");

  const mended = { data_class: "internal", reversibility: "reversible", environment: "test" };
  const role = { ...mended, audience: OTHER_AUDIENCE };
  expect((await bench.admin("PUT", `/v1/roles/${CALLER}`, role)).status).toBe(200);
  expect((await bench.admin("PUT", `/v1/roles/${BOUND}`, role)).status).toBe(200);
});
