import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BackendError, IssuePlan, Json, OpenBackend, Secret } from "@mayfly/spec";
import { startHttpFaultProxy, type HttpFaultProxy } from "../http-fault-proxy.ts";
import { startTcpFaultProxy, type TcpFaultProxy } from "../tcp-fault-proxy.ts";
import { backendErrorOf, revoking, type BackendBench } from "./backend-bench.ts";
import type { BackendContractSubject } from "./backend-contract-subject.ts";

/** The bench, and a second opening of the backend that reaches its upstream through a fault. */
interface Faulty<Proxy> {
  readonly bench: BackendBench;
  readonly proxy: Proxy;
  readonly open: OpenBackend;
}

/** I2, I3, V2 and B2 where the network is at fault, and no secret in what is said of it. */
export function describeFaults(
  { backend, protocol, selfContained }: BackendContractSubject,
  benchOf: () => BackendBench,
): void {
  if (protocol === null) return;
  const canRevoke = backend.capabilities.revocation !== "none";
  describe("over a network that fails", () => {
    const faultyOf = useFaulty(benchOf, startTcpFaultProxy);
    describeSlowness(faultyOf, canRevoke);
    if (selfContained === undefined) describeLostMints(faultyOf);
    if (canRevoke) describeLostEnds(faultyOf);
  });
  if (protocol === "tcp") return;
  describe("over an API that fails", () => {
    describeAnswerFaults(useFaulty(benchOf, startHttpFaultProxy), canRevoke);
  });
}

function useFaulty<Proxy extends { readonly port: number; stop(): Promise<void> }>(
  benchOf: () => BackendBench,
  start: (at: { readonly host: string; readonly port: number }) => Promise<Proxy>,
): () => Faulty<Proxy> {
  let faulty: Faulty<Proxy> | undefined;
  beforeAll(async () => {
    const bench = benchOf();
    const { route } = bench.upstream;
    if (route === null) throw new Error("an upstream with an address has a route");
    const proxy = await start({ host: route.host, port: route.port });
    const open = bench.openAgain(route.configAt({ host: "127.0.0.1", port: proxy.port }));
    faulty = { bench, proxy, open };
  });
  afterAll(async () => {
    await faulty?.open.close();
    await faulty?.proxy.stop();
  });
  return () => faulty!;
}

/** Whatever an issue said of its effect has to be true, and nothing may be left. */
async function expectHonest(
  { bench }: { readonly bench: BackendBench },
  plan: IssuePlan,
  error: BackendError,
): Promise<void> {
  expectNoSecret(bench, error);
  if (error.effect === "none") {
    expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
    return;
  }
  const recovered = await bench.recoverUntilSettled(plan);
  if (recovered.outcome === "expires") return;
  expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
}

/** Texts of the configuration that its description hides. */
function secretsIn(plain: Json, shown: Json | undefined): readonly string[] {
  if (typeof plain === "string") return plain === shown ? [] : [plain];
  if (typeof plain !== "object" || plain === null) return [];
  return Object.entries(plain).flatMap(([key, value]: readonly [string, Json]) => {
    const beside = typeof shown === "object" && shown !== null ? Object.entries(shown) : [];
    return secretsIn(value, beside.find(([name]) => name === key)?.[1]);
  });
}

function expectNoSecret({ backend, upstream }: BackendBench, error: BackendError): void {
  const config = backend.parseConfig(upstream.config);
  const secrets = secretsIn(config, backend.describeConfig(config));
  expect(secrets.length).toBeGreaterThan(0);
  const said = inspect(error, { depth: 12, showHidden: true });
  for (const secret of secrets) expect(said.includes(secret), "a secret in an error").toBe(false);
}

/** A connection that was reset may take one call more with it before its owner hears of it. */
async function untilReached(open: OpenBackend, handle: Secret, bench: BackendBench): Promise<void> {
  for (let looks = 0; looks < 100; looks++) {
    const probing = revoking(open).probe(handle, bench.call());
    const reached = await probing.then(
      () => true,
      () => false,
    );
    if (reached) return;
    await bench.upstream.pass(25);
  }
  throw new Error("the server was not reached again");
}

async function untilLive(bench: BackendBench, name: string): Promise<void> {
  for (let looks = 0; looks < 1_000; looks++) {
    if ((await bench.upstream.liveNames()).includes(name)) return;
    await bench.upstream.pass(25);
  }
  throw new Error("what was issued did not come to be");
}

function describeSlowness(faultyOf: () => Faulty<TcpFaultProxy>, canRevoke: boolean): void {
  test("a slow network changes nothing", async () => {
    const { bench, proxy, open } = faultyOf();
    proxy.slow(20);
    try {
      const issued = await open.issue(bench.plan(), bench.issueCall());
      expect(await bench.upstream.tryCredential(issued.material)).toBe("accepted");
      if (!canRevoke) return;
      await revoking(open).revoke(issued.handle, bench.call());
      expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
    } finally {
      proxy.slow(0);
    }
  });
}

