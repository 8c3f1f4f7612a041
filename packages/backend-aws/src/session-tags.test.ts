import { instantMs, parseInstallationId, type CredentialHolder } from "@mayfly/spec";
import { freshLeaseId } from "@mayfly/testkit/contract";
import { expect, test } from "vitest";
import { awsBackend } from "./aws-backend.ts";

const role = awsBackend.parseRole({
  iam_roles: ["reader"],
  statements: [{ actions: ["s3:GetObject"], resources: ["*"] }],
});
const grantOf = (holder: Pick<CredentialHolder, "subject" | "actors">) =>
  awsBackend.plan({
    installation: parseInstallationId("testaaaa", "installation"),
    leaseId: freshLeaseId(),
    expiresAt: instantMs(0),
    role,
    params: awsBackend.parseParams({}),
    holder: { ...holder, confirmation: null },
  }).grant;

test("the workload's tag is whoever acts, and whom it acts for has one of their own", () => {
  const agent = "spiffe://example.test/agent";
  expect(grantOf({ subject: agent, actors: [] })).toMatchObject({ workload: agent });
  expect(grantOf({ subject: agent, actors: [] })).not.toHaveProperty("subject");
  expect(grantOf({ subject: "alice@example.test", actors: [agent, "other"] })).toMatchObject({
    workload: agent,
    subject: "alice@example.test",
  });
});
