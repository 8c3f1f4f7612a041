import fc from "fast-check";
import { decodeJwt } from "jose";
import { beforeEach, describe, expect, it } from "vitest";
import type { Answer } from "../testing/broker-bench.ts";
import {
  ALICE,
  AS_ALICE,
  asking,
  BOT,
  createImpersonationBench,
  CREDENTIALS,
  FOR_ALICE,
  PAIR,
  partiesIn,
  SUB_BOT,
  type ImpersonationBench,
} from "../testing/impersonation-bench.ts";
import { READER } from "../testing/registered.ts";
import { CI_ISSUER, OIDC_ISSUER } from "../testing/test-identities.ts";
import { accessTokenIn, CALLER, READ, verifyAsApi } from "../testing/token-api.ts";
import {
  at,
  exchange,
  exchangeTaskToken,
  listAt,
  nothingMinted,
  opened,
  postToken,
  readerTask,
  textAt,
  tokenForm,
} from "../testing/token-form.ts";

/*
 * Impersonation, RFC 8693 section 1.1: a result that names the subject alone. Only where a policy
 * names the pair, and only for who asks for it; on record are always both.
 */
let bench: ImpersonationBench;
beforeEach(async () => {
  bench = await createImpersonationBench();
});

const isOnPair = (decision: unknown): boolean =>
  JSON.stringify(decision).includes('"action":"impersonate"');

/** What was answered, and whether all that was done is to say so. */
function outcomeOf(answer: Answer): unknown {
  const isNothing = nothingMinted(bench) && bench.ledger.inspect.tasks().length === 0;
  const { status } = answer;
  return [status, at(answer, "error"), at(answer, "where"), at(answer, DETERMINING), isNothing];
}
const DETERMINING = "determining_policies";
const denied = (by: readonly string[] = []): unknown => [
  400,
  "access_denied",
  "authorization_details[0].impersonate",
  by,
  true,
];

