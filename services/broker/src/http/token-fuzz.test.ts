import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { READER } from "../testing/registered.ts";
import { exchange, GRANT, nothingMinted, opened, postToken, TYPE } from "../testing/token-form.ts";

const RUNS = 2000;
/** Whoever they are that send all this, no policy gives them anything. */
const NOBODY = `
@id("nobody")
permit (
  principal == Workload::"spiffe://acme.test/agent/nobody",
  action in Action::"credential",
  resource
);
`;

let bench: BrokerBench;
let subjects: readonly string[];
beforeAll(async () => {
  bench = await createBrokerBench();
  const sources = [{ name: "nobody.cedar", text: NOBODY }];
  const put = await bench.admin("PUT", "/v1/policies", { sources });
  if (put.status !== 200) throw new Error(put.text);
  const svid = bench.identities.svid("bot");
  const details = { type: "mayfly-task", goal: "x", deadline: "1h", idle_timeout: "1h" };
  const task = opened(await exchange(bench, svid, { details }));
  subjects = [svid, task.token, bench.identities.ci("r", "1"), bench.identities.oidc("a")];
});

const text = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.constantFrom("", "\u0000", "\ud800", "__proto__", "%", "🦟", "a".repeat(9000)),
);
const duration = fc.oneof(
  fc.constantFrom("15m", "60s", "1h", 900, "999999999d", "1e3s", "-1s", 1e308, -0, 0.1),
  fc.double(),
  text,
);
const anything = fc.oneof(fc.jsonValue({ maxDepth: 3 }), text, duration);
const orAnything = (usual: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 15, arbitrary: usual }, { weight: 1, arbitrary: anything });
/** Members that are not in the schema, or not beside these, now and then. */
const seldom = (members: Readonly<Record<string, fc.Arbitrary<unknown>>>) =>
  fc.oneof(
    { weight: 8, arbitrary: fc.constant({}) },
    { weight: 1, arbitrary: fc.record(members, { requiredKeys: [] }) },
  );
const beside = (one: fc.Arbitrary<object>, other: fc.Arbitrary<object>): fc.Arbitrary<object> =>
  fc.tuple(one, other).map(([first, second]) => ({ ...first, ...second }));
const someTask = fc.constantFrom(
  `task_${"0".repeat(12)}7${"0".repeat(3)}8${"0".repeat(15)}`,
  "task_",
  "lease_0199",
);

const credential = beside(
  fc.record(
    {
      role: orAnything(fc.constantFrom(READER, "orders-db/secret", "a/b", "orders-db/")),
      params: orAnything(
        fc.record({ groups: anything, connections: anything }, { requiredKeys: [] }),
      ),
      ttl: orAnything(fc.constantFrom("5m", 60)),
      issue: orAnything(fc.constantFrom("now", "later")),
    },
    { requiredKeys: ["role"] },
  ),
  seldom({ extra: anything, ttl: duration }),
);
/** The descriptor's own schema, each member sometimes wrong, and members that it does not have. */
const descriptor = beside(
  fc.record(
    {
      type: orAnything(fc.constant("mayfly-task")),
      version: orAnything(fc.constant(1)),
      goal: orAnything(fc.constant("Reconcile")),
      ref: orAnything(fc.constant("JIRA-1")),
      deadline: orAnything(fc.constantFrom("15m", 900)),
      idle_timeout: orAnything(fc.constant("60s")),
      initiator: orAnything(fc.constant("bob")),
      targets: orAnything(fc.array(fc.constantFrom("orders-db:x", "a:b"), { maxLength: 3 })),
      credentials: orAnything(fc.array(credential, { maxLength: 2 })),
    },
    { requiredKeys: ["type", "goal", "deadline"] },
  ),
  seldom({ task: someTask, parent: someTask, extra: anything, deadline: duration }),
);
const details = fc.oneof(
  { weight: 8, arbitrary: descriptor.map((one) => JSON.stringify([one])) },
  {
    weight: 1,
    arbitrary: fc.array(descriptor, { maxLength: 3 }).map((all) => JSON.stringify(all)),
  },
  { weight: 1, arbitrary: text },
);

const parameter = (name: string, value: fc.Arbitrary<string>) =>
  fc.tuple(fc.constant(name), fc.oneof({ weight: 20, arbitrary: value }, text));
/**
 * Each parameter of the endpoint, mostly as it should be, sometimes twice, sometimes not at
 * all.
 */
