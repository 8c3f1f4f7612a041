import { BackendError, type Issued, type OpenBackend } from "@mayfly/spec";
import { BackendBench, revoking } from "@mayfly/testkit/contract";
import { isInstalled } from "@mayfly/testkit/vitest";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readHandle } from "./account-mark.ts";
import { connectionSettings } from "./connection-settings.ts";
import { mysqlBackend } from "./mysql-backend.ts";
import { failures } from "./mysql-failure.ts";
import { openServers } from "./open-servers.ts";
import { closeServers } from "./servers.ts";
import {
  accountOf,
  startCustomerMysql,
  type CustomerMysql,
} from "./testing/start-customer-mysql.ts";

const MANY = 40;

describe.runIf(await isInstalled("mariadb"))("leases of MariaDB that end at once", () => {
  let customer: CustomerMysql;
  let replica: CustomerMysql;
  let bench: BackendBench;
  beforeAll(async () => {
    [customer, replica] = await Promise.all([startCustomerMysql(), startCustomerMysql()]);
    bench = new BackendBench({ backend: mysqlBackend }, customer);
  });
  afterAll(async () => {
    await bench?.open.close();
    await customer?.stop();
    await replica?.stop();
  });
  async function issueMany(count: number): Promise<readonly Issued[]> {
    const issued: Issued[] = [];
    for (let nth = 0; nth < count; nth++) {
      issued.push(await bench.open.issue(bench.plan(), bench.issueCall({ seconds: 60 })));
    }
    return issued;
  }
  const nameOf = ({ material }: Issued): string => accountOf(material)[0];
  const endAll = (open: OpenBackend, issued: readonly Issued[]): Promise<readonly string[]> =>
    Promise.all(
      issued.map(async ({ handle }) => {
        try {
          await revoking(open).revoke(handle, bench.call());
          return (await revoking(open).probe(handle, bench.call())).verdict;
        } catch (error) {
          return BackendError.isBackendError(error) ? error.message : "no failure of a backend";
        }
      }),
    );
  const leftOf = async (issued: readonly Issued[]): Promise<readonly unknown[]> => {
    const names = issued.map((each) => `'${nameOf(each)}'`).join(", ");
    const rows = await customer.sql(
      `SELECT User AS name FROM mysql.user WHERE User IN (${names})
       UNION SELECT name FROM mayfly.leases WHERE name IN (${names})`,
    );
    return rows.map(({ name }) => name);
  };
  const statements = async (kind: string): Promise<number> => {
    const [row] = await customer.sql(`SHOW GLOBAL STATUS LIKE 'Com_${kind}'`);
    return Number(row?.["Value"]);
  };

  test("are all gone with their sessions, by a few statements for all of them", async () => {
    const issued = await issueMany(MANY);
    const sessions = await Promise.all(issued.map(({ material }) => customer.logIn(material)));
    const before = await statements("drop_user");
    expect(new Set(await endAll(bench.open, issued))).toEqual(new Set(["refused"]));
    // Two leave at once and the rest go together: three, unless the server refused one.
    expect((await statements("drop_user")) - before).toBeLessThan(MANY / 2);
    for (const session of sessions) await expect(session.query("SELECT 1")).rejects.toThrow(/.+/);
    expect(await leftOf(issued)).toEqual([]);
  });

  test("hang on none of them that is not gone everywhere: it alone has not ended", async () => {
    const issued = await issueMany(6);
    const { host, port } = replica.server;
    const open = bench.openAgain({ ...customer.config, replicas: [{ host, port }] });
    const late = issued[3]!;
    await replica.sql(`CREATE USER \`${nameOf(late)}\``);
    const ends = await endAll(open, issued);
    const why = "MySQL, revoke: the account does not go away on every server";
    expect(ends).toEqual(issued.map((each) => (each === late ? why : "refused")));
    expect(await leftOf(issued)).toEqual([nameOf(late)]);
    await replica.sql(`DROP USER \`${nameOf(late)}\``);
    expect(await endAll(open, [late])).toEqual(["refused"]);
    await open.close();
  });

  test("are not said to be untouched to whoever gives up while they end", async () => {
    const issued = await issueMany(1);
    const settings = connectionSettings.parse(customer.config);
    const servers = openServers(settings, bench.host, new AbortController().signal);
    const impatient = new AbortController();
    const end = servers.ends.run(readHandle(issued[0]!.handle), impatient.signal);
    // It leaves at once, so that it is under way here.
    impatient.abort(new Error("its time is over"));
    const thrown = await end.catch((error: unknown) => error);
    expect(failures.toBackendError(thrown, "revoke")).toMatchObject({
      effect: "unknown",
      message: "MySQL, revoke: no answer came in time, so what was sent may have happened",
    });
    await expect.poll(() => leftOf(issued), { timeout: 60_000 }).toEqual([]);
    await closeServers(servers);
  });

  test("hang on none of them for which a statement is refused", async () => {
    const issued = await issueMany(6);
    // A lock is waited for half as long: time enough for the server to say so on a busy machine.
    const open = bench.openAgain({ ...customer.config, call_seconds_max: 6 });
    const held = issued[3]!;
    // Somebody has its mark locked, so none is deleted in a statement that names it.
    const holder = await customer.lockMark(nameOf(held));
    const ends = await endAll(open, issued);
    const why = "MySQL, revoke: the server refused with error 1205";
    expect(ends).toEqual(issued.map((each) => (each === held ? why : "refused")));
    expect(await leftOf(issued)).toEqual([nameOf(held)]);
    await holder.release();
    expect(await endAll(open, [held])).toEqual(["refused"]);
    await open.close();
  });
});
