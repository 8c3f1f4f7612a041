import { exchange, READER, type BrokerBench } from "@mayfly/broker/testing";
import { expect, test } from "vitest";
import { createInProcess, type InProcessOptions } from "./in-process.ts";
import { runFuzz } from "./run-fuzz.ts";

/*
 * What the fuzzer is for: each defect is put between the request and the application, and has to be
 * found among so many requests.
 */
const REQUESTS = 600;
const ANSWER_MS_MAX = 10_000;

interface Defect {
  readonly name: string;
  readonly rights?: InProcessOptions["rights"];
  readonly defect: NonNullable<InProcessOptions["defect"]>;
  readonly finds: RegExp;
}

const json = (status: number, body: unknown, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/problem+json", ...headers },
  });
const isToken = (request: Request): boolean => new URL(request.url).pathname === "/token";
const isPut = (request: Request, what: string): boolean =>
  request.method === "PUT" && new URL(request.url).pathname.startsWith(what);

/** What the application answers, with something else done to it. */
async function altered(
  bench: BrokerBench,
  request: Request,
  change: (problem: Record<string, unknown>) => Record<string, unknown>,
): Promise<Response> {
  const response = await bench.app.fetch(request);
  if (response.status < 400) return response;
  const { status, headers } = response;
  const problem = (await response.json()) as Record<string, unknown>;
  return new Response(JSON.stringify(change(problem)), { status, headers });
}

async function permitAll(bench: BrokerBench): Promise<void> {
  const text = '@id("all") permit (principal, action in Action::"credential", resource);';
  const put = await bench.admin("PUT", "/v1/policies", { sources: [{ name: "a.cedar", text }] });
  if (put.status !== 200) throw new Error(put.text);
}

/** As whoever may, where the caller may not. */
const asWorker = (bench: BrokerBench) =>
  exchange(bench, bench.identities.svid("mallory"), {
    details: { type: "mayfly-task", goal: "x", deadline: "5m", credentials: [{ role: READER }] },
  });

const DEFECTS: readonly Defect[] = [
  {
    name: "a handler that fails on a NUL",
    defect: async (_bench, request) =>
      /%00/.test(request.url) ? json(500, { code: "internal" }) : null,
    finds: /the status (?:is )?500/,
  },
  {
    name: "a stack trace in a refusal",
    defect: (bench, request) =>
      altered(bench, request, (problem) => ({ ...problem, cause: new Error("x").stack })),
    finds: /the answer says/,
  },
  {
    name: "a database's own words in a refusal",
    defect: (bench, request) =>
      altered(bench, request, (problem) => ({
        ...problem,
        detail: 'invalid byte sequence for encoding "UTF8": 0x00',
      })),
    finds: /the answer says/,
  },
  {
    name: "a code that nobody knows",
    defect: (bench, request) =>
      altered(bench, request, (problem) => ({ ...problem, code: "oops" })),
    finds: /the code oops is unknown/,
  },
  {
    name: "a handler that throws outside of everything",
    defect: async (_bench, request) => {
      if (request.headers.has("if-match")) throw new TypeError("no");
      return null;
    },
    finds: /the handler threw/,
  },
  {
    name: "a handler that never answers",
    defect: async (_bench, request) =>
      isPut(request, "/v1/roles") ? new Promise<Response>(() => undefined) : null,
    finds: /no answer in time/,
  },
  {
    name: "an overload without Retry-After",
    defect: async (_bench, request) => (isToken(request) ? json(503, { code: "busy" }) : null),
    finds: /no Retry-After/,
  },
  {
    name: "a token endpoint that mints for whoever asks",
    defect: async (bench, request) => {
      if (!isToken(request)) return null;
      await permitAll(bench);
      const { status, text } = await asWorker(bench);
      return new Response(text, { status, headers: { "content-type": "application/json" } });
    },
    finds: /a credential was minted|asked \d+ times to make a credential/,
  },
  {
    name: "a mint that its answer keeps quiet",
    defect: async (bench, request) => {
      if (!isToken(request)) return null;
      await permitAll(bench);
      await asWorker(bench);
      return null;
    },
    finds: /asked \d+ times to make a credential/,
  },
  {
    name: "an administration that believes everybody",
    defect: async (bench, request) => {
      if (request.method !== "DELETE") return null;
      const { pathname } = new URL(request.url);
      const { status, text } = await bench.admin("DELETE", pathname);
      return new Response(status === 204 ? null : text, { status });
    },
    finds: /a stranger administers|was changed by a stranger/,
  },
  {
    name: "a refused registration that registers",
    rights: "administrators",
    defect: async (bench, request) => {
      if (!isPut(request, "/v1/trust/")) return null;
      await bench.admin("PUT", "/v1/trust/left-behind", {
        kind: "oidc",
        config: { issuer: "https://left.test", jwks: { keys: [] } },
      });
      const key = bench.identities.oidcKey.publicJwk;
      await bench.admin("PUT", "/v1/trust/left-behind", {
        kind: "oidc",
        config: { issuer: "https://left.test", jwks: { keys: [key] } },
      });
      return null;
    },
    finds: /is registered, and its registration was not acknowledged/,
  },
  {
    name: "a verifier that does not verify",
    defect: async (bench, request) => {
      const token = request.headers.get("authorization")?.split(" ")[1] ?? "";
      const claims = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
      if (!claims.includes("/agent/owner") || request.method !== "GET") return null;
      const { status, text } = await bench.admin("GET", new URL(request.url).pathname);
      return new Response(text, { status, headers: { "content-type": "application/json" } });
    },
    finds: /a forged token is believed|a stranger administers/,
  },
];

