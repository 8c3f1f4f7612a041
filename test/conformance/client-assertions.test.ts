import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestSigningKey, signCompact } from "@mayfly/testkit";
import {
  accepted,
  startInstallation,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";

/** `private_key_jwt` at two brokers over one ledger: each assertion counts once, at both. */
let mayfly: Installation;
let first: RunningBroker;
let second: RunningBroker;
beforeAll(async () => {
  mayfly = await startInstallation();
  first = await mayfly.startBroker();
  second = await mayfly.startBroker();
  await mayfly.register(first);
  const config = {
    issuer: CLIENT,
    client: true,
    one_time_tokens: true,
    algorithms: ["ES256"],
    jwks: { keys: [key.publicJwk] },
  };
  accepted(await first.api.admin("PUT", "/v1/trust/batch", { kind: "oidc", config }), "the client");
});
afterAll(() => mayfly[Symbol.asyncDispose]());

const CLIENT = "https://batch.system.test";
const key = createTestSigningKey("batch-1");
/** No credential: nothing but the client and its assertion is looked at. */
const DETAILS = JSON.stringify([
  { type: "mayfly-task", goal: "Close the books", deadline: "5m", credentials: [] },
]);
const BUSY_MAX = 20;
/** RFC 7523 section 3.2: so is an assertion that does not count, whatever is the matter with it. */
const USED = { status: 401, error: "invalid_client", code: "assertion_replayed" };

function assertion(): string {
  const now = Math.floor(Date.now() / 1000);
  return signCompact(
    key,
    { alg: "ES256", kid: key.kid, typ: "client-authentication+jwt" },
    { iss: CLIENT, sub: CLIENT, aud: mayfly.issuer, iat: now, exp: now + 240, jti: randomUUID() },
  );
}

type Members = Readonly<Record<string, string>>;
interface Outcome extends Readonly<Record<string, unknown>> {
  readonly status: number;
}

async function post({ api }: RunningBroker, path: string, members: Members): Promise<Outcome> {
  const type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
  const body = new URLSearchParams({ client_assertion_type: type, ...members });
  const response = await fetch(`${api.url}${path}`, { method: "POST", body });
  const answer = (await response.json()) as Readonly<Record<string, unknown>>;
  return { ...answer, status: response.status };
}

/** A busy machine may have the ledger late: that is 503, and says nothing of the assertion. */
async function open(broker: RunningBroker, client_assertion: string): Promise<Outcome> {
  const members = {
    grant_type: "client_credentials",
    authorization_details: DETAILS,
    client_assertion,
  };
  for (let left = BUSY_MAX; left > 0; left -= 1) {
    const outcome = await post(broker, "/token", members);
    if (outcome.status !== 503) return outcome;
  }
  throw new Error(`the broker was busy ${BUSY_MAX} times in a row`);
}

async function tasksOfClient(): Promise<number> {
  const [row] = await mayfly.ledger<{ count: number }[]>`
    SELECT count(*)::int AS count FROM mayfly.tasks WHERE workload ->> 'subject' = ${CLIENT}`;
  return row?.count ?? -1;
}

test("an assertion that one broker took is refused by the other, at each endpoint", async () => {
  const before = await tasksOfClient();
  const once = assertion();
  const opened = await open(first, once);
  expect(opened.status).toBe(200);
  expect(await open(second, once)).toMatchObject(USED);
  expect(await open(first, once)).toMatchObject(USED);
  expect(await tasksOfClient()).toBe(before + 1);
  const token = String(opened["access_token"]);
  const again = await post(second, "/introspect", { token, client_assertion: once });
  expect(again).toMatchObject(USED);
  // It is the replay alone that is refused there: what is fresh is taken, and is used up at both.
  const fresh = assertion();
  const looked = await post(second, "/introspect", { token, client_assertion: fresh });
  expect(looked).toMatchObject({ status: 200, active: true });
  expect(await open(first, fresh)).toMatchObject(USED);
});

test("an assertion that is sent to both at once opens one task", async () => {
  const before = await tasksOfClient();
  const once = assertion();
  const sent = [first, second, first, second, first, second];
  const outcomes = await Promise.all(sent.map((broker) => open(broker, once)));
  const refused = outcomes.filter(({ status }) => status !== 200);
  expect(refused).toHaveLength(sent.length - 1);
  for (const outcome of refused) expect(outcome).toMatchObject(USED);
  expect(await tasksOfClient()).toBe(before + 1);
});
