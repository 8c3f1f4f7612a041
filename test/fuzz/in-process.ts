import { randomBytes } from "node:crypto";
import {
  ADMIN_TOKEN,
  BACKEND_PASSWORD,
  createBrokerBench,
  exchange,
  opened,
  READER,
  TRUST_DOMAIN,
  type BrokerBench,
} from "@mayfly/broker/testing";
import type { Json, JsonObject } from "@mayfly/spec";
import { readApiDocument } from "./api-document.ts";
import { baseline, differences, namesSince, type Registered } from "./registered.ts";
import type { ReadyRequest } from "./fuzz-request.ts";
import { forgeTokens } from "./forge-tokens.ts";
import type { FuzzAnswer } from "./judge-answer.ts";
import {
  POLICY_EXAMPLES,
  RESOURCE_SERVER_EXAMPLES,
  ROLE_EXAMPLE,
  TRUST_EXAMPLES,
} from "./examples.ts";
import type { Rights, Target } from "./target.ts";

/** Of the machine's time; a handler that computes for longer counts as one that hangs. */
const ANSWER_MS_MAX = 20_000;
/** Of the bench's own time: more than the longest wait that can be asked for. */
const PATIENCE_MS = 120_000;
const STEP_MS = 5_000;

export interface InProcessOptions {
  readonly rights: Rights;
  readonly seed: string;
  /** Of the machine's time. Default: 20 s. */
  readonly answerMsMax?: number;
  /** Stands between the request and the application: how a defect is put in. */
  readonly defect?: (bench: BrokerBench, request: Request) => Promise<Response | null>;
}