test.each(DEFECTS)("$name, is found", async ({ rights = "strangers", defect, finds }) => {
  await using target = await createInProcess({
    rights,
    seed: "defect",
    answerMsMax: ANSWER_MS_MAX,
    defect,
  });
  const run = await runFuzz(target, { requests: REQUESTS, seed: "defect" });
  const problems = run.found.map(({ problem }) => problem);
  expect(problems.join("\n")).toMatch(finds);
});

test("what is found is made small, and fails again", async () => {
  const defect: Defect["defect"] = async (bench, request) => {
    // The half of a body that was teed is not let go of before the other half is.
    const { url, method, headers } = request;
    const body = request.body === null ? null : await request.clone().arrayBuffer();
    const { status } = await bench.app.fetch(new Request(url, { method, headers, body }));
    const isStruck = headers.get("x-forwarded-host") !== null && status >= 400;
    return isStruck ? json(500, { code: "internal" }) : null;
  };
  await using target = await createInProcess({ rights: "strangers", seed: "shrink", defect });
  const run = await runFuzz(target, { requests: 4 * REQUESTS, seed: "shrink" });
  const struck = run.found.filter(({ problem }) => problem.includes("500"));
  expect(struck.length).toBeGreaterThan(0);
  for (const { request } of struck) {
    expect(request?.headers).toEqual([["X-Forwarded-Host", "evil.test"]]);
    expect(request?.body ?? "").toBe("");
  }
});

test("one seed sends the same requests", async () => {
  const sent = async (): Promise<readonly string[]> => {
    const seen: string[] = [];
    await using target = await createInProcess({
      rights: "strangers",
      seed: "again",
      defect: async (_bench, request) => {
        seen.push(`${request.method} ${request.url}`);
        return null;
      },
    });
    await runFuzz(target, { requests: 200, seed: "again" });
    return seen;
  };
  const first = await sent();
  expect(first.length).toBeGreaterThan(150);
  const places = /(?:task|lease)_[0-9a-f]{32}/g;
  const named = (all: readonly string[]) => all.map((one) => one.replaceAll(places, "id"));
  expect(named(await sent())).toEqual(named(first));
});
