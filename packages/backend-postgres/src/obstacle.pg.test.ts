import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock, systemRandom } from "@mayfly/host";
import { refusalOf } from "@mayfly/testkit";
import { BackendBench } from "@mayfly/testkit/contract";
import {
  customerUpstream,
  startCustomerPostgres,
  type CustomerPostgres,
} from "@mayfly/testkit/vitest";
import { obstacleOf } from "./obstacle.ts";
import { postgresBackend } from "./postgres-backend.ts";

let customer: CustomerPostgres;
let bench: BackendBench;
beforeAll(async () => {
  customer = await startCustomerPostgres();
  const upstream = customerUpstream(customer, { clock: systemClock, random: systemRandom });
  bench = new BackendBench({ backend: postgresBackend }, upstream);
});
afterAll(async () => {
  await bench.open.close();
  await customer.stop();
});

describe("who registers a server is told which setting is wrong", () => {
  test.for([
    ["password", { password: "wrong" }, "backend_rejected", "refused the login", "`password`"],
    ["username", { username: "nobody" }, "backend_rejected", "refused the login", "`username`"],
    ["database", { database: "nodb" }, "backend_rejected", "no database", "`database`"],
    ["port", { port: 1 }, "backend_unavailable", "nobody listens", "`port`"],
    ["host", { host: "no.such.invalid" }, "backend_unavailable", "name is not known", "`host`"],
  ] as const)("%s", async ([, wrong, code, what, fix]) => {
    const open = bench.openAgain(Object.assign({}, bench.upstream.config, wrong));
    const refused = await refusalOf(open.selfCheck([], bench.call()));
    await open.close();
    expect(refused).toMatchObject({ code, effect: "none" });
    expect(refused.message).toContain(what);
    expect(JSON.stringify(refused.public)).toContain(fix);
  });

  test("that it lacks CONNECT on the database", async () => {
    await customer.sql().unsafe("REVOKE CONNECT ON DATABASE orders FROM PUBLIC, mayfly_broker");
    const open = bench.openAgain();
    const refused = await refusalOf(open.selfCheck([], bench.call()));
    await open.close();
    await customer.sql().unsafe("GRANT CONNECT ON DATABASE orders TO PUBLIC");
    expect(refused).toMatchObject({ code: "backend_rejected", effect: "none" });
    expect(refused.message).toContain("CONNECT");
    expect(JSON.stringify(refused.public)).toContain("GRANT CONNECT");
  });

  test("an agent is not: it can mend none of them", async () => {
    const open = bench.openAgain(Object.assign({}, bench.upstream.config, { password: "wrong" }));
    const refused = await refusalOf(open.issue(bench.plan(), bench.issueCall()));
    await open.close();
    expect(refused.message).toContain("could not be reached, or was too busy");
    expect(refused.public).toEqual({});
  });
});

test("what is not known to be an obstacle is none", () => {
  expect(obstacleOf(new Error("x"))).toBeNull();
  expect(obstacleOf(Object.assign(new Error("x"), { code: "XX000" }))).toBeNull();
});
