import { BackendBench, backendErrorOf, revoking } from "@mayfly/testkit/contract";
import { isInstalled } from "@mayfly/testkit/vitest";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mysqlBackend } from "./mysql-backend.ts";
import {
  accountOf,
  startCustomerMysql,
  type CustomerMysql,
} from "./testing/start-customer-mysql.ts";

/** The second server stands for a replica: what it knows comes late, or not at all. */
describe.runIf(await isInstalled("mariadb"))("the end of a lease on two MariaDBs", () => {
  let primary: CustomerMysql;
  let replica: CustomerMysql;
  let bench: BackendBench;
  let config: Readonly<Record<string, unknown>>;
  beforeAll(async () => {
    [primary, replica] = await Promise.all([startCustomerMysql(), startCustomerMysql()]);
    bench = new BackendBench({ backend: mysqlBackend }, primary);
    const { host, port } = replica.server;
    config = { ...primary.config, replicas: [{ host, port }] };
  });
  afterAll(async () => {
    await bench?.open.close();
    await primary?.stop();
    await replica?.stop();
  });
  /** The replica has the account too, and a session of it. */
  async function replicate(material: Parameters<typeof accountOf>[0]) {
    const [name, password] = accountOf(material);
    await replica.sql(`CREATE USER \`${name}\` IDENTIFIED BY '${password}'`);
    await replica.sql(`GRANT orders_reader TO \`${name}\``);
    return { name, session: await replica.logIn(material) };
  }

  test("is not proved by a server that shows the broker nobody's sessions", async () => {
    await replica.sql("REVOKE PROCESS ON *.* FROM mayfly");
    const open = revoking(bench.openAgain(config));
    const { material, handle } = await open.issue(bench.plan(), bench.issueCall());
    const { name, session } = await replicate(material);
    await replica.sql(`DROP USER \`${name}\``);
    const ended = await backendErrorOf(open.revoke(handle, bench.call()));
    expect([ended.effect, ended.retry.kind, ended.message]).toEqual([
      "unknown",
      "after",
      expect.stringContaining("lacks PROCESS"),
    ]);
    const probed = await backendErrorOf(open.probe(handle, bench.call()));
    expect(probed.message).toContain("lacks PROCESS");
    await replica.sql("GRANT PROCESS ON *.* TO mayfly");
    await open.revoke(handle, bench.call());
    await expect(session.query("SELECT 1")).rejects.toThrow(/.+/);
    expect((await open.probe(handle, bench.call())).verdict).toBe("refused");
    await open.close();
  });

  test("waits for a replica that still has the account, and keeps its mark until then", async () => {
    const open = revoking(bench.openAgain(config));
    const { material, handle } = await open.issue(bench.plan(), bench.issueCall());
    const { name, session } = await replicate(material);
    const marks = () => primary.sql(`SELECT mark FROM mayfly.leases WHERE name = '${name}'`);
    await backendErrorOf(open.revoke(handle, bench.call()));
    expect(await marks()).toHaveLength(1);
    await expect(session.query("SELECT 1")).rejects.toThrow(/.+/);
    await replica.sql(`DROP USER \`${name}\``);
    await open.revoke(handle, bench.call());
    expect(await marks()).toEqual([]);
    await open.close();
  });

  test.each([
    ["no_process", "PROCESS ON *.*"],
    ["no_connection_admin", "CONNECTION ADMIN ON *.*"],
    ["accounts_unreadable", "SELECT (Host, User) ON mysql.user"],
  ])("is found wanting by the self-check: %s on the replica", async (code, right) => {
    const check = async () => {
      const open = bench.openAgain(config);
      const { problems } = await open.selfCheck([], bench.call());
      await open.close();
      return problems;
    };
    await replica.sql(`REVOKE ${right} FROM mayfly`);
    const { host, port } = replica.server;
    const told = (await check()).map((problem) => [problem.code, problem.what.split(": ", 1)]);
    expect(told).toEqual([[code, [`Replica ${host}:${port}`]]]);
    await replica.sql(`GRANT ${right} TO mayfly`);
    expect(await check()).toEqual([]);
  });
});