describe("a request to impersonate, where a policy names the pair", () => {
  it("gets a task token that names the subject alone, and says so in the task as granted", async () => {
    const answer = await bench.ask();
    expect(partiesIn(opened(answer).token)).toEqual(AS_ALICE);
    expect(at(answer, "authorization_details", 0, "impersonate")).toBe(true);
  });

  it("is on record with both: in the task, in the decision, and in who holds what", async () => {
    const { id } = opened(await bench.ask());
    const chain = await bench.admin("GET", `/v1/tasks/${id}/chain`);
    expect(at(chain, "task")).toMatchObject({
      workload: BOT,
      initiator: { name: ALICE, basis: "verified" },
      impersonates: true,
    });
    const decisions = listAt(chain, "decisions");
    expect(decisions).toHaveLength(2);
    const [pair, role] = isOnPair(decisions[0]) ? decisions : decisions.toReversed();
    expect(pair).toMatchObject({
      effect: "permit",
      determining_policies: ["bot-as-alice"],
      explanation: `Policy 'bot-as-alice' permits ${BOT} to impersonate ${ALICE}.`,
      request: {
        action: "impersonate",
        workload: { name: BOT },
        initiator: { name: ALICE, trustRoot: "login" },
      },
    });
    expect(role).toMatchObject({
      determining_policies: ["agents-draw"],
      request: {
        workload: { name: BOT },
        task: { verifiedInitiator: ALICE, impersonates: true },
      },
    });
    const held = await bench.admin("GET", `/v1/ask/holders?initiator=${encodeURIComponent(ALICE)}`);
    expect(JSON.stringify(held.body)).toContain(BOT);
  });

  it("gets access tokens for an API that name the subject alone, and the client", async () => {
    const details = asking({ credentials: [{ role: CALLER, params: READ }] });
    const token = accessTokenIn(await bench.ask({ details }));
    expect(await verifyAsApi(bench, token)).toMatchObject({ sub: ALICE, client_id: BOT });
    expect(decodeJwt(token)).not.toHaveProperty("act");
    const delegated = readerTask({ credentials: [{ role: CALLER, params: READ }] });
    expect(decodeJwt(accessTokenIn(await bench.ask({ details: delegated })))).toMatchObject(
      FOR_ALICE,
    );
  });

  it("that does not ask stays delegation", async () => {
    expect(partiesIn(opened(await bench.ask({ details: readerTask() })).token)).toEqual(FOR_ALICE);
  });

  it("with false instead of leaving it out is malformed", async () => {
    const answer = await bench.ask({ details: asking({ impersonate: false }) });
    expect(answer.body).toMatchObject({
      code: "invalid_task",
      where: "authorization_details[0].impersonate",
    });
  });

  it("of a client that authenticates itself is the same", async () => {
    const body = tokenForm(bench.person("alice"), {
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
      client_assertion: bench.identities.svid("bot"),
      authorization_details: JSON.stringify([asking()]),
    });
    expect(partiesIn(opened(await postToken(bench, body)).token)).toEqual(AS_ALICE);
  });

  it("where the subject's token names the actor in may_act is heard, and of others refused", async () => {
    const mayAct = (sub: string) => bench.person("alice", { may_act: { sub } });
    const refused = await bench.ask({ subject: mayAct(SUB_BOT) });
    expect(refused.body).toMatchObject({ code: "invalid_identity", where: "actor_token" });
    expect(nothingMinted(bench)).toBe(true);
    expect(partiesIn(opened(await bench.ask({ subject: mayAct(BOT) })).token)).toEqual(AS_ALICE);
  });

  it("says beforehand whether it would be permitted", async () => {
    const told = await bench.ask({ path: "/v1/explain" });
    expect(at(told, "impersonation")).toMatchObject({
      effect: "permit",
      determining_policies: ["bot-as-alice"],
    });
    const other = await bench.ask({ path: "/v1/explain", subject: bench.person("bob") });
    expect(at(other, "impersonation")).toEqual({
      effect: "deny",
      explanation: `No policy permits ${BOT} to impersonate ${OIDC_ISSUER}#bob.`,
      determining_policies: [],
    });
    const delegated = await bench.ask({ path: "/v1/explain", details: readerTask() });
    expect(at(delegated, "impersonation")).toBeNull();
  });
});

describe("a request to impersonate is denied", () => {
  it("where no policy is on it, whatever else is permitted", async () => {
    await bench.decideBy(CREDENTIALS, '@id("all") permit (principal, action, resource);');
    expect(outcomeOf(await bench.ask())).toEqual(denied());
  });

  it("of another subject, and of another actor", async () => {
    expect(outcomeOf(await bench.ask({ subject: bench.person("bob") }))).toEqual(denied());
    expect(outcomeOf(await bench.ask({ subject: bench.person("alice2") }))).toEqual(denied());
    expect(outcomeOf(await bench.ask({ actor: "vat-bot" }))).toEqual(denied());
    expect(outcomeOf(await bench.ask({ actor: "bot/inner" }))).toEqual(denied());
  });

  it("where a policy forbids it, whoever permits it", async () => {
    await bench.decideBy(
      CREDENTIALS,
      PAIR,
      '@id("nobody") forbid (principal, action == Action::"impersonate", resource);',
    );
    expect(outcomeOf(await bench.ask())).toEqual(denied(["nobody"]));
    await bench.decideBy(
      CREDENTIALS,
      PAIR,
      `@id("not-bot") forbid (principal == Workload::"${BOT}", action, resource);`,
    );
    expect(outcomeOf(await bench.ask())).toEqual(denied(["not-bot"]));
  });

  it("and is on record as such, with both, before it is answered", async () => {
    const answer = await bench.ask({ subject: bench.person("bob") });
    const decision = await bench.admin("GET", `/v1/decisions/${textAt(answer, "decision")}`);
    expect(decision.body).toMatchObject({
      effect: "deny",
      why: "no_permit",
      request: {
        action: "impersonate",
        workload: { name: BOT },
        initiator: { name: `${OIDC_ISSUER}#bob` },
      },
    });
  });

  it("where the role is not permitted, whoever may appear as whom", async () => {
    await bench.decideBy(PAIR);
    const answer = await bench.ask();
    expect(answer.body).toMatchObject({
      error: "access_denied",
      where: "authorization_details[0].credentials[0]",
    });
    expect(nothingMinted(bench)).toBe(true);
  });

  it("of a role for which a policy wants tokens that say who acts", async () => {
    const open = `
      @id("says-who-acts")
      forbid (principal, action in Action::"credential", resource == Role::"${READER}")
      when { context.task.impersonates };`;
    await bench.decideBy(CREDENTIALS, PAIR, open);
    expect((await bench.ask()).body).toMatchObject({ determining_policies: ["says-who-acts"] });
    expect(nothingMinted(bench)).toBe(true);
    expect((await bench.ask({ details: readerTask() })).status).toBe(200);
  });
});

