import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requireOrExplain } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { createTestTrustDomain, type TestTrustDomain } from "@mayfly/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  accepted,
  rolesNow,
  startInstallation,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import { startControlServer, type ControlServer } from "./control-server.ts";
import { collectCases, runCases, type PytestRun } from "./pytest-run.ts";
import { testPython } from "./python-environment.ts";

/*
 * The Python client, by its own tests (packages/client-python/tests) against a running broker. Each
 * case of pytest is a case here, so that the suite counts what really ran.
 */
const found = await requireOrExplain("python");
const python = found === undefined ? undefined : await testPython(found);
const cases = python === undefined ? [] : await collectCases(python);
const RUN_MS_MAX = 400_000;
/** Of the second trust domain: seconds after which a proof of identity is too old. */
const PROOF_SECONDS = 4;
/** Of the access tokens that the client presents. */
const AUDIENCE = "https://orders.system.test";
const SHORT_DOMAIN = "short.test";

const POLICIES = `
@id("agents-use-orders")
permit (principal, action in Action::"credential", resource)
when { ["system.test", "short.test"].contains(principal.trust_root) };
@id("mallory-gets-nothing")
@description("Mallory was let go in October.")
forbid (
  principal == Workload::"spiffe://system.test/agent/mallory",
  action in Action::"credential",
  resource
);
@id("short-orders-only")
forbid (
  principal == Workload::"spiffe://system.test/agent/hasty",
  action in Action::"credential",
  resource
) when { context.ttl_seconds > 60 };
`;

describe.skipIf(python === undefined)("the Python client", () => {
  let mayfly: Installation;
  let broker: RunningBroker;
  let control: ControlServer;
  let folder: string;
  let run: PytestRun;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mayfly-python-"));
    mayfly = await startInstallation();
    broker = await mayfly.startBroker();
    await mayfly.register(broker);
    const short = await registerMore();
    await mayfly.startWorker();
    control = await startControlServer({
      token: (agent, domain, seconds) => token(short, agent, domain, seconds),
      freeze: async () => {
        broker.freeze();
        await broker.frozen();
      },
      thaw: () => broker.thaw(),
      roles: async () => (await rolesNow(mayfly.customer, mayfly.id)).map(({ name }) => name),
    });
    run = await runCases(python ?? "", folder, {
      MAYFLY_TEST_URL: broker.api.url,
      MAYFLY_TEST_ISSUER: mayfly.issuer,
      MAYFLY_TEST_ADMIN_TOKEN: mayfly.adminToken,
      MAYFLY_TEST_CONTROL: control.url,
      MAYFLY_TEST_PROOF_SECONDS: String(PROOF_SECONDS),
    });
  }, RUN_MS_MAX);
  afterAll(async () => {
    await control?.[Symbol.asyncDispose]();
    await mayfly?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function registerMore(): Promise<TestTrustDomain> {
    const short = createTestTrustDomain({
      clock: systemClock,
      audience: mayfly.issuer,
      trustDomain: SHORT_DOMAIN,
    });
    const put = async (path: string, body: unknown): Promise<void> =>
      accepted(await broker.api.admin("PUT", path, body), path);
    await put(`/v1/trust/${SHORT_DOMAIN}`, {
      kind: "spiffe",
      config: {
        trust_domain: SHORT_DOMAIN,
        bundle: short.bundle(),
        identity_max_age_seconds: PROOF_SECONDS,
      },
    });
    await put("/v1/backends/orders-api", { type: "jwt", config: { audiences: [AUDIENCE] } });
    await put("/v1/roles/orders-api/caller", {
      audience: AUDIENCE,
      scope: ["orders:read"],
      key_binding: "when_proven",
      data_class: "internal",
      reversibility: "reversible",
      environment: "test",
    });
    await put("/v1/policies", { sources: [{ name: "orders.cedar", text: POLICIES }] });
    return short;
  }

  function token(short: TestTrustDomain, agent: string, domain: string, seconds: number): string {
    const trust = domain === SHORT_DOMAIN ? short : mayfly.trust;
    const now = Math.floor(systemClock.now() / 1000);
    const sub = `spiffe://${trust.trustDomain}/agent/${agent}`;
    // Of a second before and after nothing is said: tokens of one second are none.
    return trust.token({ claims: { sub, iat: now, exp: now + seconds } });
  }

  test.each(cases)("%s", (id) => {
    const seen = run.cases.get(id);
    const notRun = `it was not run; pytest ended with ${run.code}:\n${run.output}`;
    expect(seen?.outcome, seen?.text ?? notRun).toBe("passed");
  });

  test("ran every case that pytest collected, and pytest itself did not crash", () => {
    expect(cases.length).toBeGreaterThan(40);
    expect([...run.cases.keys()].toSorted(), run.output).toEqual([...cases].toSorted());
    const failed = [...run.cases.values()].some(({ outcome }) => outcome === "failed");
    expect(run.code, run.output).toBe(failed ? 1 : 0);
  });

  test("left nothing behind at the customer's, and the ledger whole", async () => {
    expect(await mayfly.findLeaks(broker)).toEqual([]);
  });
});
