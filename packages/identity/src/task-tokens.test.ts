import { decodeJwt, decodeProtectedHeader } from "jose";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import {
  BrokerError,
  instantMs,
  parseId,
  Secret,
  type SigningKeyStore,
  type TaskTokenClaims,
  type TaskTokens,
} from "@mayfly/spec";
import {
  createFakeClock,
  createFakeSealer,
  createFakeSigningKeyStore,
  createTestSigningKey,
  seededRandom,
  signCompact,
  type FakeClock,
} from "@mayfly/testkit";
import { Refusal } from "./refusal.ts";
import { createTaskTokens } from "./task-tokens.ts";
import { defaultTaskTokensSettings } from "./task-tokens-settings.ts";

const ISSUER = "https://broker.test";
const TASK = parseId("task", "task_0199a0b1c2d37e4f8a0b1c2d3e4f5a6b", "id");
const SUBJECT = "spiffe://acme.test/agent";
const THUMBPRINT = "A".repeat(43);
const MINUTE = 60_000;
const settings = defaultTaskTokensSettings;

function claimsAt(clock: FakeClock, change: Partial<TaskTokenClaims> = {}): TaskTokenClaims {
  return {
    taskId: TASK,
    subject: SUBJECT,
    issuedAt: clock.now(),
    expiresAt: instantMs(clock.now() + 10 * MINUTE),
    confirmation: null,
    authorizationDetails: [{ type: "mayfly-task", goal: "g" }],
    ...change,
  };
}

/** One process: its own cache and randomness, over a store that it shares. */
function processOn(store: SigningKeyStore, clock: FakeClock, seed = "one"): TaskTokens {
  const sealer = createFakeSealer();
  return createTaskTokens({
    issuer: ISSUER,
    store,
    sealer,
    clock,
    random: seededRandom(seed),
    settings,
  });
}

async function setUp() {
  const clock = createFakeClock();
  const store = createFakeSigningKeyStore();
  const tokens = processOn(store, clock);
  await tokens.rotate(clock.now());
  return { clock, store, tokens };
}

async function outcome(tokens: TaskTokens, token: Secret, clock: FakeClock): Promise<string> {
  try {
    await tokens.verify(token, clock.now());
    return "verified";
  } catch (error) {
    if (!BrokerError.is(error)) throw error;
    expect([error.code, error.message]).toEqual([
      "unauthenticated",
      "The task token is not valid.",
    ]);
    expect(error.cause).toBeInstanceOf(Error);
    return error.cause instanceof Refusal ? error.cause.reason : "other";
  }
}

describe("task token", () => {
  test("carries its claims there and back, each with its own jti", async () => {
    const { clock, tokens } = await setUp();
    const claims = claimsAt(clock, { confirmation: THUMBPRINT });
    const first = await tokens.verify(await tokens.sign(claims), clock.now());
    const second = await tokens.verify(await tokens.sign(claims), clock.now());
    expect(first).toEqual({
      ...claims,
      jti: expect.stringMatching(/^[0-9a-f]{32}\.[\w-]{22}$/) as string,
    });
    expect(second.jti).not.toBe(first.jti);
  });

  test("is an RFC 9068 access token for its own issuer", async () => {
    const { clock, tokens } = await setUp();
    const text = (await tokens.sign(claimsAt(clock, { confirmation: THUMBPRINT }))).expose("reply");
    const kid = (await tokens.jwks()).keys[0]?.["kid"];
    expect(decodeProtectedHeader(text)).toEqual({ alg: "ES256", kid, typ: "at+jwt" });
    const { jti: _jti, ...claims } = decodeJwt(text);
    expect(claims).toEqual({
      iss: ISSUER,
      sub: SUBJECT,
      aud: ISSUER,
      client_id: SUBJECT,
      iat: clock.now() / 1000,
      exp: clock.now() / 1000 + 600,
      task: TASK,
      cnf: { jkt: THUMBPRINT },
      authorization_details: [{ type: "mayfly-task", goal: "g" }],
    });
  });

  test("is over at exp, to the second and without leniency", async () => {
    const { clock, tokens } = await setUp();
    const expiresAt = instantMs(clock.now() + 1999);
    const token = await tokens.sign(claimsAt(clock, { expiresAt }));
    await clock.advance(999);
    expect(await outcome(tokens, token, clock)).toBe("verified");
    await clock.advance(1);
    expect(await outcome(tokens, token, clock)).toBe("time");
  });

  test("is never signed for longer than its key is sure to verify", async () => {
    const { clock, tokens } = await setUp();
    const expiresAt = instantMs(clock.now() + 600_001);
    await expect(tokens.sign(claimsAt(clock, { expiresAt }))).rejects.toThrow(/outlive/);
  });

  test("is not signed before there is a key", async () => {
    const clock = createFakeClock();
    const tokens = processOn(createFakeSigningKeyStore(), clock);
    await expect(tokens.sign(claimsAt(clock))).rejects.toThrow(/rotate\(\) has not run/);
    expect(await tokens.jwks()).toEqual({ keys: [] });
  });
});

