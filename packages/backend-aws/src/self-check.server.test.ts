import { readFile } from "node:fs/promises";
import {
  DeleteRolePolicyCommand,
  ListRolePoliciesCommand,
  PutRolePolicyCommand,
} from "@aws-sdk/client-iam";
import { requireOrExplain } from "@mayfly/embedded";
import { createOutboundApis } from "@mayfly/net";
import type { ApiRequest, CheckProblem, OpenBackend } from "@mayfly/spec";
import { BackendBench, revoking } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AUTHORITY } from "./authority.ts";
import { awsBackend } from "./aws-backend.ts";
import { configAt, startAwsUpstream, type AwsUpstream } from "./testing/aws-upstream.ts";
import type { Asked } from "./testing/evaluate.ts";
import { ACCOUNT, brokerPolicy } from "./testing/moto-account.ts";
import { isPermitted, rightsFor, type PrintedPolicies } from "./testing/needed-rights.ts";

const program = await requireOrExplain("moto");

describe.runIf(program !== undefined)("the self-check of AWS", () => {
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

  const problemsOf = async (
    open: OpenBackend = bench.open,
    role: object = { iam_roles: ["agents/reader-1"] },
  ): Promise<readonly CheckProblem[]> => {
    const parsed = bench.backend.parseRole({ ...(upstream.role as object), ...role });
    return (await open.selfCheck([parsed], bench.call())).problems;
  };
  const told = async (): Promise<readonly string[]> =>
    (await problemsOf()).map(({ code, what }) => `${code} ${what.split(" ", 1).join("")}`);
  /** Inline policies that no deny of an ended session is. */
  const otherPolicies = async (): Promise<readonly string[]> => {
    const command = new ListRolePoliciesCommand({ RoleName: "reader-1" });
    const { PolicyNames: names = [] } = await upstream.account.iam.send(command);
    return names.filter((name) => !name.startsWith("mayfly-deny."));
  };
  const put = async (name: string, document: object): Promise<void> => {
    const at = { RoleName: "reader-1", PolicyName: name };
    const PolicyDocument = JSON.stringify(document);
    await upstream.account.iam.send(new PutRolePolicyCommand({ ...at, PolicyDocument }));
  };

  test("what is wrong with an account or a role is found by the check, with what to do", async () => {
    const { iam, moto } = upstream.account;
    const codes = async (more: object, role: object): Promise<readonly string[]> => {
      const open = bench.openAgain(configAt(upstream.account, moto, more));
      const problems = await problemsOf(open, role);
      await open.close();
      return problems.map(({ code }) => code);
    };
    expect(await codes({ account_id: "999999999999" }, {})).toEqual(["other_account"]);
    await upstream.account.checkRights(false);
    expect(await codes({}, { iam_roles: ["agents/nobody"] })).toEqual(["role_missing"]);
    await upstream.account.checkRights(true);
    expect(await codes({}, { iam_roles: ["agents/x/reader-1"] })).toContain("role_path");
    expect(await codes({ session_seconds_max: 7_200 }, {})).toContain("session_too_long");
    await put("theirs", {
      Version: "2012-10-17",
      Statement: Array.from({ length: 60 }, (_, nth) => ({
        Effect: "Allow",
        Action: "s3:GetObject",
        Resource: `arn:aws:s3:::a-bucket-with-a-long-name-${nth}/*`,
      })),
    });
    expect(await codes({}, {})).toEqual(["inline_policies_too_long"]);
    const theirs = { RoleName: "reader-1", PolicyName: "theirs" };
    await iam.send(new DeleteRolePolicyCommand(theirs));
  });

  test("each right that is taken away alone is named by the check", async () => {
    // For sts:TagSession and sts:SetSourceIdentity moto does not ask.
    const reads = ["iam:GetRole", "iam:ListRolePolicies", "iam:GetRolePolicy"];
    for (const right of ["sts:AssumeRole", ...reads, "iam:PutRolePolicy", "iam:DeleteRolePolicy"]) {
      await upstream.account.permit([right]);
      expect(await told()).toEqual([`right_missing ${right}`]);
    }
    await upstream.account.permit();
    expect(await told()).toEqual([]);
  });

  test("where it may not delete, all leave one policy and tell it; the next that may deletes it", async () => {
    await upstream.account.permit(["iam:DeleteRolePolicy"]);
    for (let check = 0; check < 3; check++) {
      const [problem, ...others] = await problemsOf();
      expect(others).toEqual([]);
      const [left = "", ...more] = await otherPolicies();
      expect(more).toEqual([]);
      expect(left).toMatch(/^mayfly-self-check\.contract\.\w{12}$/);
      expect(problem).toMatchObject({ code: "right_missing" });
      expect(problem?.fix).toContain(left);
      // With all room for denies what it left is still no reason to pause issuing.
      await bench.open.upkeep?.(bench.call());
    }
    await upstream.account.permit();
    expect(await told()).toEqual([]);
    expect(await otherPolicies()).toEqual([]);
  });

  test("it deletes what earlier ones left under names of their own, and nobody else's", async () => {
    const denyOf = (name: string): object => ({
      Version: "2012-10-17",
      Statement: {
        Sid: "MayflyEnded",
        Effect: "Deny",
        Action: "*",
        Resource: "*",
        Condition: { StringLike: { "aws:userid": [`*:${name}`] } },
      },
    });
    const nobody = "A".repeat(21);
    const ours = ["0123456789abcdef", "fedcba9876543210"].map((hex) => `mayfly-self-check.${hex}`);
    const theirs = [`mayfly-self-check.${"0".repeat(16)}`, "mayfly-self-check.by-hand", "notes"];
    for (const name of ours) await put(name, denyOf(`mf_contract${nobody}`));
    await put(theirs[0]!, denyOf(`mf_neighbor${nobody}`));
    await put(theirs[1]!, denyOf(`mf_contract${"B".repeat(21)}`));
    await put(theirs[2]!, denyOf(`mf_contract${nobody}`));
    const open = bench.openAgain({ ...(upstream.config as object), deny_characters: 8_192 });
    expect(await problemsOf(open)).toEqual([]);
    expect((await otherPolicies()).toSorted()).toEqual(theirs.toSorted());
    await open.close();
    for (const PolicyName of theirs) {
      const at = { RoleName: "reader-1", PolicyName };
      await upstream.account.iam.send(new DeleteRolePolicyCommand(at));
    }
  });

  test("several at once find nothing wrong with each other, and leave nothing", async () => {
    const checks = await Promise.all(Array.from({ length: 6 }, () => problemsOf()));
    expect(checks.flat()).toEqual([]);
    expect(await otherPolicies()).toEqual([]);
  });

  test("the type's page has the policy that these tests give the broker", async () => {
    const page = new URL("../../../docs/backends/aws.md", import.meta.url);
    const blocks = [...(await readFile(page, "utf8")).matchAll(/```json\n([\s\S]*?)```/g)];
    const [policy, , ofItself] = blocks.map(([, text = "null"]) => JSON.parse(text) as object);
    // moto knows resources of roles alone.
    const rotating = { ...ofItself, Resource: "*" };
    const { Statement: statements = [] } = policy as { readonly Statement?: readonly object[] };
    expect({ ...policy, Statement: [...statements, rotating] }).toEqual(brokerPolicy());
  });

  /** Each right once that a check, a lease and its end are asked for, by what they sent. */
  async function neededRights(): Promise<readonly Asked[]> {
    const sent: ApiRequest[] = [];
    const apis = createOutboundApis();
    const recording: typeof apis = {
      ...apis,
      open: (target) => {
        const api = apis.open(target);
        const send: typeof api.send = (request, context) => {
          sent.push(request);
          return api.send(request, context);
        };
        return { ...api, send };
      },
    };
    const config = awsBackend.parseConfig(upstream.config);
    const open = awsBackend.open(config, { ...bench.host, apis: recording });
    expect(await problemsOf(open)).toEqual([]);
    const issued = await open.issue(bench.plan(), bench.issueCall());
    await revoking(open).revoke(issued.handle, bench.call());
    await revoking(open).probe(issued.handle, bench.call());
    await open.upkeep?.(bench.call());
    await open.close();
    const rights = sent.flatMap((request) => rightsFor(request, "agents"));
    return [...new Map(rights.map((each) => [JSON.stringify(each), each])).values()];
  }

  test("the policies that are printed allow each request, and without any one action not all", async () => {
    const [own, trust] = AUTHORITY.map(({ text }) => JSON.parse(text) as Policy);
    if (own === undefined || trust === undefined) throw new Error("two policies are printed");
    const needed = await neededRights();
    const refused = async (policies: PrintedPolicies): Promise<readonly string[]> => {
      const verdicts = await Promise.all(needed.map((right) => isPermitted(right, policies)));
      return [...new Set(needed.filter((_, at) => !verdicts[at]).map(({ action }) => action))];
    };
    expect(await refused({ own, trust })).toEqual([]);
    // A trust policy that names the role itself is permission enough; one that names the account
    // leaves it to the role's own policy, as does that of another account.
    const byAccount = { ...trust, Statement: { ...statementsOf(trust)[0], ...ACCOUNT_ITSELF } };
    expect(await refused({ own, trust: byAccount })).toEqual([]);
    for (const action of actionsOf(own)) {
      const lacking = without(own, action);
      expect(await refused({ own: lacking, trust: byAccount })).toEqual([action]);
    }
    for (const action of actionsOf(trust)) {
      expect(await refused({ own, trust: without(trust, action) })).toEqual([action]);
    }
    expect(actionsOf(trust)).toEqual(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]);
  });
});

interface Statement {
  readonly Action: readonly string[];
}
interface Policy {
  readonly Statement: Statement | readonly Statement[];
}
const ACCOUNT_ITSELF = { Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` } };

const statementsOf = ({ Statement: said }: Policy): readonly Statement[] =>
  "Action" in said ? [said] : said;
const actionsOf = (policy: Policy): readonly string[] =>
  statementsOf(policy).flatMap(({ Action: actions }) => actions);
const without = (policy: Policy, action: string): Policy => ({
  ...policy,
  Statement: statementsOf(policy).map((each) => ({
    ...each,
    Action: each.Action.filter((one) => one !== action),
  })),
});
