import { plusSeconds } from "@mayfly/spec";
import { BackendBench, freshLeaseId, revoking } from "@mayfly/testkit/contract";
import { isInstalled } from "@mayfly/testkit/vitest";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { mysqlBackend } from "./mysql-backend.ts";
import { startCustomerMysql, type CustomerMysql } from "./testing/start-customer-mysql.ts";

describe.runIf(await isInstalled("mariadb"))("what a lease leaves behind on a MariaDB", () => {
  let customer: CustomerMysql;
  let bench: BackendBench;
  beforeAll(async () => {
    customer = await startCustomerMysql({ event_scheduler: "ON" });
    bench = new BackendBench({ backend: mysqlBackend }, customer);
    await customer.sql("CREATE TABLE orders.seen (n int AUTO_INCREMENT PRIMARY KEY)");
  });
  beforeEach(async () => {
    await customer.sql("DROP ROLE IF EXISTS orders_maker");
    await customer.sql("CREATE ROLE orders_maker");
    await customer.sql("GRANT orders_maker TO mayfly WITH ADMIN OPTION");
  });
  afterAll(async () => {
    await bench?.open.close();
    await customer?.stop();
  });
  const role = { member_of: ["orders_maker"] };
  async function problems() {
    const open = bench.openAgain(customer.config);
    const found = (await open.selfCheck([role], bench.call())).problems;
    await open.close();
    return found.map(({ code }) => code);
  }
  async function leaveBehind(statements: readonly string[]): Promise<void> {
    const plan = bench.backend.plan({
      installation: bench.host.installation,
      leaseId: freshLeaseId(),
      expiresAt: plusSeconds(customer.clock.now(), 60),
      role: bench.backend.parseRole(role),
      params: {},
      holder: { subject: "spiffe://acme.test/agent", actors: [], confirmation: null },
    });
    const { material, handle } = await bench.open.issue(plan, bench.issueCall());
    const session = await customer.logIn(material);
    for (const statement of statements) await session.query(statement);
    await revoking(bench.open).revoke(handle, bench.call());
    const { verdict } = await revoking(bench.open).probe(handle, bench.call());
    expect(verdict).toBe("refused");
  }
  const seen = async () =>
    Number((await customer.sql("SELECT COUNT(*) AS n FROM orders.seen"))[0]?.["n"]);

  test("an event in its role's name goes on after the end, so the check refuses the right", async () => {
    await customer.sql("GRANT INSERT, EVENT ON orders.* TO orders_maker");
    await leaveBehind([
      `CREATE DEFINER=CURRENT_ROLE EVENT orders.stays ON SCHEDULE EVERY 1 SECOND
       DO INSERT INTO orders.seen VALUES ()`,
    ]);
    const after = await seen();
    await expect.poll(seen, { timeout: 60_000 }).toBeGreaterThan(after + 1);
    await customer.sql("DROP EVENT orders.stays");
    expect(await problems()).toEqual(["role_leaves_programs"]);
  });

  test.each(["TRIGGER", "CREATE VIEW", "CREATE ROUTINE", "ALL PRIVILEGES"])(
    "a role that has %s on a database is refused, and one that writes there is not",
    async (right) => {
      await customer.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON orders.* TO orders_maker");
      expect(await problems()).toEqual([]);
      await customer.sql(`GRANT ${right} ON orders.* TO orders_maker`);
      expect(await problems()).toEqual(["role_leaves_programs"]);
    },
  );

  test("what everybody may do, each role may: a right of PUBLIC is found as well", async () => {
    await customer.sql("GRANT EVENT ON orders.* TO PUBLIC");
    try {
      await leaveBehind([
        `CREATE DEFINER=CURRENT_ROLE EVENT orders.of_public
         ON SCHEDULE AT CURRENT_TIMESTAMP + INTERVAL 1 DAY DO DO 1`,
      ]);
      await customer.sql("DROP EVENT orders.of_public");
      expect(await problems()).toEqual(["role_leaves_programs"]);
    } finally {
      await customer.sql("REVOKE EVENT ON orders.* FROM PUBLIC");
    }
    expect(await problems()).toEqual([]);
  });

  test("a routine in its own name fails with its account; one in its role's does not", async () => {
    await customer.sql("GRANT SELECT, EXECUTE, CREATE ROUTINE ON orders.* TO orders_maker");
    const body = "RETURNS int RETURN (SELECT COUNT(*) FROM orders.seen)";
    await leaveBehind([
      `CREATE FUNCTION orders.own() ${body}`,
      `CREATE DEFINER=CURRENT_ROLE FUNCTION orders.stays() ${body}`,
    ]);
    await expect(customer.sql("SELECT orders.own()")).rejects.toThrow(/definer .* does not exist/);
    expect(await customer.sql("SELECT orders.stays() AS n")).toHaveLength(1);
  });

  test("a prepared XA transaction stays, for whoever commits it or rolls it back", async () => {
    await customer.sql("GRANT INSERT ON orders.* TO orders_maker");
    await leaveBehind([
      "XA START 'left'",
      "INSERT INTO orders.article VALUES (77, 'left')",
      "XA END 'left'",
      "XA PREPARE 'left'",
    ]);
    expect((await customer.sql("XA RECOVER")).map(({ data }) => String(data))).toEqual(["left"]);
    await customer.sql("XA ROLLBACK 'left'");
    expect(await customer.sql("SELECT * FROM orders.article WHERE id = 77")).toEqual([]);
  });
});