describe("a task token that is not ours", () => {
  const key = createTestSigningKey("k1");
  /** A process whose only key is one that the test can sign anything with. */
  function forged() {
    const clock = createFakeClock();
    const now = clock.now() / 1000;
    const store: SigningKeyStore = {
      list: async () => [
        {
          kid: "k1",
          publicJwk: key.publicJwk,
          sealedPrivateJwk: new Uint8Array(),
          createdAt: clock.now(),
          signsFromAt: clock.now(),
          verifiesUntilAt: null,
        },
      ],
      add: async () => false,
      retire: async () => false,
    };
    const tokens = processOn(store, clock);
    const header = { alg: "ES256", kid: "k1", typ: "at+jwt" };
    const claims = {
      iss: ISSUER,
      sub: SUBJECT,
      aud: ISSUER,
      client_id: SUBJECT,
      iat: now,
      exp: now + 600,
      jti: "j",
      task: TASK,
      authorization_details: [],
    };
    return (change: { header?: object; claims?: object }, signer = key): Promise<string> => {
      const text = signCompact(
        signer,
        { ...header, ...change.header },
        { ...claims, ...change.claims },
      );
      return outcome(tokens, Secret.of(text), clock);
    };
  }

  test("the one that the cases below each change in one way verifies", async () => {
    expect(await forged()({})).toBe("verified");
  });

  test.each(["JWT", "AT+JWT", "application/at+jwt", "dpop+jwt", undefined])(
    "typ %j is not a task token's",
    async (typ) => {
      expect(await forged()({ header: { typ } })).toBe("type");
    },
  );

  test.each(["none", "HS256", "ES384", "es256", undefined])("alg %j is refused", async (alg) => {
    expect(await forged()({ header: { alg } })).toBe("algorithm");
  });

  test("an embedded key, an unknown member or no kid is refused", async () => {
    for (const header of [{ jwk: key.publicJwk }, { crit: ["exp"] }, { kid: undefined }]) {
      expect(await forged()({ header })).toBe("header");
    }
  });

  test("an unknown kid or another's signature is refused", async () => {
    expect(await forged()({ header: { kid: "k2" } })).toBe("unknown_key");
    expect(await forged()({}, createTestSigningKey("k1"))).toBe("other");
  });

  test.each([
    ["another issuer", { iss: `${ISSUER}/` }, "issuer"],
    ["another audience", { aud: "https://other.test" }, "audience"],
    ["another audience besides", { aud: [ISSUER, "https://other.test"] }, "audience"],
    ["another client", { act: { sub: "spiffe://acme.test/a" }, client_id: "b" }, "claims"],
    ["no client", { client_id: undefined }, "claims"],
    ["no subject", { sub: undefined, client_id: undefined }, "claims"],
    ["no exp", { exp: undefined }, "time"],
    ["an exp that is text", { exp: "1" }, "time"],
    ["no iat", { iat: undefined }, "time"],
    ["no jti", { jti: undefined }, "claims"],
    ["two confirmations", { cnf: { jkt: THUMBPRINT, jku: "x" } }, "claims"],
    ["a confirmation that is no thumbprint", { cnf: { jkt: "x" } }, "claims"],
    ["details that are no list", { authorization_details: {} }, "claims"],
    ["details that are no objects", { authorization_details: ["x"] }, "claims"],
    ["a claim that we never make", { scope: "admin" }, "claims"],
  ])("%s is refused", async (_name, claims, reason) => {
    expect(await forged()({ claims })).toBe(reason);
  });

  test.each([undefined, "task_1", "lease_0199a0b1c2d37e4f8a0b1c2d3e4f5a6b", 7])(
    "task %j is none, and the caller is told no more than always",
    async (task) => {
      // `outcome` requires the one public message; the id's own parser would say more.
      expect(await forged()({ claims: { task } })).toBe("other");
    },
  );

  test("an iat past the skew is refused", async () => {
    const iat = createFakeClock().now() / 1000;
    expect(await forged()({ claims: { iat: iat + 60 } })).toBe("verified");
    expect(await forged()({ claims: { iat: iat + 61 } })).toBe("time");
  });

  test("no error shows the token", async () => {
    const { clock, tokens } = await setUp();
    const text = `canary.${"canary".repeat(4)}.canary`;
    const error: unknown = await tokens
      .verify(Secret.of(text), clock.now())
      .catch((thrown: unknown) => thrown);
    expect(inspect(error, { depth: 12, showHidden: true })).not.toContain("canary");
  });
});

