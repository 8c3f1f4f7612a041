import { requireOrExplain } from "@mayfly/embedded";
import type { CheckProblem } from "@mayfly/spec";
import {
  createFakeClock,
  createRecordingLog,
  createTestBackendHost,
  seededRandom,
} from "@mayfly/testkit";
import type { BackendBench } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asPolicy, neededRights, type NeededRight } from "./needed-rights.ts";
import { leases, needsOfRole } from "./role-settings.ts";
import { startFakeVault } from "./testing/fake-vault.ts";
import { startRealVault, type VaultServer } from "./testing/vault-server.ts";
import {
  CERTIFICATE_ROLE,
  TOKEN_ROLE,
  brokerToken,
  configAt,
  prepareVault,
  startVaultBench,
  startVaultUpstream,
  useToken,
} from "./testing/vault-upstream.ts";

const program = await requireOrExplain("openbao");

/** One of each kind, so that every right of the type's page is asked for. */
const ROLES = [
  TOKEN_ROLE,
  CERTIFICATE_ROLE,
  { dynamic: { path: "database/creds/reader", policies: ["db-reader"], secret: "password" } },
];

describe("on the fake", () => {
  describeSelfCheck(startFakeVault);
});
describe.runIf(program !== undefined)("on OpenBao", () => {
  describeSelfCheck(startRealVault, ["sys/leases/lookup"]);
});

/** `byDefault`: what the server's own policy `default` allows as well. */
function describeSelfCheck(
  start: () => Promise<VaultServer>,
  byDefault: readonly string[] = [],
): void {
  let server: VaultServer;
  let started: Awaited<ReturnType<typeof startVaultBench>>;
  let bench: BackendBench;
  const host = createTestBackendHost({
    clock: createFakeClock(),
    random: seededRandom(1),
    log: createRecordingLog(),
    installation: "contract",
  });
  beforeAll(async () => {
    server = await start();
    await prepareVault(server);
    const use = useToken(server);
    const upstream = await startVaultUpstream(server, { role: TOKEN_ROLE, use });
    started = await startVaultBench(upstream);
    ({ bench } = started);
  });
  afterAll(() => started.stop());

  /** Of a broker whose policy was made so, for roles that it has to serve. */
  async function problemsOf(
    roles: readonly object[],
    spoil?: (policy: string) => string,
    written: readonly object[] = [TOKEN_ROLE],
  ): Promise<readonly CheckProblem[]> {
    const token = await brokerToken(server, [host], written, spoil);
    const open = bench.openAgain(configAt({ host: server.host, port: server.port }, token));
    const parsed = roles.map((role) => bench.backend.parseRole(role));
    const { problems } = await open.selfCheck(parsed, bench.call());
    await open.close();
    return problems;
  }

  test("a missing right is named with the policy that gives it, and with it all is well", async () => {
    let missing = "";
    const problems = await problemsOf([TOKEN_ROLE], (policy) => {
      const [found = ""] = /path "auth\/token\/create[^}]*\}\n/.exec(policy) ?? [];
      missing = found;
      return policy.replace(found, "");
    });
    expect(problems.map(({ code, fix }) => ({ code, fix }))).toEqual([
      { code: "right_missing", fix: missing },
    ]);
    const mended = await problemsOf(
      [TOKEN_ROLE],
      (policy) => policy.replace(missing, "") + problems[0]?.fix,
    );
    expect(mended).toEqual([]);
  });

  test("each right of the policy that is taken away alone is named, with what gives it", async () => {
    const needed = neededRights(
      host,
      ROLES.map((each) => needsOfRole(leases.parseRole(each))),
    );
    const cases = needed.flatMap((right) => right.capabilities.map((one) => ({ right, one })));
    expect(cases.length).toBeGreaterThanOrEqual(20);
    const without = ({ capabilities, ...right }: NeededRight, one: string): string => {
      const left = capabilities.filter((each) => each !== one);
      return left.length === 0 ? "" : asPolicy([{ ...right, capabilities: left }]);
    };
    for (const { right, one } of cases) {
      const whole = asPolicy([right]);
      const spoil = (policy: string): string => policy.replace(whole, () => without(right, one));
      const problems = await problemsOf(ROLES, spoil, ROLES);
      const what = `The broker lacks ${one} on ${right.path}.`;
      const named = byDefault.includes(right.path)
        ? []
        : [{ code: "right_missing", what, fix: whole }];
      expect(problems).toEqual(named);
    }
    expect(await problemsOf(ROLES, undefined, ROLES)).toEqual([]);
  });

  test("before there is a role the policy that it tells lets the broker give no policy", async () => {
    const none = 'path "nothing/of/ours" {\n  capabilities = ["read"]\n}\n';
    const told = (await problemsOf([], () => none)).map(({ fix }) => fix).join("");
    expect(await problemsOf([], () => told)).toEqual([]);
    const codes = (await problemsOf([TOKEN_ROLE], () => told)).map(({ code }) => code);
    expect(codes).toEqual(["policies_not_allowed"]);
  });

  test("policies that the broker may not give are found, though every right is there", async () => {
    const problems = await problemsOf([TOKEN_ROLE, { token: { policies: ["db-reader"] } }]);
    expect(problems.map(({ code }) => code)).toEqual(["policies_not_allowed"]);
    expect(problems[0]?.fix).toContain('["db-reader","orders,stock"]');
  });

  test("a policy that is not there is found", async () => {
    const problems = await problemsOf([{ token: { policies: ["nobody-wrote"] } }], (policy) =>
      policy.replace('["orders,stock"]', '["nobody-wrote"]'),
    );
    expect(problems.map(({ code }) => code)).toEqual(["policy_missing"]);
    expect(problems[0]?.what).toContain("nobody-wrote");
  });
}
