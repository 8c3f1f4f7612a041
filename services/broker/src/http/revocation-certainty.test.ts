import { decodeJwt, decodeProtectedHeader } from "jose";
import { beforeEach, describe, expect, it } from "vitest";
import { durationSeconds } from "@mayfly/spec";
import { createTestSigningKey, signCompact } from "@mayfly/testkit";
import { createBrokerBench, type Answer, type BrokerBench } from "../testing/broker-bench.ts";
import { at, exchange, opened, readerTask, textAt } from "../testing/token-form.ts";

/* RFC 7009 section 2.2.1: 200 is said of what counts no more, and of nothing else. */
let bench: BrokerBench;
beforeEach(async () => {
  bench = await createBrokerBench();
});

const revoke = (form: Readonly<Record<string, string>>): Promise<Answer> =>
  bench.call("POST", "/revoke", {
    body: new URLSearchParams(form).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
const asClient = (name: string) => ({
  client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
  client_assertion: bench.identities.svid(name),
});
const openTask = async (details: unknown = readerTask()) =>
  opened(await exchange(bench, bench.identities.svid("bot"), { details }));
const stateOf = (id: string): string | undefined =>
  bench.ledger.inspect.tasks().find((task) => task.id === id)?.state;

describe("revocation", () => {
  describe("of a token whose key was retired", () => {
    const retireKey = async (): Promise<void> => {
      const keys = await bench.admin("GET", "/v1/signing-keys");
      const kid = textAt(keys, "items", 0, "kid");
      const answer = await bench.admin("POST", `/v1/signing-keys/${kid}/retire`, {});
      expect(at(answer, "result")).toBe("retired");
    };
    it("is 503 for its holder while some broker may trust the key, and the task lives", async () => {
      const { id, token } = await openTask();
      await retireKey();
      // No more by this one, which reads the keys every five seconds; clocks differ by one.
      await bench.clock.advance(5500);
      const answer = await revoke({ token });
      expect([answer.status, at(answer, "error")]).toEqual([503, "temporarily_unavailable"]);
      expect(answer.headers.get("retry-after")).toBe("5");
      expect(stateOf(id)).toBe("active");
    });
    it("is 401 for its holder once nobody trusts the key, and 200 once the task has ended", async () => {
      const { id, token } = await openTask();
      await retireKey();
      await bench.clock.advance(10_000);
      const answer = await revoke({ token });
      expect([answer.status, at(answer, "error")]).toEqual([401, "invalid_client"]);
      expect(textAt(answer, "error_description")).toContain("its task lives");
      expect(answer.headers.get("www-authenticate")).not.toContain("invalid_token");
      expect(stateOf(id)).toBe("active");
      const ended = await bench.admin("POST", `/v1/tasks/${id}/cancel`, {});
      expect(ended.status).toBe(200);
      expect((await revoke({ token })).status).toBe(200);
    });
    it("is 200 for its holder where it has expired, as a token that counts no more by itself", async () => {
      const { id, token } = await openTask(readerTask({ deadline: "30m", idle_timeout: "30m" }));
      await retireKey();
      await bench.clock.advance(700_000);
      expect((await revoke({ token })).status).toBe(200);
      expect(stateOf(id)).toBe("active");
    });
    it("ends the task where its sender owns it, and a stranger's ends nothing", async () => {
      for (const wait of [5500, 10_000]) {
        const { id, token } = await openTask();
        await retireKey();
        await bench.clock.advance(wait);
        const stranger = await revoke({ token, ...asClient("other") });
        expect(stranger.status).toBe(wait === 5500 ? 503 : 200);
        expect(stateOf(id)).toBe("active");
        expect((await revoke({ token, ...asClient("bot") })).status).toBe(200);
        expect(stateOf(id)).toBe("cancelled");
      }
    });
  });
  it("of a token that another broker's clock may take still ends its task", async () => {
    const { id, token } = await openTask(readerTask({ deadline: "30m" }));
    await bench.clock.advance(600_000);
    const beat = await bench.call("POST", `/v1/tasks/${id}/heartbeat`, { token });
    expect(beat.status).toBe(401);
    expect((await revoke({ token })).status).toBe(200);
    expect(stateOf(id)).toBe("cancelled");
  });
  it("of a key that nobody here has is not said to be done before the ledger was asked", async () => {
    const { token } = await openTask();
    const [, payload = ""] = token.split(".");
    const forged = (kid: string): string => {
      const header = Buffer.from(JSON.stringify({ alg: "ES256", kid, typ: "at+jwt" }));
      return `${header.toString("base64url")}.${payload}.${"A".repeat(86)}`;
    };
    await bench.clock.advance(10);
    expect((await revoke({ token: forged("one") })).status).toBe(200);
    await bench.clock.advance(10);
    const again = await revoke({ token: forged("two") });
    expect([again.status, again.headers.get("retry-after")]).toEqual([503, "1"]);
    await bench.clock.advance(1000);
    expect((await revoke({ token: forged("two") })).status).toBe(200);
  });
  /** As another broker, with a key that this one has not read yet. */
  const madeElsewhere = async (token: string, more: Readonly<Record<string, unknown>>) => {
    const key = createTestSigningKey("made-elsewhere");
    const [before] = await bench.ledger.signingKeys.list();
    const stored = { ...before!, kid: key.kid, publicJwk: { ...key.publicJwk, kid: key.kid } };
    const actor = { kind: "administrator", name: "admin" } as const;
    const retire = [before!.kid, stored, before!.kid, durationSeconds(660), actor] as const;
    await bench.clock.advance(10);
    expect(await bench.ledger.signingKeys.retire(...retire)).toBe(true);
    const header = { ...decodeProtectedHeader(token), kid: key.kid };
    return signCompact(key, header, { ...decodeJwt(token), ...more });
  };
  it("of a key that another broker made just now ends its task", async () => {
    const { id, token } = await openTask();
    const theirs = await madeElsewhere(token, {});
    expect((await revoke({ token: theirs })).status).toBe(200);
    expect(stateOf(id)).toBe("cancelled");
  });
  it("of a newer broker, which this one cannot read, is 503 for as long as it counts", async () => {
    const { id, token } = await openTask(readerTask({ deadline: "30m" }));
    const theirs = await madeElsewhere(token, { claim_of_the_next_version: true });
    const answer = await revoke({ token: theirs });
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(stateOf(id)).toBe("active");
    await bench.clock.advance(700_000);
    expect((await revoke({ token: theirs })).status).toBe(200);
  });
});