const form = fc
  .tuple(
    parameter("grant_type", fc.constant(GRANT)),
    parameter(
      "subject_token",
      fc.nat(3).map((n) => `\u0000${n}`),
    ),
    parameter(
      "subject_token_type",
      fc.constantFrom(`${TYPE}jwt`, `${TYPE}jwt`, `${TYPE}access_token`, `${TYPE}id_token`),
    ),
    parameter("authorization_details", details),
    fc.array(
      fc.oneof(
        parameter(
          "actor_token",
          fc.nat(3).map((n) => `\u0000${n}`),
        ),
        parameter("actor_token_type", fc.constant(`${TYPE}jwt`)),
        parameter("resource", fc.constant("https://mayfly.test")),
        parameter("scope", fc.constant("")),
        parameter("requested_token_type", fc.constant(`${TYPE}access_token`)),
        fc.tuple(text, text),
      ),
      { maxLength: 3 },
    ),
    fc.nat(40),
  )
  .map(([grant, token, type, task, more, dropped]) =>
    [grant, token, type, task, ...more].filter((_, n) => n !== dropped),
  );

/** What a broken or hostile client makes of a well-formed body. */
const damage = fc.oneof(
  { weight: 10, arbitrary: fc.constant((body: string) => body) },
  { weight: 1, arbitrary: fc.nat(400).map((n) => (body: string) => body.slice(0, n)) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.nat(400), fc.string({ unit: "binary", minLength: 1, maxLength: 3 })).map(
      ([n, bytes]) =>
        (body: string) =>
          body.slice(0, n) + bytes + body.slice(n),
    ),
  },
);
const badProof = fc.record({ dpop: fc.constantFrom("x.y.z", "", "e30.e30.e30, e30.e30.e30") });
const usualHeaders = fc.record(
  {
    "content-type": fc.constantFrom(
      "application/x-www-form-urlencoded",
      "application/x-www-form-urlencoded",
      "application/x-www-form-urlencoded; charset=utf-8",
      "application/x-www-form-urlencoded; charset=utf-7",
    ),
    "idempotency-key": fc.oneof(
      fc.constantFrom("k", "l", "m", "k,l", " "),
      fc.string({ maxLength: 300 }).map((key) => key.replaceAll(/[^\x20-\x7e]/g, "?")),
    ),
  },
  { requiredKeys: [] },
);
const authorization = fc.record({ authorization: fc.constantFrom("Bearer x", "Basic eDp5", "") });
/** Most proofs, and each Authorization, end the request at once, so few have one. */
const headers = fc
  .tuple(usualHeaders, fc.oneof({ weight: 9, arbitrary: fc.constant({}) }, badProof, authorization))
  .map(([usual, more]): Readonly<Record<string, string>> => ({ ...usual, ...more }));

const withTokens = (value: string): string =>
  value.startsWith("\u0000") && value.length === 2
    ? (subjects[Number(value.slice(1))] ?? value)
    : value;

describe("whatever is sent to the token endpoint", () => {
  it("is answered as OAuth says, without a word about the broker, and mints nothing", async () => {
    const statuses = new Map<number, number>();
    const codes = new Set<string>();
    await fc.assert(
      fc.asyncProperty(form, damage, headers, async (pairs, damaged, sent) => {
        const body = damaged(
          new URLSearchParams(pairs.map(([name, value]) => [name, withTokens(value)])).toString(),
        );
        const answer = await postToken(bench, body, sent);
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        const isUnasked = Object.hasOwn(sent, "authorization");
        expect(isUnasked ? [401, 413] : [200, 400, 409, 413]).toContain(answer.status);
        expect(answer.headers.get("cache-control")).toBe("no-store");
        expect(answer.headers.get("content-type")).toBe("application/json");
        expect(answer.text).not.toMatch(/node_modules|\.ts:\d|\bat .+:\d+:\d+/);
        if (answer.status === 200) return;
        expect(answer.text.length).toBeLessThan(4000);
        expect(answer.body).toMatchObject({
          error: expect.stringMatching(/^[a-z_]+$/) as unknown,
          error_description: expect.stringMatching(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/) as unknown,
        });
        codes.add(String(Reflect.get(Object(answer.body), "code")));
      }),
      { numRuns: RUNS },
    );
    expect(bench.log.messages("error")).toEqual([]);
    expect(nothingMinted(bench)).toBe(true);
    // Not all of it was turned away at the door: the generator reaches policy, and opens tasks.
    expect(statuses.get(200) ?? 0).toBeGreaterThan(0);
    const reached = ["denied", "invalid_task", "invalid_identity", "invalid_request"];
    for (const code of [...reached, "invalid_client"]) {
      expect([...codes]).toContain(code);
    }
  }, 120_000);
});
