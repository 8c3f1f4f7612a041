import { createFakeClock, type FakeClock } from "@mayfly/testkit";
import type { Clock, Fetch } from "../surroundings.ts";

/** What the fake broker holds of its one task; a test may change all of it. */
export interface FakeBrokerState {
  /** Seconds that a task token lives. */
  tokenSeconds: number;
  /** Seconds that a proof of identity counts; bounds the token too. */
  proofSeconds: number;
  idleSeconds: number;
  isUp: boolean;
  isEnded: boolean;
  isIdentityTrusted: boolean;
  /** How far the client's clock is wrong. */
  clientAheadMs: number;
}

export interface FakeBroker {
  readonly url: string;
  readonly clock: FakeClock;
  readonly clientClock: Clock;
  readonly fetch: Fetch;
  readonly state: FakeBrokerState;
  /** What was called: `token`, `beat by token`, `beat by proof`, `complete`, … */
  readonly calls: readonly string[];
}

const TASK = "task_01990000000070008000000000000001";
const DEADLINE_SECONDS = 86_400;
const CREDENTIAL_SECONDS = 900;

/**
 * A broker of one task on a clock that a test moves: tokens expire, proofs age, an idle task ends.
 * The real one is met by the tests of the whole system; there no hour passes in a second.
 */
export function createFakeBroker(): FakeBroker {
  const clock = createFakeClock();
  const state: FakeBrokerState = {
    tokenSeconds: 600,
    proofSeconds: 3_600,
    idleSeconds: 300,
    isUp: true,
    isEnded: false,
    isIdentityTrusted: true,
    clientAheadMs: 0,
  };
  const calls: string[] = [];
  let [provenAtMs, beatAtMs, tokenExpiresAtMs] = [0, 0, 0];
  const openedAt = clock.now();
  const url = "http://127.0.0.1:8420";

  const tokenAnswer = (): Record<string, unknown> => {
    const nowMs = clock.monotonicMs();
    const proofLeft = (provenAtMs - nowMs) / 1_000 + state.proofSeconds;
    const seconds = Math.floor(Math.min(state.tokenSeconds, proofLeft));
    tokenExpiresAtMs = nowMs + seconds * 1_000;
    return { access_token: "at.at.at", token_type: "Bearer", expires_in: seconds };
  };
  const task = (now: string): Record<string, unknown> => ({
    id: TASK,
    state: now,
    parent: null,
    deadline: new Date(openedAt + DEADLINE_SECONDS * 1_000).toISOString(),
    idle_timeout_seconds: state.idleSeconds,
  });
  const json = (status: number, body: unknown): Response =>
    Response.json(body, { status, headers: { date: new Date(clock.now()).toUTCString() } });
  const credential = (): Record<string, unknown> => ({
    lease: "lease_01990000000070008000000000000002",
    role: "orders-db/reader",
    kind: "of-the-test",
    expires_at: new Date(clock.now() + CREDENTIAL_SECONDS * 1_000).toISOString(),
    expiry_enforced_by: "upstream",
    revocation: "immediate",
    data: {},
  });
  const refuse = (status: number, code: string): Response =>
    json(status, { code, detail: `refused: ${code}`, todo: "Do otherwise." });

  const answer = (path: string, token: string): Response => {
    const nowMs = clock.monotonicMs();
    if (path.startsWith("/.well-known/")) return json(200, { issuer: url });
    if (path === "/token") {
      calls.push("token");
      if (!state.isIdentityTrusted) return refuse(400, "invalid_identity");
      [provenAtMs, beatAtMs] = [nowMs, nowMs];
      return json(200, { ...tokenAnswer(), task: task("active"), credentials: [credential()] });
    }
    const verb = path.split("/").at(-1) ?? "";
    const byToken = token === "at.at.at";
    calls.push(verb === "heartbeat" ? `beat by ${byToken ? "token" : "proof"}` : verb);
    if (byToken && nowMs >= tokenExpiresAtMs) return refuse(401, "unauthenticated");
    if (!byToken && !state.isIdentityTrusted) return refuse(401, "invalid_identity");
    if (verb !== "heartbeat") return json(200, { task: task("completed"), leases: [] });
    if (nowMs - beatAtMs > state.idleSeconds * 1_000) state.isEnded = true;
    if (state.isEnded) return refuse(409, "task_ended");
    beatAtMs = nowMs;
    if (!byToken) provenAtMs = nowMs;
    return json(200, { ...tokenAnswer(), task: task("active") });
  };
  return {
    url,
    clock,
    clientClock: {
      now: () => clock.now() + state.clientAheadMs,
      monotonicMs: () => clock.monotonicMs(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
      rest: (ms, signal) => clock.sleep(ms, signal),
    },
    state,
    calls,
    fetch: async (to, init) => {
      if (!state.isUp) throw new TypeError("fetch failed");
      const headers = new Headers(init.headers);
      return answer(new URL(to).pathname, (headers.get("authorization") ?? "").slice(7));
    },
  };
}