describe("signing keys", () => {
  const DAY = 24 * 60 * MINUTE;
  const published = async (tokens: TaskTokens): Promise<readonly unknown[]> =>
    (await tokens.jwks()).keys.map((each) => each["kid"]);

  test("are published without their private half", async () => {
    const { tokens } = await setUp();
    const [jwk] = (await tokens.jwks()).keys;
    expect(Object.keys(jwk ?? {}).toSorted()).toEqual([
      "alg",
      "crv",
      "kid",
      "kty",
      "use",
      "x",
      "y",
    ]);
  });

  test("are stored sealed to their kid", async () => {
    const { store } = await setUp();
    const [stored] = await store.list();
    const sealed = Buffer.from(stored!.sealedPrivateJwk).toString("latin1");
    expect(sealed).not.toContain('"d"');
    await expect(
      createFakeSealer().open(stored!.sealedPrivateJwk, "signing-key:other"),
    ).rejects.toThrow(/cannot be opened/);
  });

  test("stay as they are while the newest is young, however often rotate runs", async () => {
    const { clock, store, tokens } = await setUp();
    for (let day = 0; day < 29; day++) {
      await tokens.rotate(clock.now());
      await clock.advance(DAY);
    }
    expect(store.adds).toBe(1);
  });

  test("the next is published an hour before it signs; the old one signs till then", async () => {
    const { clock, tokens } = await setUp();
    const [old] = await published(tokens);
    await clock.advance(30 * DAY - 60 * MINUTE);
    await tokens.rotate(clock.now());
    const [, next] = await published(tokens);
    expect(await published(tokens)).toEqual([old, next]);
    const kidNow = async (): Promise<unknown> =>
      decodeProtectedHeader((await tokens.sign(claimsAt(clock))).expose("reply")).kid;
    await clock.advance(60 * MINUTE - 1);
    expect(await kidNow()).toBe(old);
    await clock.advance(1);
    expect(await kidNow()).toBe(next);
  });

  test("an old one verifies until its last token is dead, and then is gone", async () => {
    const { clock, tokens } = await setUp();
    const [old] = await published(tokens);
    await clock.advance(30 * DAY - 60 * MINUTE);
    await tokens.rotate(clock.now());
    await clock.advance(60 * MINUTE - 1);
    const last = await tokens.sign(claimsAt(clock));
    await clock.advance(10 * MINUTE - 1000);
    expect(await outcome(tokens, last, clock)).toBe("verified");
    await clock.advance(2 * MINUTE + 1001);
    await tokens.rotate(clock.now());
    expect(await published(tokens)).not.toContain(old);
    expect(await outcome(tokens, last, clock)).toBe("unknown_key");
  });

  test("of processes that start at once, one makes the key and all use it", async () => {
    const clock = createFakeClock();
    const store = createFakeSigningKeyStore();
    const processes = ["a", "b", "c", "d"].map((seed) => processOn(store, clock, seed));
    await Promise.all(processes.map((each) => each.rotate(clock.now())));
    expect(await store.list()).toHaveLength(1);
    expect(store.adds).toBe(4);
    for (const signer of processes) {
      const token = await signer.sign(claimsAt(clock));
      for (const verifier of processes) {
        expect(await outcome(verifier, token, clock)).toBe("verified");
      }
    }
  });

  test("of processes that rotate at once, one adds the next key", async () => {
    const clock = createFakeClock();
    const store = createFakeSigningKeyStore();
    const processes = ["a", "b", "c"].map((seed) => processOn(store, clock, seed));
    await Promise.all(processes.map((each) => each.rotate(clock.now())));
    await clock.advance(30 * DAY);
    await Promise.all(processes.map((each) => each.rotate(clock.now())));
    expect(await store.list()).toHaveLength(2);
    for (const each of processes) expect(await published(each)).toHaveLength(2);
  });

  test("a process that never rotates signs and verifies with what others added", async () => {
    const { clock, store, tokens } = await setUp();
    const idle = processOn(store, clock, "idle");
    expect(await outcome(idle, await tokens.sign(claimsAt(clock)), clock)).toBe("verified");
    await clock.advance(30 * DAY - 60 * MINUTE);
    await tokens.rotate(clock.now());
    await clock.advance(60 * MINUTE);
    const token = await tokens.sign(claimsAt(clock));
    expect(await outcome(idle, token, clock)).toBe("verified");
    const kid = (secret: Secret): unknown => decodeProtectedHeader(secret.expose("reply")).kid;
    expect(kid(await idle.sign(claimsAt(clock)))).toBe(kid(token));
  });

  test("a flood of unknown key ids reads the store once in 5 s", async () => {
    const { clock, store, tokens } = await setUp();
    const stranger = createTestSigningKey("stranger");
    const flood = async (): Promise<void> => {
      for (let n = 0; n < 20; n++) {
        const header = { alg: "ES256", kid: `k${n}`, typ: "at+jwt" };
        const text = signCompact(stranger, header, {});
        expect(await outcome(tokens, Secret.of(text), clock)).toBe("unknown_key");
      }
    };
    await flood();
    const before = store.lists;
    await clock.advance(5000);
    await flood();
    expect(store.lists).toBe(before + 1);
  });

  test("a ledger that fails is not taken for a bad token", async () => {
    const { clock, store, tokens } = await setUp();
    const token = await tokens.sign(claimsAt(clock));
    const down: SigningKeyStore = {
      ...store,
      list: () => Promise.reject(new BrokerError("ledger_unavailable", "The ledger is down.")),
    };
    await expect(processOn(down, clock).verify(token, clock.now())).rejects.toThrow(
      expect.objectContaining({ code: "ledger_unavailable" }) as Error,
    );
  });

  test("settings under which a token could outlive its key are refused", () => {
    const clock = createFakeClock();
    const make = (change: object) => () =>
      createTaskTokens({
        issuer: ISSUER,
        store: createFakeSigningKeyStore(),
        sealer: createFakeSealer(),
        clock,
        random: seededRandom(1),
        settings: { ...settings, ...change },
      });
    expect(make({ publishAheadSeconds: 119 })).toThrow(/publishAheadSeconds/);
    expect(make({ keySignsSeconds: 3600 })).toThrow(/keySignsSeconds/);
  });
});