describe("a policy that leaves open who may appear as whom", () => {
  it.each([
    [
      "who",
      'principal in SpiffePath::"spiffe://acme.test/agent"',
      `resource == Initiator::"${ALICE}"`,
    ],
    ["whom", `principal == Workload::"${BOT}"`, "resource"],
    ["both", "principal is Workload", "resource is Initiator"],
  ])("by %s is refused when it is activated, with what to write", async (_what, who, whom) => {
    const answer = await bench.put(
      CREDENTIALS,
      `@id("wide") permit (${who}, action == Action::"impersonate", ${whom});`,
    );
    expect(answer.status).toBe(422);
    expect(at(answer, "problems", 0, "policy")).toBe("wide");
    expect(textAt(answer, "problems", 0, "message")).toContain("resource == Initiator::");
    expect(partiesIn(opened(await bench.ask()).token)).toEqual(AS_ALICE);
  });
});

describe("nobody impersonates", () => {
  const refusedAt = (answer: Answer): unknown => {
    expect(answer.status).toBe(400);
    expect(nothingMinted(bench)).toBe(true);
    expect(at(answer, "code")).toBe("invalid_task");
    return at(answer, "where");
  };
  const IMPERSONATE = "authorization_details[0].impersonate";

  it("without a subject apart from who acts", async () => {
    const own = exchange(bench, bench.identities.svid("bot"), { details: asking() });
    expect(refusedAt(await own)).toBe(IMPERSONATE);
    const alone = exchange(bench, bench.person("alice"), { details: asking() });
    expect(refusedAt(await alone)).toBe(IMPERSONATE);
    const client = tokenForm("", {
      grant_type: "client_credentials",
      subject_token: null,
      subject_token_type: null,
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
      client_assertion: bench.identities.svid("bot"),
      authorization_details: JSON.stringify([asking()]),
    });
    expect(refusedAt(await postToken(bench, client))).toBe(IMPERSONATE);
  });

  it("a subject whose token says who acts for it: that would be hidden", async () => {
    const subject = bench.person("alice", { act: { sub: "spiffe://acme.test/portal" } });
    expect(refusedAt(await bench.ask({ subject }))).toBe(IMPERSONATE);
    expect((await bench.ask({ subject, details: readerTask() })).status).toBe(200);
  });

  it("a workload: it vouches for nobody, and is no initiator", async () => {
    const answer = await bench.ask({ subject: bench.identities.ci("job", "jti-1") });
    expect(answer.body).toMatchObject({ code: "invalid_identity", where: "subject_token" });
    const pair = PAIR.replace(ALICE, `${CI_ISSUER}#job`);
    await bench.decideBy(CREDENTIALS, pair);
    const named = await bench.ask({ subject: bench.identities.ci("job", "jti-2") });
    expect(named.body).toMatchObject({ code: "invalid_identity", where: "subject_token" });
    expect(nothingMinted(bench)).toBe(true);
  });

  it("in a later exchange under a task that says who acts", async () => {
    const task = opened(await bench.ask({ details: readerTask({ credentials: [] }) }));
    const details = { type: "mayfly-task", task: task.id, impersonate: true };
    expect(refusedAt(await exchangeTaskToken(bench, task.token, { details }))).toBe(IMPERSONATE);
  });

  it("in a child, of whatever parent and whichever workload", async () => {
    const later = [{ role: READER, issue: "later" }];
    for (const parent of [
      opened(await bench.ask({ details: asking({ credentials: later }) })),
      opened(await bench.ask({ details: readerTask({ credentials: later }) })),
    ]) {
      const details = asking({ parent: parent.id, deadline: "5m" });
      const own = await exchangeTaskToken(bench, parent.token, { details });
      expect(refusedAt(own)).toBe(IMPERSONATE);
      const actor = bench.identities.svid("vat-bot");
      const other = await exchangeTaskToken(bench, parent.token, { details, actor });
      expect(refusedAt(other)).toBe(IMPERSONATE);
    }
  });
});

