import { beforeEach, describe, expect, it } from "vitest";
import { createBrokerBench, type Answer, type BrokerBench } from "../testing/broker-bench.ts";
import { createRegisteredClient, type RegisteredClient } from "../testing/registered-client.ts";
import { READER } from "../testing/registered.ts";
import { OIDC_ISSUER } from "../testing/test-identities.ts";
import {
  at,
  exchange,
  opened,
  postToken,
  readerTask,
  tokenForm,
  TYPE,
} from "../testing/token-form.ts";

/** A client's assertion that counts once, beside each other proof that an exchange may hold. */

let bench: BrokerBench;
let client: RegisteredClient;
beforeEach(async () => {
  bench = await createBrokerBench();
  client = createRegisteredClient(bench);
  await client.register();
});

type Change = Readonly<Record<string, string | null>>;
const asClient = (subject: string, assertion: string, change: Change = {}): Promise<Answer> =>
  postToken(bench, tokenForm(subject, { ...client.form(assertion), ...change }));
const asItself = (assertion: string): Promise<Answer> =>
  asClient("", assertion, {
    grant_type: "client_credentials",
    subject_token: null,
    subject_token_type: null,
  });
const refusal = (answer: Answer) => [answer.status, at(answer, "error"), at(answer, "where")];
const isReplay = (answer: Answer): boolean => at(answer, "code") === "assertion_replayed";
const tasks = () => bench.ledger.inspect.tasks();

/** Whether nothing has used it yet: which this does. */
const wasUnused = async (assertion: string): Promise<boolean> =>
  (await asItself(assertion)).status === 200;

async function letPeopleComeOnce(): Promise<(name: string, jti: string) => string> {
  const { oidcKey } = bench.identities;
  const put = await bench.admin("PUT", "/v1/trust/login", {
    kind: "oidc",
    config: {
      issuer: OIDC_ISSUER,
      jwks: { keys: [oidcKey.publicJwk] },
      initiators: true,
      one_time_tokens: true,
    },
  });
  expect(put.status).toBe(200);
  return (name, jti) => bench.identities.oidc(name, { claims: { jti } });
}

describe("an assertion beside a subject token", () => {
  it("of a person is used up, and sent again refused, though the person's token may be", async () => {
    const alice = bench.identities.oidc("alice");
    const once = client.assertion();
    opened(await asClient(alice, once));
    expect(tasks()[0]?.workload.subject).toBe(client.clientId);
    expect(tasks()[0]?.verifiedInitiator).toBe(`${OIDC_ISSUER}#alice`);
    expect(isReplay(await asClient(alice, once))).toBe(true);
    expect(isReplay(await asItself(once))).toBe(true);
    opened(await asClient(alice, client.assertion()));
    expect(tasks()).toHaveLength(2);
  });

  it("that counts once too is refused, since one exchange records one, and uses up neither", async () => {
    const person = await letPeopleComeOnce();
    const [alice, assertion] = [person("alice", "j1"), client.assertion()];
    expect(refusal(await asClient(alice, assertion))).toEqual([
      400,
      "invalid_request",
      "actor_token",
    ]);
    expect(tasks()).toEqual([]);
    expect(await wasUnused(assertion)).toBe(true);
    const svid = { actor_token: bench.identities.svid("bot"), actor_token_type: `${TYPE}jwt` };
    const form = tokenForm(alice, svid);
    opened(await postToken(bench, form));
    // Of a subject token it is what RFC 8693 says of one that does not count.
    const again = await postToken(bench, form);
    expect([again.status, at(again, "error"), at(again, "code")]).toEqual([
      400,
      "invalid_request",
      "replayed",
    ]);
  });

  it("that fails is not used up by it", async () => {
    const assertion = client.assertion();
    expect(refusal(await asClient("a.b.c", assertion))).toEqual([
      400,
      "invalid_request",
      "subject_token",
    ]);
    expect(await wasUnused(assertion)).toBe(true);
  });

  it("that is a parent's task token opens a child by it once", async () => {
    const parent = opened(await exchange(bench, bench.identities.svid("bot")));
    const details = readerTask({
      parent: parent.id,
      deadline: "5m",
      credentials: [{ role: READER }],
    });
    const assertion = client.assertion();
    const child = (): Promise<Answer> =>
      asClient(parent.token, assertion, {
        subject_token_type: `${TYPE}access_token`,
        authorization_details: JSON.stringify([details]),
      });
    opened(await child());
    expect(tasks().at(-1)?.workload.subject).toBe(client.clientId);
    expect(isReplay(await child())).toBe(true);
    expect(tasks()).toHaveLength(2);
  });
});

describe("an assertion beside an actor token", () => {
  const actor = (token: string): Change => ({
    actor_token: token,
    actor_token_type: `${TYPE}jwt`,
  });

  it("of somebody else is refused, and not used up", async () => {
    const alice = bench.identities.oidc("alice");
    const assertion = client.assertion();
    const answer = await asClient(alice, assertion, actor(bench.identities.svid("bot")));
    expect(refusal(answer)).toEqual([400, "invalid_request", "actor_token"]);
    expect(tasks()).toEqual([]);
    expect(await wasUnused(assertion)).toBe(true);
  });

  it("that is an assertion itself is refused: it proves an identity nowhere else", async () => {
    const assertion = client.assertion();
    const answer = await asClient(
      bench.identities.oidc("alice"),
      assertion,
      actor(client.assertion()),
    );
    expect(refusal(answer)).toEqual([400, "invalid_request", "actor_token"]);
    expect(await wasUnused(assertion)).toBe(true);
  });
});
