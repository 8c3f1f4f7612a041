import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  accepted,
  listAt,
  READER,
  startInstallation,
  textAt,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";

/**
 * A secret that exists already, behind real processes, and a policy that permits everything to
 * every agent: that is no acceptance of what such a secret risks.
 */
const ROLE = "vendor-key/reports";
const secret = randomBytes(16).toString("hex");
const ACCEPTED = `
@id("bee-gets-the-vendor-key") @accepts("secret_outlives_the_lease")
permit (principal, action == Action::"issue", resource == Role::"${ROLE}");
`;

let mayfly: Installation;
let broker: RunningBroker;
beforeAll(async () => {
  mayfly = await startInstallation();
  broker = await mayfly.startBroker();
  await mayfly.startWorker();
  await mayfly.register(broker);
  await put("/v1/backends/vendor-key", { type: "static", config: { secret } });
  await put(`/v1/roles/${ROLE}`, {
    description: "The vendor's key",
    hands_out_a_secret_that_cannot_be_revoked: true,
    ttl_max: "10m",
    data_class: "confidential",
    reversibility: "irreversible",
    environment: "test",
  });
});
afterAll(() => mayfly?.[Symbol.asyncDispose]());

async function put(path: string, body: object): Promise<void> {
  accepted(await broker.api.admin("PUT", path, body), path);
}
const open = (roles: readonly string[]): Promise<Reply> =>
  broker.api.exchange({
    subject: mayfly.svid("worker-bee"),
    details: {
      type: "mayfly-task",
      goal: "ask for a report",
      deadline: "10m",
      credentials: roles.map((role) => ({ role, ttl: "5m" })),
    },
  });
const leases = (): Promise<{ role: string }[]> =>
  mayfly.ledger<{ role: string }[]>`SELECT role FROM mayfly.leases ORDER BY role`;

function isRefused({ status, text, body }: Reply): void {
  expect(status, text).toBe(400);
  expect(body).toMatchObject({ error: "access_denied", code: "denied" });
  expect(text).not.toContain(secret);
  for (const given of ["credentials", "access_token", "task"]) {
    expect(body).not.toHaveProperty(given);
  }
}

test("a permit of everything hands out no static secret, nor what was asked for beside it", async () => {
  for (const roles of [[ROLE], [READER, ROLE]]) {
    const refused = await open(roles);
    isRefused(refused);
    const path = `/v1/decisions/${textAt(refused, "decision")}`;
    const explained = await broker.api.admin("GET", path);
    expect(explained.text).toContain('@accepts(\\"secret_outlives_the_lease\\")');
  }
  expect(await leases()).toEqual([]);
  // The same permit is enough for what can be revoked.
  const reader = await open([READER]);
  expect(reader.status, reader.text).toBe(200);
  const before = listAt(await broker.api.admin("GET", "/v1/policies"), "sources");
  const sources = [...before, { name: "static.cedar", text: ACCEPTED }];
  await put("/v1/policies", { sources });
  const given = await open([ROLE]);
  expect(textAt(given, "credentials", 0, "data", "secret")).toBe(secret);
  await put("/v1/policies", { sources: before });
  isRefused(await open([ROLE]));
  expect(await leases()).toEqual([{ role: READER }, { role: ROLE }]);
});