/** The real application, core and policies over a ledger and a backend in memory. */
export async function createInProcess(options: InProcessOptions): Promise<Target> {
  const bench = await createBrokerBench({ seed: options.seed });
  const control = `orders-db:control-${randomBytes(12).toString("hex")}`;
  await putPolicies(bench, control);
  const role = { role: READER };
  const other = opened(
    await exchange(bench, bench.identities.svid("owner"), {
      details: { ...TASK, targets: [control], credentials: [role, { ...role, issue: "later" }] },
    }),
  );
  const document = await bench.call("GET", "/openapi.json");
  const before = await baseline((path) => bench.admin("GET", path));
  const isForStrangers = options.rights === "strangers";
  const answered: ReadyRequest[] = [];
  let fresh = await placesOf(bench, other);
  return {
    api: readApiDocument(document.body as JsonObject),
    get places() {
      return fresh.places;
    },
    tokens: ["svid.stranger", "svid.worker", "task-token.stranger", "oidc.person", "ci.once"],
    forged: ["none", "admin.wrong", ...[...fresh.places.keys()].filter(isForged)],
    administrators: isForStrangers ? [] : ["admin"],
    known: KNOWN,
    examples: EXAMPLES,
    // An administrator may read a task's targets.
    secrets: [ADMIN_TOKEN, BACKEND_PASSWORD, other.token, ...(isForStrangers ? [control] : [])],
    isRaw: false,
    concurrency: 1,
    send: async (request) => {
      const answer = await send(bench, request, options);
      if (bench.clock.now() > fresh.untilMs) fresh = await placesOf(bench, other);
      return answer;
    },
    acknowledged: (request) => answered.push(request),
    look: () => look(bench, { control, before, other, answered, rights: options.rights }),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

const TASK = { type: "mayfly-task", goal: "work", deadline: "23h", idle_timeout: "23h" };
const isForged = (name: string): boolean => name.startsWith("forged.");
/** Waits move the bench's clock, and tokens last for some minutes of it. */
const FRESH_MS = 120_000;

/** Only who knows the target's name gets anything, and nothing that is sent knows it. */
async function putPolicies(bench: BrokerBench, control: string): Promise<void> {
  const text = `
@id("who-knows-the-target")
permit (principal, action in Action::"credential", resource == Role::"${READER}")
when { context.task.targets.contains("${control}") };`;
  const put = await bench.admin("PUT", "/v1/policies", { sources: [{ name: "fuzz.cedar", text }] });
  if (put.status !== 200) throw new Error(put.text);
}

type Opened = ReturnType<typeof opened>;

interface Fresh {
  readonly places: ReadonlyMap<string, string>;
  readonly untilMs: number;
}

async function placesOf(bench: BrokerBench, other: Opened): Promise<Fresh> {
  const { identities, clock, issuer } = bench;
  const now = Math.floor(clock.now() / 1000);
  const { key } = identities.trustDomain;
  const header = { alg: "ES256", kid: key.kid, typ: "JWT" };
  const sub = `spiffe://${TRUST_DOMAIN}/agent/owner`;
  const claims = { sub, aud: [issuer], iat: now, exp: now + 300 };
  const [head = "", payload = "", signature = ""] = other.token.split(".");
  const svid = identities.svid("stranger");
  const stranger = await exchange(bench, svid, { details: TASK });
  const { id, token } = stranger.status === 200 ? opened(stranger) : other;
  const places = new Map([
    ["svid.stranger", svid],
    ["svid.worker", identities.svid("worker")],
    // Administrators may have taken away what its trust needs: then it is nobody's.
    ["task-token.stranger", stranger.status === 200 ? token : "gone"],
    ["oidc.person", identities.oidc("person")],
    ["ci.once", identities.ci("run", "1")],
    ["none", ""],
    ...[...forgeTokens({ key, header, claims })].map(
      ([name, forged]) => [`forged.${name}`, forged] as const,
    ),
    ["forged.task-token", `${head}.${payload}.${signature.slice(0, -4)}AAAA`],
    ["forged.task-token-cut", `${head}.${payload}.`],
    ["admin", ADMIN_TOKEN],
    ["admin.wrong", `${ADMIN_TOKEN.slice(0, -1)}1`],
    ["task.other", other.id],
    ["task.stranger", stranger.status === 200 ? id : "task_x"],
    ["lease.other", other.leases[0] ?? ""],
  ]);
  return { places, untilMs: clock.now() + FRESH_MS };
}

const KNOWN: Target["known"] = {
  lease: ["__lease.other__", "__lease.other__", "__task.other__"],
  task: ["__task.other__", "__task.stranger__"],
  backend: ["orders-db", "orders-db", "new-db"],
  role: [READER, "orders-db/writer", "orders-db/secret", "new-db/x"],
  shape: ["reader", "writer", "fresh"],
  name: [TRUST_DOMAIN, "login", "fresh"],
};

const EXAMPLES: Target["examples"] = new Map<string, readonly Json[]>([
  [
    "PUT /v1/backends/{backend}",
    [
      { type: "fake", config: { address: "orders.internal", password: "another-password" } },
      { type: "fake", config: { address: "new.internal", password: "x" }, enabled: false },
    ],
  ],
  ["PUT /v1/roles/{backend}/{shape}", [{ ...ROLE_EXAMPLE, groups: ["app_reader"] }]],
  ["PUT /v1/trust/{name}", TRUST_EXAMPLES],
  ["PUT /v1/resource-servers/{name}", RESOURCE_SERVER_EXAMPLES],
  ["PUT /v1/policies", POLICY_EXAMPLES],
]);

async function send(
  bench: BrokerBench,
  ready: ReadyRequest,
  { defect, answerMsMax }: InProcessOptions,
): Promise<FuzzAnswer> {
  const request = requestOf(ready, bench.issuer);
  if (request === null) return NOT_SENT;
  try {
    const answer = (async (): Promise<FuzzAnswer> => {
      const planted = await defect?.(bench, request);
      const response = planted ?? (await bench.app.fetch(request));
      const headers = new Map([...response.headers].map(([name, value]) => [name, value] as const));
      return { kind: "answered", status: response.status, headers, text: await response.text() };
    })();
    return (await patiently(bench, answer, answerMsMax ?? ANSWER_MS_MAX)) ?? { kind: "hung" };
  } catch (error) {
    return { kind: "threw", what: error instanceof Error ? (error.stack ?? "") : String(error) };
  }
}

/** Stands for what the platform's own Request refuses to be: it never reaches a handler. */
const NOT_SENT: FuzzAnswer = {
  kind: "answered",
  status: 204,
  headers: new Map(),
  text: "",
};

function requestOf(ready: ReadyRequest, issuer: string): Request | null {
  const { method, path, body } = ready;
  const hasBody = body !== null && !/^(?:GET|HEAD)$/i.test(method);
  try {
    return new Request(`${issuer}${path}`, {
      method,
      headers: ready.headers.map(([name, value]): [string, string] => [name, value]),
      ...(hasBody ? { body } : {}),
    });
  } catch {
    return null;
  }
}

/** Null: it is still not answered when all that it might wait for is over. */
async function patiently<T>(
  bench: BrokerBench,
  answer: Promise<T>,
  answerMsMax: number,
): Promise<T | null> {
  let isDone = false;
  const done = (): void => {
    isDone = true;
  };
  answer.then(done, done);
  const startedMs = performance.now();
  for (let turns = 0, passedMs = 0; !isDone; turns++) {
    // What waits for a signature or a key needs turns, not time.
    if (turns > 200 && passedMs < PATIENCE_MS && bench.clock.sleepers > 0) {
      await bench.clock.advance(STEP_MS);
      passedMs += STEP_MS;
    } else {
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (performance.now() - startedMs > answerMsMax) return null;
  }
  return answer;
}

interface Looked {
  readonly control: string;
  readonly before: Registered;
  readonly other: Opened;
  readonly answered: readonly ReadyRequest[];
  readonly rights: Rights;
}

async function look(bench: BrokerBench, of: Looked): Promise<readonly string[]> {
  const wrong: string[] = [];
  const issued = bench.upstream.calls.filter(({ operation }) => operation === "issue").length;
  const leases = bench.ledger.inspect.leases();
  if (issued !== 1) wrong.push(`the backend was asked ${issued} times to make a credential`);
  if (leases.length !== 1) wrong.push(`there are ${leases.length} leases, not one`);
  const after = await baseline((path) => bench.admin("GET", path));
  if (of.rights === "strangers") {
    wrong.push(...differences(of.before, after));
    const [lease] = leases;
    if (lease?.state !== "active") wrong.push(`the lease of another is ${String(lease?.state)}`);
    const task = bench.ledger.inspect.tasks().find(({ id }) => id === of.other.id);
    if (task?.state !== "active") wrong.push(`the task of another is ${String(task?.state)}`);
  } else {
    const stray = namesSince(
      of.before,
      after,
      of.answered.map(({ method, path }) => `${method} ${path}`),
    );
    wrong.push(...stray);
  }
  const verified = await bench.admin("POST", "/v1/ledger/verify", {});
  if (!verified.text.includes('"ok":true')) wrong.push(`verify says ${verified.text}`);
  const health = await bench.call("GET", "/readyz");
  if (health.status !== 200) wrong.push(`/readyz answers ${health.status}`);
  for (const { message, error } of bench.log.entries.filter(({ level }) => level === "error")) {
    wrong.push(`the log has an error: ${message} ${String(error)}`);
  }
  return [...wrong, ...(await controlled(bench, of))];
}

/** The same broker mints, for who knows the target: so nothing else kept it from it. */
async function controlled(
  bench: BrokerBench,
  { control, rights }: Looked,
): Promise<readonly string[]> {
  if (rights === "administrators") return [];
  const answer = await exchange(bench, bench.identities.svid("worker"), {
    details: {
      type: "mayfly-task",
      goal: "control",
      deadline: "5m",
      targets: [control],
      credentials: [{ role: READER }],
    },
  });
  return answer.status === 200 && answer.text.includes('"lease":"lease_')
    ? []
    : [`the sound exchange was answered ${answer.text}`];
}
