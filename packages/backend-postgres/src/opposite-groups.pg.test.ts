import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { systemClock } from "@mayfly/host";
import { plusSeconds } from "@mayfly/spec";
import { CONTRACT_HOLDER, freshLeaseId } from "@mayfly/testkit/contract";
import { testedPostgresVersions } from "@mayfly/testkit/vitest";
import { parseStrict } from "@mayfly/backend-kit";
import { connectionSettings } from "./connection-settings.ts";
import { mintMessage } from "./mint-message.ts";
import { postgresBackend } from "./postgres-backend.ts";
import { leases } from "./role-settings.ts";
import { startPostgresBench, type PostgresBench } from "./testing/start-postgres-bench.ts";

/** Before 16 a GRANT locks nothing of its group. */
const versions = testedPostgresVersions().filter((version) => version >= 16);
const [FIRST, SECOND] = ["orders_reader", "orders_writer"] as const;

for (const version of versions) {
  describe(`two groups in opposite order, on PostgreSQL ${version}`, () => {
    let started: PostgresBench;
    let customer: PostgresBench["customer"];
    let bench: PostgresBench["bench"];
    beforeAll(async () => {
      started = await startPostgresBench({ version });
      ({ customer, bench } = started);
      await customer.sql()`CREATE ROLE somebody`;
    });
    afterAll(() => started.stop());

    /** What one process sends for two leases, of one group each. */
    const batch = (...groups: readonly string[]): string => {
      const issueBy = plusSeconds(systemClock.now(), 30);
      const mints = groups.map((group) => {
        const plan = postgresBackend.plan({
          installation: bench.host.installation,
          leaseId: freshLeaseId(),
          expiresAt: plusSeconds(issueBy, 30),
          role: postgresBackend.parseRole({ member_of: group, owner: customer.owner }),
          params: postgresBackend.parseParams(bench.upstream.params),
          holder: CONTRACT_HOLDER,
        });
        const { externalName: name, expiresAt } = plan;
        return { name, verifier: "", comment: "", grant: leases.grantOf(plan), expiresAt, issueBy };
      });
      return mintMessage(mints, issueBy, 30_000);
    };

    /** Both wait for their first group, and then get it at one moment. */
    async function atOnce<T>(run: () => readonly Promise<T>[]): Promise<PromiseSettledResult<T>[]> {
      const holder = await customer.sql().reserve();
      await holder`BEGIN`;
      for (const group of [FIRST, SECOND]) await holder.unsafe(`GRANT ${group} TO somebody`);
      const running = run();
      const settled = Promise.allSettled(running);
      await vi.waitUntil(async () => {
        const [row] = await holder<{ n: number }[]>`
          SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted AND locktype = 'object'`;
        return row?.n === running.length;
      }, 30_000);
      await holder`ROLLBACK`;
      holder.release();
      return settled;
    }

    test("two batches of two processes both mint", async () => {
      const { username, password } = parseStrict(
        connectionSettings,
        bench.upstream.config,
        "config",
      );
      const [one, other] = [1, 2].map(() => customer.connect(username, password));
      const minted = await atOnce(() => [
        one!.unsafe(batch(FIRST, SECOND)).simple(),
        other!.unsafe(batch(SECOND, FIRST)).simple(),
      ]);
      expect(minted.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
      const members = await customer.sql()<{ group: string; n: number }[]>`
        SELECT roleid::regrole::text AS group, count(*)::int AS n FROM pg_auth_members
        WHERE member::regrole::text LIKE 'mf\\_%' GROUP BY 1 ORDER BY 1`;
      expect(members).toEqual([
        { group: FIRST, n: 2 },
        { group: SECOND, n: 2 },
      ]);
      await Promise.all([one!.end(), other!.end()]);
    });

    test("the same grants, each in the order in which it names them, deadlock", async () => {
      const grants = (...groups: readonly string[]): string =>
        groups.map((group) => `GRANT ${group} TO somebody;`).join(" ");
      const done = await atOnce(() => [
        customer.sql().unsafe(grants(FIRST, SECOND)).simple(),
        customer.sql().unsafe(grants(SECOND, FIRST)).simple(),
      ]);
      const refused = done.flatMap((one) =>
        one.status === "rejected" ? [one.reason as unknown] : [],
      );
      expect(refused).toMatchObject([{ code: "40P01" }]);
    });
  });
}
