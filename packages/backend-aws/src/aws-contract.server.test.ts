import { requireOrExplain } from "@mayfly/embedded";
import { describeBackendContract, type BackendContractSubject } from "@mayfly/testkit/contract";
import { describe } from "vitest";
import { awsBackend } from "./aws-backend.ts";
import { startAwsUpstream } from "./testing/aws-upstream.ts";

const program = await requireOrExplain("moto");
const canary = 'canary-of-the-broker\'s "own" key';
const keys = { kind: "keys", access_key_id: "AKIAIOSFODNN7EXAMPLE", secret_access_key: canary };
const config = { account_id: "123456789012", region: "eu-central-1", credentials: keys };
const allow = { actions: ["s3:Get*", "s3:ListBucket"], resources: ["arn:aws:s3:::orders*"] };
const inVpc = { StringEquals: { "aws:SourceVpc": ["vpc-1", "vpc-2"] } };
const role = {
  iam_roles: ["agents/reader-1", "reader-2"],
  statements: [allow, { ...allow, actions: ["sqs:*"], resources: ["*"], conditions: inVpc }],
  tags: { team: "orders" },
  external_id: "mayfly",
};
const asking = (...statements: object[]): object => ({ statements });
const queues = { actions: ["sqs:SendMessage"], resources: ["arn:aws:sqs:eu-central-1:1:a"] };

const inputs: BackendContractSubject["inputs"] = {
  config: {
    valid: [
      {
        ...config,
        chain: [
          { role_arn: "arn:aws:iam::210987654321:role/hub", external_id: "mayfly" },
          { role_arn: "arn:aws:iam::123456789012:role/mayfly" },
        ],
        session_seconds_max: 900,
        deny_characters: 5_000,
        propagation_seconds: 60,
        unsafe_propagation_seconds: 1,
        endpoints: { sts: "https://sts.test:8443", iam: "https://iam.test" },
        call_seconds_max: 3,
      },
      { account_id: "123456789012", region: "cn-north-1" },
      {
        ...config,
        credentials: {
          ...keys,
          previous: {
            access_key_id: keys.access_key_id,
            secret_access_key: canary,
            rotation_began_at: "2026-11-30T00:00:00.000Z",
          },
        },
      },
      {
        ...config,
        credentials: {
          kind: "web_identity",
          role_arn: "arn:aws:iam::123456789012:role/mayfly",
          token_file: "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
        },
      },
    ],
    bad: [
      { input: { ...config, account_id: "12345" }, names: "config.account_id" },
      { input: { ...config, region: "moon-1" }, names: "config.region" },
      { input: { ...config, credentials: { kind: "keys" } }, names: "config.credentials" },
      { input: { ...config, credentials: { kind: "sso" } }, names: "config.credentials" },
      ...["/proc/self/environ", "/run/secrets/sealing-keys", "/var/run/secrets/sealing-keys"].map(
        (token_file) => {
          const role_arn = "arn:aws:iam::123456789012:role/mayfly";
          const credentials = { kind: "web_identity", role_arn, token_file };
          return { input: { ...config, credentials }, names: "config.credentials.token_file" };
        },
      ),
      {
        input: { ...config, chain: [{ role_arn: "arn:aws-cn:iam::123456789012:role/x" }] },
        names: "config.chain[0].role_arn",
      },
      {
        input: { ...config, chain: [{ role_arn: "arn:aws:iam::999999999999:role/x" }] },
        names: "config.chain[0].role_arn",
      },
      { input: { ...config, session_seconds_max: 60 }, names: "config.session_seconds_max" },
      { input: { ...config, propagation_seconds: 5 }, names: "config.propagation_seconds" },
      { input: { ...config, deny_characters: 20_000 }, names: "config.deny_characters" },
      { input: { ...config, endpoints: { sts: "http://a" } }, names: "config.endpoints.sts" },
      { input: { ...config, endpoints: { sts: "https://a/b" } }, names: "config.endpoints.sts" },
      { input: { ...config, tls: "unsafe_disable" }, names: "config.tls" },
      { input: { ...config, ca: "no certificate" }, names: "config.ca" },
    ],
    secrets: [canary.slice(0, 20)],
  },
  role: {
    valid: [role, { iam_roles: ["reader"], statements: [{ actions: ["*"], resources: ["*"] }] }],
    bad: [
      { input: { ...role, iam_roles: [] }, names: "role.iam_roles" },
      { input: { ...role, iam_roles: ["a/x", "b/x"] }, names: "role.iam_roles" },
      { input: { ...role, iam_roles: ["a b"] }, names: "role.iam_roles[0]" },
      { input: { ...role, statements: [] }, names: "role.statements" },
      {
        input: { ...role, statements: [{ ...allow, actions: ["Get*"] }] },
        names: "role.statements[0].actions[0]",
      },
      {
        input: { ...role, statements: [{ ...allow, resources: ["arn:aws:s3:::${aws:x}"] }] },
        names: "role.statements[0].resources[0]",
      },
      {
        input: { ...role, statements: [{ ...allow, NotAction: [] }] },
        names: "role.statements[0].NotAction",
      },
      {
        input: { ...role, statements: [{ ...allow, conditions: { Equals: { "a:b": ["c"] } } }] },
        names: "role.statements[0].conditions",
      },
      {
        input: {
          ...role,
          statements: [
            {
              ...allow,
              resources: Array.from({ length: 9 }, (_, nth) =>
                `arn:aws:s3:::${nth}`.padEnd(950, "x"),
              ),
            },
          ],
        },
        names: "role.statements",
      },
      { input: { ...role, tags: { "mayfly:task": "x" } }, names: "role.tags" },
    ],
  },
  params: {
    valid: [asking(queues, allow), {}],
    bad: [
      { input: asking(), names: "params.statements" },
      { input: { tags: {} }, names: "params.tags" },
    ],
  },
  narrowing: {
    role,
    wide: {},
    narrow: asking(
      { actions: ["s3:GetObject"], resources: ["arn:aws:s3:::orders/2026/*"] },
      { ...queues, conditions: { StringEquals: { "aws:sourcevpc": ["vpc-1"] } } },
    ),
    tooWide: [
      asking({ ...allow, actions: ["s3:*"] }),
      asking({ ...allow, actions: ["s3:PutObject"] }),
      asking({ ...allow, resources: ["*"] }),
      asking({ ...allow, resources: ["arn:aws:s3:::order*"] }),
      asking(allow, { ...queues, actions: ["sns:Publish"] }),
      asking({ ...queues, conditions: { StringEquals: { "aws:SourceVpc": ["vpc-3"] } } }),
      asking({ ...allow, actions: ["s3:GetObject", "sqs:SendMessage"] }),
      // Within the role, and more than AWS takes as a session policy.
      asking({
        ...allow,
        resources: Array.from({ length: 3 }, (_, nth) =>
          `arn:aws:s3:::orders${nth}`.padEnd(900, "x"),
        ),
      }),
    ],
  },
};

describe.runIf(program !== undefined)("on moto", () => {
  describeBackendContract({
    name: "AWS",
    backend: awsBackend,
    inputs,
    // Nothing listens on port 1 (tcpmux).
    unreachableConfig: {
      ...config,
      endpoints: { sts: "http://127.0.0.1:1", iam: "http://127.0.0.1:1" },
      tls: "unsafe_disable",
    },
    protocol: "http",
    start: () => startAwsUpstream(),
  });
});
