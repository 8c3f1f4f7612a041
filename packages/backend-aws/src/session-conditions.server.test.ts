import { requireOrExplain } from "@mayfly/embedded";
import { plusSeconds, type Issued } from "@mayfly/spec";
import { BackendBench, CONTRACT_HOLDER, freshLeaseId } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { awsBackend } from "./aws-backend.ts";
import { startAwsUpstream, type AwsUpstream } from "./testing/aws-upstream.ts";
import { isAllowed, placeOfSession, policiesOf, type Asked } from "./testing/evaluate.ts";
import { BUCKET, IAM_ROLES, type MotoSession } from "./testing/moto-account.ts";

const program = await requireOrExplain("moto");

const FROM_OFFICE = { IpAddress: { "aws:SourceIp": ["192.0.2.0/24", "198.51.100.0/24"] } };
const LIST = { actions: ["s3:ListBucket"], resources: [BUCKET] };
const role = {
  iam_roles: IAM_ROLES,
  statements: [{ ...LIST, conditions: FROM_OFFICE }],
};

describe.runIf(program !== undefined)("conditions of a session of AWS", () => {
  let upstream: AwsUpstream;
  let bench: BackendBench;
  beforeAll(async () => {
    upstream = await startAwsUpstream();
    bench = new BackendBench({ backend: awsBackend }, upstream);
  });
  afterAll(async () => {
    await bench?.open.close();
    await upstream?.stop();
  });

  const issue = (params: object): Promise<Issued> => {
    const plan = bench.backend.plan({
      installation: bench.host.installation,
      leaseId: freshLeaseId(),
      expiresAt: plusSeconds(upstream.clock.now(), 60),
      role: bench.backend.parseRole(role),
      params: bench.backend.parseParams(params),
      holder: CONTRACT_HOLDER,
    });
    return bench.open.issue(plan, bench.issueCall());
  };
  const sessionOf = async ({ material }: Issued): Promise<MotoSession> => {
    const sessions = await upstream.account.sessions();
    const found = sessions.find((each) => each.access_key_id === material["access_key_id"]);
    if (found === undefined) throw new Error("no session");
    return found;
  };
  const conditionsOf = ({ policy }: MotoSession): readonly unknown[] =>
    (JSON.parse(policy ?? "") as { Statement: { Condition?: unknown }[] }).Statement.map(
      ({ Condition }) => Condition,
    );
  const mayList = async (session: MotoSession, context: Asked["context"] = {}) => {
    const policies = await policiesOf(upstream.account.iam, placeOfSession(session));
    return isAllowed(session, policies, { action: LIST.actions[0]!, resource: BUCKET, context });
  };
  const [near, far] = [{ "aws:SourceIp": "192.0.2.7" }, { "aws:SourceIp": "203.0.113.7" }];

  test("of the role are in the policy that AWS got, which allows with them and not without", async () => {
    const session = await sessionOf(await issue({}));
    expect(conditionsOf(session)).toEqual([FROM_OFFICE, undefined]);
    expect(await mayList(session, near)).toBe(true);
    expect(await mayList(session, { "aws:SourceIp": "198.51.100.7" })).toBe(true);
    expect(await mayList(session, far)).toBe(false);
    expect(await mayList(session)).toBe(false);
  });

  test("that a request adds hold beside the role's, of which neither is enough", async () => {
    const wanted = { StringLike: { "s3:prefix": ["2026/*"] } };
    const narrowed = { ...LIST, conditions: wanted };
    const session = await sessionOf(await issue({ statements: [narrowed] }));
    expect(conditionsOf(session)).toEqual([{ ...FROM_OFFICE, ...wanted }, undefined]);
    const [ours, theirs] = [{ "s3:prefix": "2026/1" }, { "s3:prefix": "payroll/1" }];
    expect(await mayList(session, { ...near, ...ours })).toBe(true);
    expect(await mayList(session, { ...near, ...theirs })).toBe(false);
    expect(await mayList(session, { ...far, ...ours })).toBe(false);
    expect(await mayList(session, ours)).toBe(false);
    expect(await mayList(session, near)).toBe(false);
    // What the role alone asks for lets the other session list it all.
    expect(await mayList(await sessionOf(await issue({})), { ...near, ...theirs })).toBe(true);
  });
});
