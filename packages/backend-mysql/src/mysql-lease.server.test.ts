import { instantMs, Secret } from "@mayfly/spec";
import { BackendBench, backendErrorOf, revoking } from "@mayfly/testkit/contract";
import { isInstalled } from "@mayfly/testkit/vitest";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeHandle } from "./account-mark.ts";
import { mysqlBackend } from "./mysql-backend.ts";
import {
  accountOf,
  startCustomerMysql,
  type CustomerMysql,
} from "./testing/start-customer-mysql.ts";

describe.runIf(await isInstalled("mariadb"))("a lease on a real MariaDB", () => {
  let customer: CustomerMysql;
  let bench: BackendBench;
  beforeAll(async () => {
    customer = await startCustomerMysql();
    bench = new BackendBench({ backend: mysqlBackend }, customer);
  });
  afterAll(async () => {
    await bench?.open.close();
    await customer?.stop();
  });
  const issue = (plan = bench.plan()) => bench.open.issue(plan, bench.issueCall());
  const names = async (): Promise<readonly unknown[]> =>
    (await customer.sql("SELECT User AS name FROM mysql.user WHERE User LIKE 'mf\\_%'")).map(
      ({ name }) => name,
    );

  test("begins with its first role, and may do what its roles may and no more", async () => {
    const { material } = await issue();
    const session = await customer.logIn(material);
    await session.query("INSERT INTO orders.article VALUES (7, 'paper')");
    await expect(session.query("DELETE FROM orders.article")).rejects.toThrow(/denied/);
    await expect(session.query("SELECT * FROM mayfly.leases")).rejects.toThrow(/denied/);
    await session.end();
  });

  test("has no more sessions at once than its plan says", async () => {
    const { material } = await issue();
    const sessions = await Promise.all(Array.from({ length: 4 }, () => customer.logIn(material)));
    await expect(customer.logIn(material)).rejects.toThrow(/max_user_connections/);
    await Promise.all(sessions.map((session) => session.end()));
  });

  test("that chose a password of its own ends all the same", async () => {
    const { material, handle } = await issue();
    const session = await customer.logIn(material);
    await session.query("SET PASSWORD = PASSWORD('chosen')");
    const again = await customer.logIn({ ...material, password: Secret.of("chosen") });
    await revoking(bench.open).revoke(handle, bench.call());
    await expect(session.query("SELECT 1")).rejects.toThrow(/.+/);
    await expect(again.query("SELECT 1")).rejects.toThrow(/.+/);
    expect(await names()).not.toContain(material["username"]);
  });

  test("that logs in again and again while it is ended has no session left", async () => {
    const { material, handle } = await issue();
    let isOver = false;
    let logins = 0;
    const storm = Array.from({ length: 3 }, async () => {
      while (!isOver) {
        await customer.logIn(material).then(
          () => logins++,
          () => undefined,
        );
      }
    });
    await expect.poll(() => logins).toBeGreaterThan(2);
    await revoking(bench.open).revoke(handle, bench.call());
    isOver = true;
    await Promise.all(storm);
    expect((await revoking(bench.open).probe(handle, bench.call())).looked).toEqual({
      servers: 1,
      accounts: 0,
      sessions: 0,
    });
  });

  test("is ended by the name in its handle, although another differs from it only by case", async () => {
    const { material, handle } = await issue();
    const [name] = accountOf(material);
    const other = `mf_contract${name.slice(11).toUpperCase()}`;
    expect(other).not.toBe(name);
    await customer.sql(`CREATE USER \`${other}\` IDENTIFIED BY 'theirs'`);
    await revoking(bench.open).revoke(handle, bench.call());
    const left = await names();
    expect([left.includes(name), left.includes(other)]).toEqual([false, true]);
    await customer.sql(`DROP USER \`${other}\``);
  });

  test("whose deadline passes while it is made is given no role and stays locked", async () => {
    const plan = bench.plan();
    const call = bench.issueCall();
    const { clock } = call;
    const isMade = async () => (await names()).includes(plan.externalName);
    // The deadline is looked at twice before anything is sent; the third look comes too late.
    let looks = 0;
    const late = {
      now: () => (++looks > 2 ? instantMs(call.issueBy + 1) : clock.now()),
      monotonicMs: () => clock.monotonicMs(),
      turn: () => clock.turn(),
      sleep: (ms: number, signal?: AbortSignal) => clock.sleep(ms, signal),
    };
    const refused = await backendErrorOf(bench.open.issue(plan, { ...call, clock: late }));
    expect([refused.effect, await isMade()]).toEqual(["unknown", true]);
    expect(
      await customer.sql(
        `SELECT Role FROM mysql.roles_mapping WHERE User = '${plan.externalName}'`,
      ),
    ).toEqual([]);
    expect(await customer.liveNames()).not.toContain(plan.externalName);
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("destroyed");
  });

  test("whose mint comes back to life after recovery unlocks nothing that stays", async () => {
    const plan = bench.plan();
    const first = await bench.open.recover(plan, null, bench.recoverCall());
    expect(first.outcome).toBe("wait");
    // What is left of a mint that was frozen after its account was made.
    const account = `\`${plan.externalName}\`@\`%\``;
    await customer.sql(`GRANT orders_writer TO ${account}`);
    await customer.sql(`ALTER USER ${account} IDENTIFIED BY 'late' ACCOUNT UNLOCK`);
    const session = await customer.logIn({
      username: plan.externalName,
      password: Secret.of("late"),
    });
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("absent");
    await expect(session.query("SELECT 1")).rejects.toThrow(/.+/);
    expect(await names()).not.toContain(plan.externalName);
    await expect(customer.sql(`GRANT orders_writer TO ${account}`)).rejects.toThrow(/matching row/);
  });

  test("is recovered for the host it was minted for, whatever account_host says since", async () => {
    const [minted, begun] = [bench.plan(), bench.plan()];
    const { material } = await issue(minted);
    const session = await customer.logIn(material);
    // What is left of a mint that was frozen before its account was made.
    await issue(begun);
    await customer.sql(`DROP USER \`${begun.externalName}\`@\`%\``);
    const moved = new BackendBench(
      { backend: mysqlBackend },
      { ...customer, config: { ...customer.config, account_host: "127.0.0.1" } },
    );
    expect((await moved.recoverUntilSettled(minted)).outcome).toBe("destroyed");
    await expect(session.query("SELECT 1")).rejects.toThrow(/.+/);
    expect((await moved.open.recover(begun, null, moved.recoverCall())).outcome).toBe("wait");
    const hosts = () =>
      customer.sql(`SELECT Host AS host FROM mysql.user WHERE User = '${begun.externalName}'`);
    expect(await hosts()).toEqual([{ host: "%" }]);
    expect((await moved.recoverUntilSettled(begun)).outcome).toBe("absent");
    expect(await hosts()).toEqual([]);
    await moved.open.close();
  });

  test("is not called absent while an account of its name is there for another host", async () => {
    const plan = bench.plan();
    const other = `\`${plan.externalName}\`@\`10.0.0.1\``;
    await customer.sql(`CREATE USER ${other}`);
    const refused = await backendErrorOf(bench.recoverUntilSettled(plan));
    expect([refused.effect, refused.retry.kind]).toEqual(["unknown", "after"]);
    await customer.sql(`DROP USER ${other}`);
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("absent");
  });

  test("for a host that was told in capitals is listed as ours, and ends", async () => {
    const open = bench.openAgain({ ...customer.config, account_host: "LocalHost" });
    const plan = bench.plan();
    // The host may log in or not, by how the server resolves names: the account is there by then.
    await open.issue(plan, bench.issueCall()).catch(() => undefined);
    const { listing } = open;
    if (listing.kind === "none") throw new Error("it lists");
    const { marked } = await listing.list(null, bench.call());
    expect(marked.find((one) => one.externalName === plan.externalName)?.mark.kind).toBe("ours");
    expect((await open.recover(plan, null, bench.recoverCall())).outcome).toBe("destroyed");
    expect(await names()).not.toContain(plan.externalName);
    await open.close();
  });

  test("whose mark is gone is no more than unverified, and one for another host too", async () => {
    const [lost, doubled] = [bench.plan(), bench.plan()];
    await issue(lost);
    await issue(doubled);
    await customer.sql(`DELETE FROM mayfly.leases WHERE name = '${lost.externalName}'`);
    await customer.sql(`CREATE USER \`${doubled.externalName}\`@\`10.0.0.1\``);
    const { listing } = bench.open;
    if (listing.kind === "none") throw new Error("it lists");
    const { marked } = await listing.list(null, bench.call());
    const kindOf = (name: string) =>
      marked.find(({ externalName }) => externalName === name)?.mark.kind;
    expect([kindOf(lost.externalName), kindOf(doubled.externalName)]).toEqual([
      "unverified",
      "unverified",
    ]);
    await customer.sql(`DROP USER \`${doubled.externalName}\`@\`10.0.0.1\``);
  });

  test("leaves its password in no log of the server, and neither do our errors", async () => {
    await customer.sql("SET GLOBAL log_output = 'TABLE', GLOBAL general_log = ON");
    const { material, handle } = await issue();
    await backendErrorOf(bench.open.issue(bench.plan(), bench.issueCall({ seconds: -1 })));
    await revoking(bench.open).revoke(handle, bench.call());
    await customer.sql("SET GLOBAL general_log = OFF");
    const logged = await customer.sql(
      "SELECT CONVERT(argument USING utf8mb4) AS text FROM mysql.general_log",
    );
    const all = logged.map(({ text }) => String(text)).join("\n");
    const [name, password] = accountOf(material);
    expect(all).toContain(name);
    expect(all).not.toContain(password);
    expect(JSON.stringify(customer.log.entries)).not.toContain(password);
  });

  test("on a replica is cut and looked for there too", async () => {
    const { host, port } = customer.server;
    const config = { ...customer.config, replicas: [{ host, port }] };
    const open = revoking(bench.openAgain(config));
    const issued = await open.issue(bench.plan(), bench.issueCall());
    expect((await open.probe(issued.handle, bench.call())).looked).toEqual({
      servers: 2,
      accounts: 2,
      sessions: 0,
    });
    await open.revoke(issued.handle, bench.call());
    expect((await open.probe(issued.handle, bench.call())).verdict).toBe("refused");
    await open.close();
    const gone = bench.openAgain({ ...config, replicas: [{ host, port: 1 }] });
    const handle = writeHandle({ name: bench.plan().externalName, host: "%" });
    await backendErrorOf(revoking(gone).revoke(handle, bench.call()));
    await gone.close();
  });

  test.each([
    ["no_create_user", "REVOKE CREATE USER ON *.* FROM mayfly"],
    ["no_process", "REVOKE PROCESS ON *.* FROM mayfly"],
    ["no_connection_admin", "REVOKE CONNECTION ADMIN ON *.* FROM mayfly"],
    ["accounts_unreadable", "REVOKE SELECT (Host, User) ON mysql.user FROM mayfly"],
    ["accounts_unreadable", "REVOKE SELECT (Host) ON mysql.user FROM mayfly"],
    ["accounts_unreadable", "REVOKE SELECT (User) ON mysql.user FROM mayfly"],
    ["no_marks_table", "REVOKE SELECT ON mayfly.leases FROM mayfly"],
    ["no_marks_table", "REVOKE INSERT ON mayfly.leases FROM mayfly"],
    ["no_marks_table", "REVOKE UPDATE ON mayfly.leases FROM mayfly"],
    ["no_marks_table", "REVOKE DELETE ON mayfly.leases FROM mayfly"],
    ["no_marks_table", "RENAME TABLE mayfly.leases TO mayfly.elsewhere"],
    ["role_not_grantable", "REVOKE ADMIN OPTION FOR orders_writer FROM mayfly"],
    ["role_hands_on", "GRANT SELECT ON orders.* TO orders_reader WITH GRANT OPTION"],
    ["role_administers", "GRANT CREATE USER ON *.* TO orders_reader"],
    ["role_administers", "GRANT RELOAD ON *.* TO inner_role"],
    ["role_writes_accounts", "GRANT INSERT ON mysql.* TO orders_reader"],
    ["role_writes_accounts", "GRANT DELETE ON mayfly.leases TO orders_reader"],
    ["role_writes_accounts", "GRANT UPDATE ON `m%`.* TO orders_reader"],
    ["role_writes_accounts", "GRANT UPDATE ON *.* TO orders_reader"],
    ["role_not_grantable role_unreadable", "REVOKE orders_writer FROM mayfly"],
  ])("finds %s after %s", async (code, wrong) => {
    const given = [wrong.replace("REVOKE", "GRANT").replace(" FROM ", " TO ")];
    const undo: Readonly<Record<string, readonly string[]>> = {
      no_create_user: given,
      no_process: given,
      no_connection_admin: given,
      accounts_unreadable: given,
      no_marks_table: wrong.startsWith("RENAME")
        ? ["RENAME TABLE mayfly.elsewhere TO mayfly.leases"]
        : given,
      role_not_grantable: ["GRANT orders_writer TO mayfly WITH ADMIN OPTION"],
      role_hands_on: ["REVOKE GRANT OPTION ON orders.* FROM orders_reader"],
      role_administers: [wrong.replace("GRANT", "REVOKE").replace(" TO ", " FROM ")],
      role_writes_accounts: [wrong.replace("GRANT", "REVOKE").replace(" TO ", " FROM ")],
      "role_not_grantable role_unreadable": ["GRANT orders_writer TO mayfly WITH ADMIN OPTION"],
    };
    await customer.sql("CREATE ROLE IF NOT EXISTS inner_role");
    await customer.sql("GRANT inner_role TO orders_reader");
    const roles = [mysqlBackend.parseRole(customer.role)];
    // New sessions: what was granted to this one's account it may keep.
    const codes = async () => {
      const open = bench.openAgain();
      const { problems } = await open.selfCheck(roles, bench.call());
      await open.close();
      return problems.map((problem) => problem.code);
    };
    expect(await codes()).toEqual([]);
    await customer.sql(wrong);
    expect(await codes()).toEqual(code.split(" "));
    for (const text of undo[code] ?? []) await customer.sql(text);
    expect(await codes()).toEqual([]);
  });
});