const ACTORS = ["bot", "vat-bot", "bot/inner"] as const;
const PEOPLE = ["alice", "bob", "alice2"] as const;
const pair = fc.record({ actor: fc.constantFrom(...ACTORS), person: fc.constantFrom(...PEOPLE) });
type Pair = Readonly<{ actor: string; person: string }>;
const isPair =
  (a: Pair) =>
  (b: Pair): boolean =>
    a.actor === b.actor && a.person === b.person;

const named = ({ actor, person }: Pair): string =>
  `principal == Workload::"spiffe://acme.test/agent/${actor}", action == Action::"impersonate", ` +
  `resource == Initiator::"${OIDC_ISSUER}#${person}"`;
const policiesOf = (permitted: readonly Pair[], forbidden: readonly Pair[]): string =>
  [
    '@id("draw") permit (principal, action, resource);',
    '@id("administer") permit (principal, action in Action::"administer", resource);',
    ...permitted.map((one, at) => `@id("p${at}") permit (${named(one)});`),
    ...forbidden.map((one, at) => `@id("f${at}") forbid (${named(one)});`),
  ].join("\n");

/** Each run activates a set and exchanges over the whole stack; beside other tests, slowly. */
const SLOW = { timeout: 120_000 };

describe("whatever pairs policies name", SLOW, () => {
  it("a token names the subject alone just for a pair that is permitted and not forbidden, and asks", async () => {
    const seen = { alone: 0, both: 0, denied: 0 };
    const pairs = fc.array(pair, { maxLength: 4 });
    const property = fc.asyncProperty(
      pairs,
      fc.array(pair, { maxLength: 1 }),
      pair,
      fc.boolean(),
      async (permitted, forbidden, asked, impersonate) => {
        const sources = [{ name: "p.cedar", text: policiesOf(permitted, forbidden) }];
        const put = await bench.admin("PUT", "/v1/policies", { sources });
        expect(put.status, put.text).toBe(200);
        const answer = await exchange(bench, bench.identities.oidc(asked.person), {
          actor: bench.identities.svid(asked.actor),
          details: readerTask({ credentials: [], ...(impersonate ? { impersonate } : {}) }),
        });
        const may = permitted.some(isPair(asked)) && !forbidden.some(isPair(asked));
        if (impersonate && !may) {
          seen.denied += 1;
          expect(answer.body).toMatchObject({ error: "access_denied" });
          expect(answer.text).not.toContain("access_token");
          return;
        }
        expect(answer.status, answer.text).toBe(200);
        const token = decodeJwt(textAt(answer, "access_token"));
        const actor = `spiffe://acme.test/agent/${asked.actor}`;
        expect(token).toMatchObject({ sub: `${OIDC_ISSUER}#${asked.person}`, client_id: actor });
        expect(token["act"]).toEqual(impersonate ? undefined : { sub: actor });
        seen[impersonate ? "alone" : "both"] += 1;
      },
    );
    await fc.assert(property, { numRuns: 50, seed: 11 });
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(3);
  });
});
