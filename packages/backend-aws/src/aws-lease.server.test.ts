import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CreateRoleCommand,
  DeleteRolePolicyCommand,
  ListRolePoliciesCommand,
  PutRolePolicyCommand,
} from "@aws-sdk/client-iam";
import { requireOrExplain } from "@mayfly/embedded";
import { createOutboundApis } from "@mayfly/net";
import { type ApiRequest, type PoolingHost, type Issued } from "@mayfly/spec";
import { createMemoryNames } from "@mayfly/testkit";
import { backendErrorOf, BackendBench, revoking } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accountSettings } from "./account-settings.ts";
import { awsBackend } from "./aws-backend.ts";
import { closeLane, createLane } from "./lane.ts";
import { configAt, startAwsUpstream, type AwsUpstream } from "./testing/aws-upstream.ts";
import { isAllowed, placeOfSession, policiesOf, READ_ORDERS } from "./testing/evaluate.ts";
import { ACCOUNT, brokerPolicy, BUCKET, IAM_ROLES } from "./testing/moto-account.ts";

const program = await requireOrExplain("moto");
/** `AWS_TEST_LEASES=1000` is what the type's page tells of. */
const MANY = Number(process.env["AWS_TEST_LEASES"] ?? "110");

describe.runIf(program !== undefined)("a lease of AWS", () => {
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

  const issue = (open = bench.open): Promise<Issued> => open.issue(bench.plan(), bench.issueCall());
  const revoke = ({ handle }: Issued, open = bench.open) =>
    revoking(open).revoke(handle, bench.call());
  const probe = async ({ handle }: Issued, open = bench.open): Promise<string> =>
    (await revoking(open).probe(handle, bench.call())).verdict;
  const verdict = ({ material }: Issued) => upstream.tryCredential(material);
  const placeOf = ({ handle }: Issued): string =>
    (JSON.parse(handle.expose("upstream")) as { readonly place: string }).place;
  /** So long after AWS ends the session its deny may be needed. */
  const afterlifeMs = ({ handle, material }: Issued): number => {
    const { until } = JSON.parse(handle.expose("upstream")) as { readonly until: number };
    const end = material["session_expires_at"];
    return until - Date.parse(typeof end === "string" ? end : "");
  };
  const configWith = (more: object): object => ({ ...(upstream.config as object), ...more });
  const policyNames = async (place: string): Promise<readonly string[]> => {
    const command = new ListRolePoliciesCommand({ RoleName: place });
    return (await upstream.account.iam.send(command)).PolicyNames ?? [];
  };
  const hostWith = (more: Partial<PoolingHost>): PoolingHost => ({ ...bench.host, ...more });
  const openWith = (more: object, host: Partial<PoolingHost> = {}) =>
    awsBackend.open(awsBackend.parseConfig(configWith(more)), hostWith(host));

  test("is asked for once, with policy, tags and source identity that tell the lease", async () => {
    const sent: ApiRequest[] = [];
    const apis = createOutboundApis();
    const open = openWith(
      {},
      {
        apis: {
          open: (target) => {
            const api = apis.open(target);
            return {
              ...api,
              send: (request, context) => {
                sent.push(request);
                return api.send(request, context);
              },
            };
          },
        },
      },
    );
    const plan = bench.plan();
    const call = bench.issueCall();
    const issued = await open.issue(plan, call);
    await open.close();
    // A user's session may have been made into a login to the console.
    expect(afterlifeMs(issued)).toBe(43_200_000);
    expect(sent).toHaveLength(1);
    const form = new URLSearchParams(sent[0]?.body ?? "");
    const fields = Object.fromEntries(form);
    expect(fields).toMatchObject({
      Action: "AssumeRole",
      RoleSessionName: plan.externalName,
      SourceIdentity: `mf_contract_${plan.leaseId.slice("lease_".length)}`,
      DurationSeconds: "900",
    });
    const tags = Object.entries(fields).filter(([key]) => key.startsWith("Tags."));
    expect(Object.fromEntries(tags)).toEqual({
      "Tags.member.1.Key": "mayfly:task",
      "Tags.member.1.Value": call.taskId,
      "Tags.member.2.Key": "mayfly:lease",
      "Tags.member.2.Value": plan.leaseId,
      "Tags.member.3.Key": "mayfly:workload",
      "Tags.member.3.Value": "spiffe://contract.test/agent",
    });
    expect(JSON.parse(form.get("Policy") ?? "")).toEqual({
      Version: "2012-10-17",
      Statement: [
        {
          Effect: "Allow",
          Action: ["s3:Get*", "s3:ListBucket"],
          Resource: [BUCKET, `${BUCKET}/*`],
        },
        { Effect: "Deny", Action: "sts:*", Resource: "*" },
      ],
    });
    await revoke(issued);
  });

  test("may do what role and statements allow, hands itself on to nobody, and its end is its alone", async () => {
    const [mine, other] = [await issue(), await issue()];
    const sessions = await upstream.account.sessions();
    const session = sessions.find((each) => each.access_key_id === mine.material["access_key_id"]);
    if (session === undefined) throw new Error("no session");
    const may = async (action: string, resource: string): Promise<boolean> => {
      const policies = await policiesOf(upstream.account.iam, placeOfSession(session));
      return isAllowed(session, policies, { action, resource });
    };
    expect(await may("s3:GetObject", READ_ORDERS.resource)).toBe(true);
    expect(await may("s3:PutObject", READ_ORDERS.resource)).toBe(false);
    expect(await may("s3:GetObject", "arn:aws:s3:::payroll/1")).toBe(false);
    expect(await may("sts:AssumeRole", `arn:aws:iam::${ACCOUNT}:role/agents/reader-2`)).toBe(false);
    await revoke(mine);
    expect(await may("s3:GetObject", READ_ORDERS.resource)).toBe(false);
    expect([await verdict(mine), await verdict(other)]).toEqual(["refused", "accepted"]);
    await revoke(other);
  });

  test("counts as refused only by a look that comes later than the propagation", async () => {
    const open = openWith({ unsafe_propagation_seconds: 1 });
    const issued = await issue(open);
    const revoked = await revoke(issued, open);
    if (revoked.outcome !== "propagating") throw new Error(revoked.outcome);
    expect(await verdict(issued)).toBe("refused");
    expect(await probe(issued, open)).toBe("accepted");
    await upstream.pass(revoked.until - upstream.clock.now() + 10);
    expect(await revoke(issued, open)).toEqual({ outcome: "refused" });
    expect(await probe(issued, open)).toBe("refused");
    await open.close();
  });

  test("a deny that somebody deletes or changes is written again, and counts anew", async () => {
    const { iam } = upstream.account;
    const open = openWith({ unsafe_propagation_seconds: 1 });
    const issued = await issue(open);
    const place = placeOf(issued);
    const end = async (): Promise<void> => {
      for (let tries = 0; (await revoke(issued, open)).outcome !== "refused"; tries++) {
        if (tries > 20) throw new Error("it does not end");
        await upstream.pass(200);
      }
    };
    await end();
    for (const name of await policyNames(place)) {
      await iam.send(new DeleteRolePolicyCommand({ RoleName: place, PolicyName: name }));
    }
    expect([await verdict(issued), await probe(issued, open)]).toEqual(["accepted", "accepted"]);
    await open.upkeep?.(bench.call());
    expect([await verdict(issued), await probe(issued, open)]).toEqual(["refused", "accepted"]);
    await end();
    const [name = ""] = await policyNames(place);
    const nobody = JSON.stringify({
      Version: "2012-10-17",
      Statement: [{ Effect: "Deny", Action: "s3:Nothing", Resource: "*" }],
    });
    const changed = { RoleName: place, PolicyName: name, PolicyDocument: nobody };
    await iam.send(new PutRolePolicyCommand(changed));
    expect(await probe(issued, open)).toBe("accepted");
    await open.upkeep?.(bench.call());
    expect(await verdict(issued)).toBe("refused");
    expect(await policyNames(place)).not.toContain(name);
    await open.close();
  });

  test("denies of a ledger that forgot them are kept, though it counts its turns again", async () => {
    const issued = await issue();
    await revoke(issued);
    const names = createMemoryNames(upstream.clock);
    await names.refuse("mf_contractAAAAAAAAAAAAAAAAAAAAA", placeOf(issued), upstream.clock.now());
    const forgetful = openWith({}, { names });
    // Its end knows by the handle that there is a session, whatever the ledger has forgotten.
    const forgotten = await issue();
    await revoke(forgotten, forgetful);
    const all = [issued, forgotten];
    for (let turn = 0; turn < 3; turn++) {
      const next = await issue(forgetful);
      await revoke(next, forgetful);
      await forgetful.upkeep?.(bench.call());
      all.push(next);
      expect(new Set(await Promise.all(all.map(verdict)))).toEqual(new Set(["refused"]));
    }
    await forgetful.close();
  });

  test("no more are out than can be denied: further ones are refused, and nothing is sent", async () => {
    const open = openWith({ deny_characters: 2_500 }, { names: createMemoryNames(upstream.clock) });
    const issued = await Promise.all(Array.from({ length: 20 }, () => issue(open)));
    expect(new Set(issued.map(placeOf)).size).toBe(IAM_ROLES.length);
    const error = await backendErrorOf(issue(open));
    expect(error.effect).toBe("none");
    expect(error.message).toContain("could deny no more");
    await Promise.all(issued.map((each) => revoke(each, open)));
    // They have ended, and are to be denied until they have died by themselves.
    expect((await backendErrorOf(issue(open))).message).toContain("could deny no more");
    expect(new Set(await Promise.all(issued.map(verdict)))).toEqual(new Set(["refused"]));
    await open.close();
  });

  test("the broker takes roles in turn, from a user's keys or a token of OIDC", async () => {
    const { iam, moto, keys } = upstream.account;
    const trust = JSON.stringify({
      Version: "2012-10-17",
      Statement: { Effect: "Allow", Principal: { AWS: "*" }, Action: "sts:AssumeRole" },
    });
    for (const RoleName of ["hub", "mayfly"]) {
      const role = { RoleName, Path: "/agents/", AssumeRolePolicyDocument: trust };
      await iam.send(new CreateRoleCommand(role));
      const PolicyDocument = JSON.stringify(brokerPolicy());
      await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: "own", PolicyDocument }));
    }
    const folder = await mkdtemp(join(tmpdir(), "mayfly-aws-"));
    const file = join(folder, "token");
    await writeFile(file, "a.token.of-oidc\n");
    const arnOf = (name: string): string => `arn:aws:iam::${ACCOUNT}:role/agents/${name}`;
    const chain = [
      { role_arn: arnOf("hub"), external_id: "mayfly" },
      { role_arn: arnOf("mayfly") },
    ];
    const open = bench.openAgain(
      configAt(upstream.account, moto, { credentials: { kind: "keys", ...keys }, chain }),
    );
    const check = await open.selfCheck([bench.backend.parseRole(upstream.role)], bench.call());
    expect(check.problems).toEqual([]);
    expect(check.facts["caller"]).toContain("assumed-role/mayfly/mayfly-contract");
    const issued = await issue(open);
    expect(afterlifeMs(issued)).toBe(0);
    await revoke(issued, open);
    expect(await verdict(issued)).toBe("refused");
    await open.close();
    // Below the settings: only a platform's own folders may be named there.
    const token = { kind: "web_identity", role_arn: arnOf("hub"), token_file: file } as const;
    const settings = accountSettings.parse(configAt(upstream.account, moto, { chain }));
    const { signal } = new AbortController();
    const lane = createLane({ ...settings, credentials: token }, bench.host, signal);
    // moto fails at a request without a signature where it asks for rights.
    await upstream.account.checkRights(false);
    const { Arn: caller } = await (await lane.api()).getCallerIdentity(bench.call());
    expect(caller).toContain("assumed-role/mayfly/mayfly-contract");
    await upstream.account.checkRights(true);
    await rm(folder, { recursive: true });
    const later = createLane({ ...settings, credentials: token, chain: [] }, bench.host, signal);
    const asked = later.api().then((api) => api.getCallerIdentity(bench.call()));
    await expect(asked).rejects.toThrow("could not be read");
    for (const one of [lane, later]) await closeLane(one);
  });

  test("the SDK's own chain finds credentials in the environment, and addresses nowhere but in settings", async () => {
    const { moto, keys } = upstream.account;
    const environment = {
      AWS_ACCESS_KEY_ID: keys.access_key_id,
      AWS_SECRET_ACCESS_KEY: keys.secret_access_key,
      AWS_ENDPOINT_URL: "http://127.0.0.1:1",
      AWS_REGION: "sa-east-1",
    };
    Object.assign(process.env, environment);
    const open = bench.openAgain(
      configAt(upstream.account, moto, { credentials: { kind: "default" } }),
    );
    try {
      const { problems } = await open.selfCheck([], bench.call());
      expect(problems.map(({ code }) => code)).toEqual(["user_by_default"]);
      const issued = await issue(open);
      expect(issued.material["region"]).toBe("eu-central-1");
      await revoke(issued, open);
      expect(await verdict(issued)).toBe("refused");
    } finally {
      await open.close();
      for (const name of Object.keys(environment)) delete process.env[name];
    }
  });

  test("what is wrong with an account or a role is found by the check, with what to do", async () => {
    const { iam, moto } = upstream.account;
    const codes = async (more: object, role: object): Promise<readonly string[]> => {
      const open = bench.openAgain(configAt(upstream.account, moto, more));
      const parsed = bench.backend.parseRole({ ...(upstream.role as object), ...role });
      const { problems } = await open.selfCheck([parsed], bench.call());
      await open.close();
      return problems.map(({ code }) => code);
    };
    expect(await codes({ account_id: "999999999999" }, {})).toEqual(["other_account"]);
    await upstream.account.checkRights(false);
    expect(await codes({}, { iam_roles: ["agents/nobody"] })).toEqual(["role_missing"]);
    await upstream.account.checkRights(true);
    expect(await codes({}, { iam_roles: ["agents/x/reader-1"] })).toContain("role_path");
    expect(await codes({ session_seconds_max: 7_200 }, {})).toContain("session_too_long");
    const text = JSON.stringify({
      Version: "2012-10-17",
      Statement: Array.from({ length: 60 }, (_, nth) => ({
        Effect: "Allow",
        Action: "s3:GetObject",
        Resource: `arn:aws:s3:::a-bucket-with-a-long-name-${nth}/*`,
      })),
    });
    const large = { RoleName: "reader-2", PolicyName: "theirs" };
    await iam.send(new PutRolePolicyCommand({ ...large, PolicyDocument: text }));
    expect(await codes({}, {})).toEqual(["inline_policies_too_long"]);
    await iam.send(new DeleteRolePolicyCommand(large));
  });

  test("each right that is taken away alone is named by the check", async () => {
    const one = { ...(upstream.role as object), iam_roles: ["agents/reader-1"] };
    const told = async (): Promise<readonly string[]> => {
      const roles = [bench.backend.parseRole(one)];
      const { problems } = await bench.open.selfCheck(roles, bench.call());
      return problems.map(({ code, what }) => `${code} ${what.split(" ", 1).join("")}`);
    };
    // For sts:TagSession and sts:SetSourceIdentity moto does not ask.
    const reads = ["iam:GetRole", "iam:ListRolePolicies", "iam:GetRolePolicy"];
    for (const right of ["sts:AssumeRole", ...reads, "iam:PutRolePolicy", "iam:DeleteRolePolicy"]) {
      await upstream.account.permit([right]);
      expect(await told()).toEqual([`right_missing ${right}`]);
    }
    await upstream.account.permit();
    // What the check might not delete takes the room of denies.
    expect(await told()).toEqual(["inline_policies_too_long The"]);
    for (const PolicyName of await policyNames("reader-1")) {
      if (!PolicyName.startsWith("mayfly-self-check")) continue;
      const left = { RoleName: "reader-1", PolicyName };
      await upstream.account.iam.send(new DeleteRolePolicyCommand(left));
    }
    expect(await told()).toEqual([]);
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

  test(`${MANY} that are due at once are all denied, and nobody else`, async () => {
    const iamRoles = Array.from(
      { length: Math.ceil(MANY / 150) + 1 },
      (_, nth) => `agents/r${nth}`,
    );
    const crowd = await startAwsUpstream({ iamRoles });
    const own = new BackendBench({ backend: awsBackend }, crowd);
    const { open } = own;
    const take = (): Promise<Issued> => open.issue(own.plan(), own.issueCall({ seconds: 60 }));
    const issued: Issued[] = [];
    while (issued.length < MANY) {
      issued.push(...(await Promise.all(Array.from({ length: 10 }, take))));
    }
    const living = await take();
    const began = crowd.clock.monotonicMs();
    const verdicts = await Promise.all(
      issued.map(async (each) => {
        await revoke(each, open);
        return probe(each, open);
      }),
    );
    const seconds = (crowd.clock.monotonicMs() - began) / 1_000;
    expect(new Set(verdicts)).toEqual(new Set(["refused"]));
    const nameOf = ({ handle }: Issued): string =>
      (JSON.parse(handle.expose("upstream")) as { readonly name: string }).name;
    expect(await crowd.liveNames()).toEqual([nameOf(living)]);
    await open.close();
    await crowd.stop();
    process.stderr.write(`${MANY} sessions denied and probed in ${seconds.toFixed(1)} s\n`);
  }, 240_000);
});
