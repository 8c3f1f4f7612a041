import {
  parseId,
  Secret,
  durationSeconds,
  type Claim,
  type OpenBackend,
  type Probe,
} from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { expect, test } from "vitest";
import { revokeClaim } from "./revoke-claim.ts";

const clock = createFakeClock();
const capabilities = {
  expiryEnforcedBy: "broker",
  revocation: "none",
  canRenew: false,
  canList: false,
  ttlSecondsMin: durationSeconds(1),
  ttlSecondsMax: durationSeconds(60),
  issueCallSecondsMax: durationSeconds(1),
  lateMint: "refused",
  credentialKind: "static-secret",
  standingSecret: true,
} as const;
const world = {
  failPoints: { reached: async () => undefined },
  marginSeconds: 1,
  retryBaseSeconds: 1,
};

const worked = (replaced: () => Promise<Probe>) =>
  revokeClaim(
    world,
    // All that is read of it before the backend answers.
    { leaseId: parseId("lease", "lease_0190a0a000007000800000000000a001", "id") } as Claim,
    Secret.of("handle"),
    { revocation: "none", replaced } as unknown as OpenBackend,
    capabilities,
    { clock, signal: new AbortController().signal, traceId: "" },
  );

test("the lease of a standing secret ends as absent, and never as revoked, once it was replaced", async () => {
  const looked = { secret: "replaced" };
  expect(await worked(async () => ({ verdict: "refused", looked }))).toEqual({
    kind: "ended",
    outcome: "absent",
    looked,
  });
  const accepted = await worked(async () => ({ verdict: "accepted", looked: { secret: "same" } }));
  expect(accepted).toEqual({ kind: "not_replaced" });
});
