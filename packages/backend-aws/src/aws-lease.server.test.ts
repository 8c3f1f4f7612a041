import { mkdtemp, rm, writeFile } from "node:fs/promises";
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
import { plusSeconds, type ApiRequest, type PoolingHost, type Issued } from "@mayfly/spec";
import { createMemoryNames } from "@mayfly/testkit";
import {
  backendErrorOf,
  BackendBench,
  CONTRACT_HOLDER,
  freshLeaseId,
  revoking,
} from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accountSettings } from "./account-settings.ts";
import { awsBackend } from "./aws-backend.ts";
import { closeLane, createLane } from "./lane.ts";
import { configAt, startAwsUpstream, type AwsUpstream } from "./testing/aws-upstream.ts";
import {
  isAllowed,
  placeOfSession,
  policiesOf,
  READ_ORDERS,
  type Asked,
} from "./testing/evaluate.ts";
import {
  ACCOUNT,
  brokerPolicy,
  BUCKET,
  IAM_ROLES,
  type MotoSession,
} from "./testing/moto-account.ts";

const program = await requireOrExplain("moto");
/** `AWS_TEST_LEASES=1000` is what the type's page tells of. */
const MANY = Number(process.env["AWS_TEST_LEASES"] ?? "110");

const FROM_OFFICE = { IpAddress: { "aws:SourceIp": ["192.0.2.0/24", "198.51.100.0/24"] } };
const LIST = { actions: ["s3:ListBucket"], resources: [BUCKET] };
const LISTING = { iam_roles: IAM_ROLES, statements: [{ ...LIST, conditions: FROM_OFFICE }] };

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
  const sessionOf = async ({ material }: Issued): Promise<MotoSession> => {
    const sessions = await upstream.account.sessions();
    const found = sessions.find((each) => each.access_key_id === material["access_key_id"]);
    if (found === undefined) throw new Error("no session");
    return found;
  };
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
    const session = await sessionOf(mine);
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

  /** Of a role that may list, and has conditions. */
  const issueListing = (params: object): Promise<Issued> => {
    const plan = bench.backend.plan({
      installation: bench.host.installation,
      leaseId: freshLeaseId(),
      expiresAt: plusSeconds(upstream.clock.now(), 60),
      role: bench.backend.parseRole(LISTING),
      params: bench.backend.parseParams(params),
      holder: CONTRACT_HOLDER,
    });
    return bench.open.issue(plan, bench.issueCall());
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

  test("conditions of the role are in the policy that AWS got, which allows with them and not without", async () => {
    const session = await sessionOf(await issueListing({}));
    expect(conditionsOf(session)).toEqual([FROM_OFFICE, undefined]);
    expect(await mayList(session, near)).toBe(true);
    expect(await mayList(session, { "aws:SourceIp": "198.51.100.7" })).toBe(true);
    expect(await mayList(session, far)).toBe(false);
    expect(await mayList(session)).toBe(false);
  });

  test("conditions that a request adds hold beside the role's, of which neither is enough", async () => {
    const wanted = { StringLike: { "s3:prefix": ["2026/*"] } };
    const narrowed = { ...LIST, conditions: wanted };
    const session = await sessionOf(await issueListing({ statements: [narrowed] }));
    expect(conditionsOf(session)).toEqual([{ ...FROM_OFFICE, ...wanted }, undefined]);
    const [ours, theirs] = [{ "s3:prefix": "2026/1" }, { "s3:prefix": "payroll/1" }];
    expect(await mayList(session, { ...near, ...ours })).toBe(true);
    expect(await mayList(session, { ...near, ...theirs })).toBe(false);
    expect(await mayList(session, { ...far, ...ours })).toBe(false);
    expect(await mayList(session, ours)).toBe(false);
    expect(await mayList(session, near)).toBe(false);
    // What the role alone asks for lets the other session list it all.
    expect(await mayList(await sessionOf(await issueListing({})), { ...near, ...theirs })).toBe(
      true,
    );
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