function describeLostMints(faultyOf: () => Faulty<TcpFaultProxy>): void {
  test("I2. an issue whose answer is lost with the connection has an unknown effect", async () => {
    const { bench, proxy, open } = faultyOf();
    await open.issue(bench.plan(), bench.issueCall());
    const plan = bench.plan();
    proxy.swallowAnswers();
    const failing = backendErrorOf(open.issue(plan, bench.issueCall()));
    // Of several steps the first may leave nothing that lives, or only look, and then the answer to
    // that is what is lost.
    const came = await Promise.race([
      untilLive(bench, plan.externalName).then(
        () => true,
        () => false,
      ),
      failing.then(() => false),
    ]);
    proxy.reset();
    const error = await failing;
    expect(came ? error.effect : "unknown").toBe("unknown");
    await expectHonest({ bench }, plan, error);
  });
  test("I2. an issue that is cut off at any moment is honest about it", async () => {
    const { bench, proxy, open } = faultyOf();
    for (const afterMs of [0, 2, 5, 10, 20]) {
      const plan = bench.plan();
      const issuing = open.issue(plan, bench.issueCall());
      const ending = issuing.then(
        () => null,
        () => backendErrorOf(issuing),
      );
      await bench.upstream.pass(afterMs);
      proxy.reset();
      const error = await ending;
      if (error === null) await bench.recoverUntilSettled(plan);
      else await expectHonest({ bench }, plan, error);
      expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
    }
  });
}

function describeLostEnds(faultyOf: () => Faulty<TcpFaultProxy>): void {
  test("V2. a revoke that is cut off at any moment either is done, or throws and can be done", async () => {
    const { bench, proxy, open } = faultyOf();
    for (const afterMs of [0, 2, 10, 40]) {
      const issued = await bench.open.issue(bench.plan(), bench.issueCall());
      const revoked = revoking(open).revoke(issued.handle, bench.call());
      const ending = revoked.then(
        () => null,
        () => backendErrorOf(revoked),
      );
      await bench.upstream.pass(afterMs);
      proxy.reset();
      const error = await ending;
      if (error !== null) {
        expectNoSecret(bench, error);
        await revoking(bench.open).revoke(issued.handle, bench.call());
      }
      expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
      await untilReached(open, issued.handle, bench);
    }
  });
  test("V2, B2. revoke and probe that get no answer throw, and can be asked again", async () => {
    const { bench, proxy, open } = faultyOf();
    const issued = await open.issue(bench.plan(), bench.issueCall());
    for (const operation of ["probe", "revoke"] as const) {
      await revoking(open).probe(issued.handle, bench.call());
      proxy.swallowAnswers();
      const caller = new AbortController();
      const asking = revoking(open)[operation](issued.handle, bench.call(caller.signal));
      const failing = backendErrorOf(asking);
      await bench.upstream.pass(300);
      caller.abort(new Error("the caller's deadline"));
      expectNoSecret(bench, await failing);
      proxy.reset();
    }
    await revoking(bench.open).revoke(issued.handle, bench.call());
    expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
  });
}

function describeAnswerFaults(faultyOf: () => Faulty<HttpFaultProxy>, canRevoke: boolean): void {
  test("I2. 429 with Retry-After had no effect, and says when to try again", async () => {
    const { bench, proxy, open } = faultyOf();
    const plan = bench.plan();
    proxy.inject({ kind: "answer", status: 429, headers: { "retry-after": "7" } });
    const error = await backendErrorOf(open.issue(plan, bench.issueCall()));
    expect(proxy.met()).toBe(1);
    proxy.heal();
    expect(error.effect).toBe("none");
    expect(error.retry).toEqual({ kind: "after", seconds: 7 });
    expect(error.throttled, "other processes are not told of it").toBe(true);
    await expectHonest({ bench }, plan, error);
  });
  test.each([
    ["a 500 after the effect", { kind: "replace", status: 500 }],
    ["a 503 after the effect", { kind: "replace", status: 503 }],
    ["an answer that breaks off", { kind: "reset_mid_answer" }],
  ] as const)("I2, I3. %s is an unknown effect, and is not tried again", async (_, fault) => {
    const { bench, proxy, open } = faultyOf();
    const plan = bench.plan();
    proxy.inject(fault);
    const error = await backendErrorOf(open.issue(plan, bench.issueCall()));
    expect(proxy.met()).toBe(1);
    proxy.heal();
    expect(error.effect).toBe("unknown");
    await expectHonest({ bench }, plan, error);
  });
  if (!canRevoke) return;
  test("V2, B2. what an API in trouble says of a revocation is never taken for a refusal", async () => {
    const { bench, proxy, open } = faultyOf();
    const issued = await open.issue(bench.plan(), bench.issueCall());
    for (const status of [429, 500, 503]) {
      proxy.inject({ kind: "answer", status }, () => true);
      expectNoSecret(
        bench,
        await backendErrorOf(revoking(open).revoke(issued.handle, bench.call())),
      );
      expectNoSecret(
        bench,
        await backendErrorOf(revoking(open).probe(issued.handle, bench.call())),
      );
    }
    proxy.heal();
    expect((await revoking(open).probe(issued.handle, bench.call())).verdict).toBe("accepted");
    await revoking(open).revoke(issued.handle, bench.call());
    expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
  });
}
