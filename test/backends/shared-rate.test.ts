import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createMinter } from "../../packages/backend-webhook/src/testing/reference-minter.ts";
import {
  accepted,
  at,
  startInstallation,
  textAt,
  until,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";
import { registrar } from "./upstreams.ts";
import { CLEAR } from "./upstreams/upstream.ts";

/** Two brokers and a worker, as processes, on one backend whose server counts what it is asked. */
const PER_SECOND = 5;
const BURST = 5;
const PROCESSES = 3;
/** What each process may have drawn when the count began, for its mints and for its ends. */
const DRAWN_BEFORE = PROCESSES * 2;
const AT_ONCE = 8;
const FIRST_TASKS = 4;
const END_MS_MAX = 120_000;
const COUNTED = ["issue", "revoke", "probe", "recover", "list"];

let mayfly: Installation;
let brokers: readonly [RunningBroker, RunningBroker];
let minter: CountingMinter;
const all = new AsyncDisposableStack();
beforeAll(async () => {
  mayfly = all.use(await startInstallation());
  const first = await mayfly.startBroker();
  brokers = [first, await mayfly.startBroker()];
  await mayfly.startWorker();
  await mayfly.register(first);
  minter = await startCountingMinter(mayfly);
  all.defer(() => minter.stop());
  const { config } = minter;
  const backend = {
    type: "webhook",
    config: { ...config, limits: { per_second: PER_SECOND, burst: BURST } },
  };
  const role = { allowed: { scopes: ["orders:read"] } };
  await registrar(mayfly, first).put("webhook", backend, role);
});
afterAll(() => all.disposeAsync());

interface CountingMinter {
  readonly config: object;
  /** Requests by operation, since the last `reset`. */
  readonly counted: ReadonlyMap<string, number>;
  reset(): void;
  stop(): Promise<void>;
}

/** The reference minter behind a server that reads what each request is for. */
async function startCountingMinter({ issuer }: Installation): Promise<CountingMinter> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-minter-"));
  const pair = generateKeyPairSync("ed25519");
  const audience = "https://minter.test/mayfly";
  const reference = createMinter({
    publicKey: pair.publicKey.export({ format: "jwk" }),
    issuer: `${issuer}/backends/webhook`,
    audience,
    file: join(folder, "leases.db"),
  });
  const counted = new Map<string, number>();
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    let body = "";
    request.on("data", (piece: unknown) => {
      body += String(piece);
    });
    request.on("end", () => {
      const operation = operationOf(body);
      counted.set(operation, (counted.get(operation) ?? 0) + 1);
    });
    reference.serve(request, response);
  };
  const server = createServer(serve);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    config: {
      url: `http://127.0.0.1:${port}/mayfly`,
      audience,
      signing_key: pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
      ...CLEAR,
    },
    counted,
    reset: () => counted.clear(),
    stop: async () => {
      server.close();
      server.closeAllConnections();
      reference.db.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** A request is a signed JWT, whose claims say the operation. */
function operationOf(body: string): string {
  const [, claims = ""] = body.trim().split(".");
  const { operation } = JSON.parse(Buffer.from(claims, "base64url").toString()) as {
    readonly operation: string;
  };
  return operation;
}

const exchange = (broker: RunningBroker, ref: string): Promise<Reply> =>
  broker.api.exchange({
    subject: mayfly.svid("worker-bee"),
    details: {
      type: "mayfly-task",
      goal: "look at an order",
      ref,
      deadline: "10m",
      credentials: [{ role: "webhook/one", ttl: "10m" }],
    },
  });

test("two brokers and a worker keep one rate together, and ends are done while mints wait for it", async () => {
  const open: Reply[] = [];
  for (let nth = 0; nth < FIRST_TASKS; nth++) {
    const reply = await exchange(brokers[0], `first-${nth}`);
    accepted(reply, "the first tasks");
    open.push(reply);
  }
  const stopped = { isOver: false };
  const outcomes = new Map<string, number>();
  const minting = async (broker: RunningBroker, loop: number): Promise<void> => {
    for (let nth = 0; !stopped.isOver; nth++) {
      const reply = await exchange(broker, `mint-${loop}-${nth}`);
      const outcome = reply.status === 200 ? "issued" : textAt(reply, "error");
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  };
  minter.reset();
  const fromMs = performance.now();
  const loops = brokers.flatMap((broker) =>
    Array.from({ length: AT_ONCE }, (_, loop) => minting(broker, loop)),
  );
  await until(
    "the mints to have taken the burst",
    END_MS_MAX,
    async () => (minter.counted.get("issue") ?? 0) > BURST,
  );
  for (const reply of open) {
    const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
    accepted(await brokers[1].api.call(textAt(reply, "access_token"), "POST", path, {}), path);
  }
  const leases = open.map((reply) => textAt(reply, "credentials", 0, "lease"));
  await until("the first leases to end, while mints wait", END_MS_MAX, async () => {
    const states = await Promise.all(
      leases.map((lease) => brokers[1].api.admin("GET", `/v1/leases/${lease}`)),
    );
    return states.every((lease) => at(lease, "state") === "ended");
  });
  expect(stopped.isOver).toBe(false);
  stopped.isOver = true;
  await Promise.all(loops);
  const asked = COUNTED.reduce((sum, each) => sum + (minter.counted.get(each) ?? 0), 0);
  const seconds = (performance.now() - fromMs) / 1000;
  // With a rate of its own each broker would have minted as often. Where the machine is so busy
  // that the ledger keeps an end waiting for seconds, the worker's ends have a fifth beside it.
  expect(asked).toBeLessThanOrEqual(BURST + PER_SECOND * 1.2 * seconds + DRAWN_BEFORE);
  expect(minter.counted.get("revoke")).toBeGreaterThanOrEqual(FIRST_TASKS);
  expect(outcomes.get("issued")).toBeGreaterThan(0);
  // Whoever waits in vain is told to come again.
  for (const outcome of outcomes.keys())
    expect(["issued", "temporarily_unavailable"]).toContain(outcome);
});
