import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiOutcome, OutboundApis } from "@mayfly/spec";
import { createFakeClock, createRecordingLog, createTestBackendHost } from "@mayfly/testkit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { accountSettings } from "./account-settings.ts";
import { closeLane, createLane } from "./lane.ts";
import { createTransport } from "./transport.ts";

const ROLE_ARN = "arn:aws:iam::123456789012:role/mayfly";
const clock = createFakeClock();
const call = { clock, signal: new AbortController().signal, traceId: "" };
const random = { bytes: (count: number) => new Uint8Array(count) };

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-aws-"));
  await writeFile(join(folder, "token"), "a.token.of-oidc");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const answer = (text: string): ApiOutcome => ({ kind: "answer", status: 200, headers: {}, text });
const TAKEN = answer(`<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>
  <Credentials><AccessKeyId>ASIAASIAASIAASIA</AccessKeyId><SecretAccessKey>key</SecretAccessKey>
  <SessionToken>token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`);
const LISTED = answer(`<ListRolePoliciesResponse><ListRolePoliciesResult>
  <IsTruncated>false</IsTruncated><PolicyNames><member>theirs</member></PolicyNames>
</ListRolePoliciesResult></ListRolePoliciesResponse>`);

/** Both services' addresses are AWS's own, which no test may ask. */
function recordingApis(): { readonly sent: string[]; readonly apis: OutboundApis } {
  const sent: string[] = [];
  return {
    sent,
    apis: {
      open: ({ origin }) => ({
        send: async ({ body }) => {
          const action = new URLSearchParams(body ?? "").get("Action");
          sent.push(`${origin} ${action}`);
          return action === "AssumeRoleWithWebIdentity" ? TAKEN : LISTED;
        },
        close: async () => undefined,
      }),
    },
  };
}

test("what the SDK's own chain asks of STS goes to STS, though it was IAM that needed keys", async () => {
  vi.stubEnv("AWS_ACCESS_KEY_ID", undefined);
  vi.stubEnv("AWS_PROFILE", undefined);
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  vi.stubEnv("AWS_WEB_IDENTITY_TOKEN_FILE", join(folder, "token"));
  vi.stubEnv("AWS_ROLE_ARN", ROLE_ARN);
  const { sent, apis } = recordingApis();
  const settings = accountSettings.parse({ account_id: "123456789012", region: "eu-central-1" });
  const host = createTestBackendHost({ clock, random, log: createRecordingLog(), apis });
  const lane = createLane(settings, host, call.signal);
  const aws = await lane.api();
  const { PolicyNames } = await aws.listRolePolicies({ RoleName: "reader" }, call);
  await closeLane(lane);
  expect(PolicyNames).toEqual(["theirs"]);
  expect(sent).toEqual([
    "https://sts.eu-central-1.amazonaws.com AssumeRoleWithWebIdentity",
    "https://iam.amazonaws.com ListRolePolicies",
  ]);
});

test("what is for another address than the settings name is not sent", async () => {
  const { sent, apis } = recordingApis();
  const address = { origin: "https://iam.amazonaws.com", region: "us-east-1", tls: false } as const;
  const { handler } = createTransport({ apis, clock }, address, { slots: 1, seconds: 1 });
  const request = {
    method: "POST",
    hostname: "sts.eu-central-1.amazonaws.com",
    path: "/",
    query: {},
    headers: {},
    body: "Action=AssumeRoleWithWebIdentity&WebIdentityToken=secret",
  };
  await expect(handler.handle(request)).rejects.toMatchObject({ kind: "not_sent" });
  expect(sent).toEqual([]);
  await handler.handle({ ...request, hostname: "iam.amazonaws.com" });
  expect(sent).toHaveLength(1);
});
