import { decodeJwt } from "jose";
import { describe, expect, test } from "vitest";
import {
  BrokerError,
  durationSeconds,
  parseId,
  plusSeconds,
  type TaskTokenClaims,
} from "@mayfly/spec";
import {
  createFakeClock,
  createFakeSealer,
  createFakeSigningKeyStore,
  seededRandom,
  type FakeClock,
} from "@mayfly/testkit";
import { createTaskTokens } from "./task-tokens.ts";
import { defaultTaskTokensSettings } from "./task-tokens-settings.ts";

const ISSUER = "https://broker.test";
const [ALICE, ONE, TWO] = [
  "https://login.test#alice",
  "spiffe://a.test/one",
  "spiffe://a.test/two",
];

async function setUp() {
  const clock = createFakeClock();
  const tokens = createTaskTokens({
    issuer: ISSUER,
    store: createFakeSigningKeyStore(),
    sealer: createFakeSealer(),
    clock,
    random: seededRandom("actors"),
    settings: defaultTaskTokensSettings,
  });
  await tokens.rotate(clock.now());
  return { clock, tokens };
}
type Parties = Pick<TaskTokenClaims, "subject" | "actors" | "impersonates">;
const claims = (clock: FakeClock, parties: Parties) => ({
  taskId: parseId("task", `task_${"0".repeat(12)}7${"0".repeat(3)}8${"0".repeat(15)}`, "task"),
  issuedAt: clock.now(),
  expiresAt: plusSeconds(clock.now(), durationSeconds(300)),
  confirmation: null,
  authorizationDetails: [],
  ...parties,
});

describe("who is meant and who acts in a task token", () => {
  test("are apart: sub is the subject, act the actor, which holds those before it", async () => {
    const { clock, tokens } = await setUp();
    const parties = { subject: ALICE, actors: [TWO, ONE] };
    const token = await tokens.sign(claims(clock, parties));
    expect(decodeJwt(token.expose("crypto"))).toMatchObject({
      sub: ALICE,
      client_id: TWO,
      act: { sub: TWO, act: { sub: ONE } },
    });
    expect(await tokens.verify(token, clock.now())).toMatchObject(parties);
  });

  test("are told of as one where the actor impersonates, and known apart by the client", async () => {
    const { clock, tokens } = await setUp();
    const registered = "https://batch.test#https://batch.test";
    for (const [actor, client] of [
      [ONE, ONE],
      [registered, "https://batch.test"],
    ] as const) {
      const parties: Parties = { subject: ALICE, actors: [actor], impersonates: true };
      const token = await tokens.sign(claims(clock, parties));
      const payload = decodeJwt(token.expose("crypto"));
      expect(payload).not.toHaveProperty("act");
      expect(payload).toMatchObject({ sub: ALICE, client_id: client });
      expect(await tokens.verify(token, clock.now())).toMatchObject(parties);
    }
  });

  test("are one where nobody acts for another", async () => {
    const { clock, tokens } = await setUp();
    const token = await tokens.sign(claims(clock, { subject: ONE }));
    const payload = decodeJwt(token.expose("crypto"));
    expect(payload).not.toHaveProperty("act");
    expect(payload).toMatchObject({ sub: ONE, client_id: ONE });
    expect(await tokens.verify(token, clock.now())).not.toHaveProperty("actors");
  });

  test("name a registered client as it names itself, also in a token of before", async () => {
    const { clock, tokens } = await setUp();
    const client = "https://batch.test";
    const parties = { subject: ALICE, actors: [`${client}#${client}`] };
    const token = await tokens.sign(claims(clock, parties));
    expect(decodeJwt(token.expose("crypto"))).toMatchObject({
      client_id: client,
      act: { sub: `${client}#${client}` },
    });
    expect(await tokens.verify(token, clock.now())).toMatchObject(parties);
  });

  test("have the token as long as it is said to be before there is one, in whatever alphabet", async () => {
    const { clock, tokens } = await setUp();
    const cases = [
      claims(clock, { subject: ONE }),
      claims(clock, { subject: ALICE, actors: [TWO, ONE] }),
      claims(clock, { subject: ALICE, actors: [ONE], impersonates: true }),
      claims(clock, { subject: "https://login.test#界é😀", actors: [TWO, 'a#\u2028 and "b"'] }),
      { ...claims(clock, { subject: ONE }), confirmation: "k".repeat(43) },
      {
        ...claims(clock, { subject: ONE }),
        authorizationDetails: [{ type: "mayfly-task", roles: ["orders-db/reader"] }],
      },
    ];
    for (const each of cases) {
      const token = await tokens.sign(each);
      expect(tokens.lengthOf(each)).toBe(token.expose("crypto").length);
    }
  });

  test("more actors than any chain of tasks has are not ours", async () => {
    const { clock, tokens } = await setUp();
    const actors = Array.from({ length: 65 }, (_, n) => `spiffe://a.test/${n}`);
    const token = await tokens.sign(claims(clock, { subject: ALICE, actors }));
    const error: unknown = await tokens.verify(token, clock.now()).catch((e: unknown) => e);
    expect(BrokerError.is(error) && error.code).toBe("unauthenticated");
  });
});
