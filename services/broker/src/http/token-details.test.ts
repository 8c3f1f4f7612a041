import { beforeAll, describe, expect, it } from "vitest";
import { createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { BACKEND_PASSWORD, READER } from "../testing/registered.ts";
import {
  at,
  exchange,
  exchangeTaskToken,
  nothingMinted,
  opened,
  postToken,
  readerTask,
  textAt,
  tokenForm,
} from "../testing/token-form.ts";

let bench: BrokerBench;
let svid: string;
beforeAll(async () => {
  bench = await createBrokerBench();
  svid = bench.identities.svid("bot");
});

const instantOf = ({ clock }: BrokerBench, seconds: number): string =>
  new Date(clock.now() + seconds * 1000).toISOString();
const task = (change: Readonly<Record<string, unknown>>): string =>
  JSON.stringify([readerTask(change)]);
const credential = (change: Readonly<Record<string, unknown>>): string =>
  task({ credentials: [{ role: READER, ...change }] });

/** What is sent, and the place that the answer names. */
const REFUSED: readonly (readonly [what: string, details: string, where: string])[] = [
  ["no JSON", "task", "authorization_details"],
  ["an object instead of an array", JSON.stringify(readerTask()), "authorization_details"],
  ["an empty array", "[]", "authorization_details"],
  ["two objects", `[${task({}).slice(1, -1)},${task({}).slice(1)}`, "authorization_details"],
  ["an array in the array", "[[]]", "authorization_details[0]"],
  ["null in the array", "[null]", "authorization_details[0]"],
  ["a repeated member", '[{"type":"mayfly-task","type":"mayfly-task"}]', "authorization_details"],
  ["a member repeated by an escape", '[{"goal":"a","go\\u0061l":"b"}]', "authorization_details"],
  ["nine levels", `[${'{"a":'.repeat(9)}1${"}".repeat(9)}]`, "authorization_details"],
  ["a lone surrogate", '[{"goal":"\\ud800"}]', "authorization_details"],
  ["an integer that no double holds", "[9007199254740993]", "authorization_details"],
  ["a member that copies lose", '[{"__proto__":{"goal":"x"}}]', "authorization_details"],
  ["a trailing comma", "[{},]", "authorization_details"],
  ["a comment", "[{}/**/]", "authorization_details"],
  ["no type", task({ type: undefined }), "authorization_details[0].type"],
  ["another type", task({ type: "payment_initiation" }), "authorization_details[0].type"],
  ["an unknown version", task({ version: 2 }), "authorization_details[0].version"],
  ["an unknown member", task({ environment: "prod" }), "authorization_details[0].environment"],
  ["no goal", task({ goal: undefined }), "authorization_details[0].goal"],
  ["an empty goal", task({ goal: "" }), "authorization_details[0].goal"],
  ["a goal that drives a terminal", task({ goal: "\u001b[2J" }), "authorization_details[0].goal"],
  ["a goal that is a number", task({ goal: 7 }), "authorization_details[0].goal"],
  ["no deadline", task({ deadline: undefined }), "authorization_details[0].deadline"],
  ["a deadline in no unit", task({ deadline: "15" }), "authorization_details[0].deadline"],
  ["a deadline of nothing", task({ deadline: 0 }), "authorization_details[0].deadline"],
  ["a deadline before now", task({ deadline: -1 }), "authorization_details[0].deadline"],
  ["a deadline in fractions", task({ deadline: 0.5 }), "authorization_details[0].deadline"],
  ["a deadline past the limit", task({ deadline: "366d" }), "authorization_details[0].deadline"],
  [
    "a target without a backend",
    task({ targets: ["orders"] }),
    "authorization_details[0].targets[0]",
  ],
  ["targets that are no list", task({ targets: "x:y" }), "authorization_details[0].targets"],
  [
    "credentials that are no list",
    task({ credentials: {} }),
    "authorization_details[0].credentials",
  ],
  [
    "17 credentials",
    task({ credentials: Array.from({ length: 17 }, () => ({ role: READER })) }),
    "authorization_details[0].credentials",
  ],
  [
    "a credential without a role",
    task({ credentials: [{}] }),
    "authorization_details[0].credentials[0].role",
  ],
  [
    "a role without a backend",
    credential({ role: "reader" }),
    "authorization_details[0].credentials[0].role",
  ],
  [
    "a role climbing paths",
    credential({ role: "../x/y" }),
    "authorization_details[0].credentials[0].role",
  ],
  [
    "an unknown member of a credential",
    credential({ scope: "x" }),
    "authorization_details[0].credentials[0].scope",
  ],
  [
    "issue in other words",
    credential({ issue: "soon" }),
    "authorization_details[0].credentials[0].issue",
  ],
  ["a life of nothing", credential({ ttl: 0 }), "authorization_details[0].credentials[0].ttl"],
  [
    "a parameter that copies lose",
    credential({}).replace('{"role"', '{"params":{"__proto__":{}},"role"'),
    "authorization_details",
  ],
  [
    "params that are no object",
    credential({ params: [] }),
    "authorization_details[0].credentials[0].params",
  ],
  [
    "an unknown parameter",
    credential({ params: { superuser: true } }),
    "authorization_details[0].credentials[0].params.superuser",
  ],
  [
    "a parameter wider than the role",
    credential({ params: { groups: ["app_owner"] } }),
    "authorization_details[0].credentials[0].params.groups",
  ],
  ["a parent that is no id", task({ parent: "task_1" }), "authorization_details[0].parent"],
  [
    "a parent without its token",
    task({ parent: `task_${"0".repeat(12)}7${"0".repeat(3)}8${"0".repeat(15)}` }),
    "authorization_details[0].parent",
  ],
];

describe("authorization_details", () => {
  it.each(REFUSED)(
    "with %s is invalid_authorization_details, at its place",
    async (_what, text, where) => {
      const answer = await postToken(bench, tokenForm(svid, { authorization_details: text }));
      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({ error: "invalid_authorization_details", where });
      expect(textAt(answer, "error_description")).toContain(where.split(".")[0]);
      expect(answer.text.length).toBeLessThan(1200);
    },
  );
  it("that were refused minted nothing", () => {
    expect(nothingMinted(bench)).toBe(true);
  });
  it("with a member of a hostile name repeats it neither raw nor whole", async () => {
    const name = `\u001b[31m"\\${"x".repeat(5000)}`;
    const answer = await exchange(bench, svid, { details: readerTask({ [name]: 1 }) });
    expect(answer.body).toMatchObject({ error: "invalid_authorization_details" });
    expect(answer.text).not.toContain("\u001b");
    expect(answer.text.length).toBeLessThan(1200);
    expect(textAt(answer, "error_description")).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/);
  });
  it.each(["hasOwnProperty", "constructor", "toString"])(
    "takes %s for no known member",
    async (name) => {
      const text = task({}).replace('{"type"', `{"${name}":{"role":"x"},"type"`);
      const answer = await postToken(bench, tokenForm(svid, { authorization_details: text }));
      expect(answer.body).toMatchObject({
        error: "invalid_authorization_details",
        where: `authorization_details[0].${name}`,
      });
    },
  );

  it("come back as granted, with the task's id and normal forms, and without a secret", async () => {
    const own = await createBrokerBench();
    const details = readerTask({
      ref: "JIRA-4711",
      targets: ["orders-db:invoices", "orders-db:customers", "orders-db:invoices"],
      credentials: [{ role: READER, params: { groups: ["app_reader"] }, ttl: "10m" }],
    });
    const answer = await exchange(own, own.identities.svid("bot"), { details });
    const { id } = opened(answer);
    expect(at(answer, "authorization_details")).toEqual([
      {
        type: "mayfly-task",
        version: 1,
        task: id,
        goal: "Reconcile the October invoices",
        ref: "JIRA-4711",
        deadline: 900,
        idle_timeout: 60,
        targets: ["orders-db:customers", "orders-db:invoices"],
        credentials: [{ role: READER, params: { groups: ["app_reader"] }, ttl: 600, issue: "now" }],
      },
    ]);
    const password = textAt(answer, "credentials", 0, "data", "password");
    const [, claims] = textAt(answer, "access_token").split(".");
    const inToken = Buffer.from(claims ?? "", "base64url").toString("utf8");
    expect(inToken).toContain(id);
    for (const text of [JSON.stringify(at(answer, "authorization_details")), inToken]) {
      expect(text).not.toContain(password);
      expect(text).not.toContain(BACKEND_PASSWORD);
    }
    expect(inToken).not.toContain("Reconcile");
  });

  it("come back with the ttl that the role's ceiling leaves, in each later reply too", async () => {
    // The role's is half an hour.
    const own = await createBrokerBench();
    const reader = { role: READER, params: {}, ttl: "1h" };
    const answer = await exchange(own, own.identities.svid("bot"), {
      details: readerTask({ deadline: "2h", credentials: [reader, { ...reader, issue: "later" }] }),
    });
    const { id, token } = opened(answer);
    const granted = [
      { role: READER, params: {}, ttl: 1800, issue: "now" },
      { role: READER, params: {}, ttl: 1800, issue: "later" },
    ];
    expect(at(answer, "authorization_details", 0, "credentials")).toEqual(granted);
    expect(textAt(answer, "credentials", 0, "expires_at")).toBe(instantOf(own, 1800));
    const drawn = await exchangeTaskToken(own, token, {
      details: { type: "mayfly-task", task: id, credentials: [reader] },
    });
    expect(at(drawn, "authorization_details", 0, "credentials")).toEqual(granted);
    expect(textAt(drawn, "credentials", 0, "expires_at")).toBe(instantOf(own, 1800));
    // What renewals count against is what was declared; for how long it is granted, the lease says.
    const [task] = own.ledger.inspect.tasks();
    expect(task?.descriptor.credentials.map(({ ttlSeconds }) => ttlSeconds)).toEqual([3600, 3600]);
    const leases = own.ledger.inspect.leases().map(({ plan }) => plan.expiresAt);
    expect(leases).toEqual([1800, 1800].map((seconds) => own.clock.now() + seconds * 1000));
  });

  it("come back with the deadline that the task above it leaves, and no ttl beyond it", async () => {
    const own = await createBrokerBench();
    const later = { role: READER, ttl: "15m", issue: "later" };
    const parent = opened(
      await exchange(own, own.identities.svid("bot"), {
        details: readerTask({ deadline: "15m", credentials: [later] }),
      }),
    );
    await own.clock.advance(60_000);
    const details = readerTask({ parent: parent.id, deadline: "15m", credentials: [later] });
    const child = await exchangeTaskToken(own, parent.token, { details });
    expect(at(child, "task", "deadline")).toBe(instantOf(own, 840));
    expect(at(child, "authorization_details", 0)).toMatchObject({
      deadline: 840,
      credentials: [{ role: READER, ttl: 840 }],
    });
  });

  it("come back narrowed to what the parent declared, in each later reply too", async () => {
    const own = await createBrokerBench();
    const groups = { groups: ["app_reader"] };
    const parent = opened(
      await exchange(own, own.identities.svid("bot"), {
        details: readerTask({
          credentials: [{ role: READER, params: groups, ttl: "10m", issue: "later" }],
        }),
      }),
    );
    const asked = { role: READER, params: groups, ttl: "14m" };
    const child = await exchangeTaskToken(own, parent.token, {
      details: readerTask({ parent: parent.id, credentials: [asked] }),
    });
    const { id, token } = opened(child);
    expect(at(child, "authorization_details", 0, "credentials")).toEqual([
      { role: READER, params: groups, ttl: 600, issue: "now" },
    ]);
    expect(textAt(child, "credentials", 0, "expires_at")).toBe(instantOf(own, 600));
    // What was narrowed is on record, and not of this one reply alone.
    await own.clock.advance(60_000);
    const drawn = await exchangeTaskToken(own, token, {
      details: {
        type: "mayfly-task",
        task: id,
        credentials: [{ role: READER, params: groups, ttl: "13m" }],
      },
    });
    expect(at(drawn, "authorization_details", 0, "credentials", 0, "ttl")).toBe(600);
    expect(textAt(drawn, "credentials", 0, "expires_at")).toBe(instantOf(own, 600));
    const introspected = await own.call("POST", "/introspect", {
      token: own.identities.svid("bot"),
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ token }).toString(),
    });
    expect(at(introspected, "authorization_details")).toEqual([
      { type: "mayfly-task", version: 1, task: id, roles: [READER] },
    ]);
  });
});
