import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createConnection } from "mariadb";
import { systemClock } from "@mayfly/host";
import { createTestX509Authority } from "@mayfly/testkit";
import { BackendBench, backendErrorOf, revoking } from "@mayfly/testkit/contract";
import { isInstalled } from "@mayfly/testkit/vitest";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mysqlBackend } from "./mysql-backend.ts";
import {
  accountOf,
  startCustomerMysql,
  type CustomerMysql,
} from "./testing/start-customer-mysql.ts";

describe.runIf(await isInstalled("mariadb"))("a lease on a MariaDB with TLS", () => {
  const authority = createTestX509Authority({ clock: systemClock });
  let folder: string;
  let customer: CustomerMysql;
  let bench: BackendBench;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mayfly-tls-"));
    const { cert, key } = authority.issue({
      subject: "localhost",
      names: [{ dNSName: "localhost" }],
    }).pem;
    await writeFile(join(folder, "cert.pem"), cert);
    await writeFile(join(folder, "key.pem"), key);
    customer = await startCustomerMysql({
      "ssl-cert": join(folder, "cert.pem"),
      "ssl-key": join(folder, "key.pem"),
    });
    bench = new BackendBench({ backend: mysqlBackend }, customer);
  });
  afterAll(async () => {
    await bench?.open.close();
    await customer?.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const openWith = (change: Readonly<Record<string, unknown>>) =>
    revoking(
      bench.openAgain({
        ...customer.config,
        host: "localhost",
        tls: "verify-full",
        ca: authority.pem,
        ...change,
      }),
    );

  test("is minted, used and ended over it, and logs in over nothing else", async () => {
    const open = openWith({});
    const { material, handle } = await open.issue(bench.plan(), bench.issueCall());
    const [user, password] = accountOf(material);
    await expect(customer.logIn(material)).rejects.toThrow(/denied/);
    const session = await createConnection({
      host: "localhost",
      port: customer.server.port,
      user,
      password,
      ssl: { ca: authority.pem },
    });
    session.on("error", () => undefined);
    await expect(session.query("SELECT COUNT(*) FROM orders.article")).resolves.toBeDefined();
    await open.revoke(handle, bench.call());
    await expect(session.query("SELECT 1")).rejects.toThrow(/.+/);
    await open.close();
  });

  test.each([
    ["of another authority", { ca: createTestX509Authority({ clock: systemClock }).pem }],
    ["that nobody vouches for", { ca: undefined }],
    ["of another name", { host: "127.0.0.1" }],
  ])("is not asked of a server with a certificate %s", async (_, change) => {
    const open = openWith(change);
    const plan = bench.plan();
    const error = await backendErrorOf(open.issue(plan, bench.issueCall()));
    expect(error.effect).toBe("none");
    expect(await customer.liveNames()).not.toContain(plan.externalName);
    await open.close();
  });

  test("may be asked for without the check, where the configuration says unsafe", async () => {
    const open = openWith({ tls: "unsafe_require_unverified", ca: undefined, host: "127.0.0.1" });
    const { handle } = await open.issue(bench.plan(), bench.issueCall());
    expect((await open.probe(handle, bench.call())).verdict).toBe("accepted");
    await open.revoke(handle, bench.call());
    await open.close();
  });
});
