import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import type { IssuePlan, Issued, OpenBackend } from "@mayfly/spec";
import { startTcpFaultProxy } from "@mayfly/testkit";
import { backendErrorOf, revoking } from "@mayfly/testkit/contract";
import { testedPostgresVersions } from "@mayfly/testkit/vitest";
import { writeMark } from "./lease-mark.ts";
import { startPostgresBench, type PostgresBench } from "./testing/start-postgres-bench.ts";

for (const version of testedPostgresVersions()) {
  describe(`a late or lost mint on PostgreSQL ${version}`, () => {
    const serverLog: string[] = [];
    let started: PostgresBench;
    let customer: PostgresBench["customer"];
    let bench: PostgresBench["bench"];

    beforeAll(async () => {
      started = await startPostgresBench({
        version,
        log: (line) => serverLog.push(line),
        settings: { log_min_error_statement: "error" },
      });
      ({ customer, bench } = started);
    });
    afterAll(() => started.stop());
    const issue = (plan: IssuePlan, open: OpenBackend): Promise<Issued> =>
      open.issue(plan, bench.issueCall());
    const revoke = (issued: Issued, open: OpenBackend) =>
      revoking(open).revoke(issued.handle, bench.call());
    const openWith = (more: object) =>
      bench.openAgain(Object.assign({}, bench.upstream.config, more));

    test("a mint that reaches the server past its deadline makes nothing", async () => {
      const proxy = await startTcpFaultProxy(customer.server);
      const open = openWith({ port: proxy.port });
      await issue(bench.plan(), open).then((warm) => revoke(warm, open));
      const plan = bench.plan();
      proxy.hold();
      const failing = backendErrorOf(open.issue(plan, bench.issueCall({ seconds: 1 })));
      await systemClock.sleep(1_500);
      proxy.release();
      // The server's refusal came back in time to be believed.
      expect((await failing).effect).toBe("none");
      expect(serverLog.join("\n")).toContain("past its deadline");
      expect(
        await customer.sql()`
        SELECT 1 FROM pg_roles WHERE rolname = ${plan.externalName}`,
      ).toEqual([]);
      await open.close();
      await proxy.stop();
    });

    test("a mint whose answer is lost is unknown, and recover destroys it", async () => {
      const proxy = await startTcpFaultProxy(customer.server);
      const open = openWith({ port: proxy.port });
      await issue(bench.plan(), open).then((warm) => revoke(warm, open));
      const plan = bench.plan();
      proxy.swallowAnswers();
      const failing = backendErrorOf(open.issue(plan, bench.issueCall()));
      const minted = () => customer.sql()`
        SELECT 1 FROM pg_roles WHERE rolname = ${plan.externalName} AND rolcanlogin`;
      while ((await minted()).length === 0) await systemClock.sleep(10);
      proxy.cut();
      expect((await failing).effect).toBe("unknown");
      expect((await bench.recoverUntilSettled(plan)).outcome).toBe("destroyed");
      await open.close();
      await proxy.stop();
    });

    test("recover waits for a mint that is not committed, then destroys what it made", async () => {
      const open = openWith({ call_seconds_max: 3 });
      const plan = bench.plan();
      const name = plan.externalName;
      const mark = writeMark({ kind: "lease", name, owner: null }, bench.host);
      const minter = customer.connect(customer.broker.username, customer.broker.password);
      await minter.unsafe(
        `BEGIN; CREATE ROLE "${name}" LOGIN; COMMENT ON ROLE "${name}" IS '${mark}'`,
      );
      const early = await open.recover(plan, null, bench.recoverCall());
      expect(early).toMatchObject({ outcome: "wait", reason: /under way/ });
      const waiting = bench.open.recover(plan, null, bench.recoverCall());
      const queued = () => customer.sql()`SELECT 1 FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE ROLE%NOLOGIN%'`;
      while ((await queued()).length === 0) await systemClock.sleep(10);
      await minter.unsafe("COMMIT");
      expect((await waiting).outcome).toBe("wait");
      expect((await bench.recoverUntilSettled(plan)).outcome).toBe("destroyed");
      await minter.end();
      await open.close();
    });

    test("a fresh tombstone is not listed; another process goes on with it", async () => {
      const plan = bench.plan();
      expect((await bench.open.recover(plan, null, bench.recoverCall())).outcome).toBe("wait");
      const names = async (): Promise<readonly string[]> => {
        const { listing } = bench.open;
        if (listing.kind === "none") throw new Error("no listing");
        const page = await listing.list(null, bench.call());
        return page.marked.map((marked) => marked.externalName);
      };
      expect(await names()).not.toContain(plan.externalName);
      const forgotten = writeMark(
        { kind: "tombstone", name: plan.externalName, at: systemClock.now() - 3_600_000 },
        bench.host,
      );
      await customer.sql().unsafe(`COMMENT ON ROLE "${plan.externalName}" IS '${forgotten}'`);
      expect(await names()).toContain(plan.externalName);
      const other = bench.openAgain();
      expect((await other.recover(plan, null, bench.recoverCall())).outcome).toBe("absent");
      await other.close();
      expect(await names()).not.toContain(plan.externalName);
    });

    test("recover does not touch a role of our name that bears no mark", async () => {
      const plan = bench.plan();
      await customer.sql().unsafe(`CREATE ROLE "${plan.externalName}" LOGIN`);
      const error = await backendErrorOf(bench.open.recover(plan, null, bench.recoverCall()));
      expect(error.message).toContain("not touched");
      await customer.sql().unsafe(`DROP ROLE "${plan.externalName}"`);
    });
  });
}
