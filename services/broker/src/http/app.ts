import { Hono } from "hono";
import { routePath } from "hono/route";
import type { Core, Sealing } from "@mayfly/core";
import {
  BrokerError,
  type Clock,
  type JsonSchema,
  type LedgerQueries,
  type Log,
  type LogExporter,
  type LogSequencer,
  type Random,
  type SelectorEndLedger,
  type RemoteSpan,
  type SigningKeyAdministration,
  type TaskLedger,
  type TaskTokens,
  type Tracer,
} from "@mayfly/spec";
import type { Administrators } from "../administrators.ts";
import type { Afterwork } from "./afterwork.ts";
import { createAdmission, Crowded, type Admission } from "./admission.ts";
import type { ClientAddress } from "./client-address.ts";
import { issuerPath, pathWithin } from "./issuer-path.ts";
import { methodsAt } from "./methods-at.ts";
import { knownError, oauthAnswer, problemAnswer, type Answer } from "./problem.ts";
import { knownMethod, type RequestMeter } from "./request-meter.ts";
import { openCall, type Env, type HttpContext } from "./request-scope.ts";
import { administrationRoutes } from "./routes/administration.ts";
import { diagnosisRoutes, type SetUp } from "./routes/diagnosis.ts";
import { explainRoutes } from "./routes/explain.ts";
import { healthRoutes, type ReadinessCheck } from "./routes/health.ts";
import { keyRoutes } from "./routes/keys.ts";
import { leaseRoutes, ledgerRoutes } from "./routes/leases.ts";
import { ledgerExportRoutes } from "./routes/ledger-export.ts";
import { metadataRoutes } from "./routes/metadata.ts";
import { planRoutes } from "./routes/plan.ts";
import { referenceRoutes } from "./routes/reference.ts";
import { schemaRoutes } from "./routes/schemas.ts";
import { questionRoutes } from "./routes/questions.ts";
import { selectorEndRoutes } from "./routes/selector-ends.ts";
import { taskRoutes } from "./routes/tasks.ts";
import { tokenRoutes } from "./routes/token.ts";
import { traceRoutes } from "./routes/trace.ts";
import { parseTraceparent } from "./traceparent.ts";

export interface AppPorts {
  readonly core: Core;
  readonly tasks: TaskLedger;
  readonly queries: LedgerQueries;
  readonly selectorEnds: SelectorEndLedger;
  readonly sequencer: Pick<LogSequencer, "verify">;
  readonly exporter: LogExporter;
  readonly taskTokens: TaskTokens;
  readonly signingKeys: SigningKeyAdministration;
  readonly sealing: Sealing;
  readonly administrators: Administrators;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly tracer: Tracer;
  readonly meter: RequestMeter;
  readonly settings: { readonly issuer: string };
  readonly setUp: SetUp;
  /** Of the files that platform teams write, by name: `backend.postgres.json`. */
  readonly fileSchemas: ReadonlyMap<string, JsonSchema>;
  readonly clientAddress: ClientAddress;
  readonly afterwork: Pick<Afterwork, "track">;
  readiness(): Promise<readonly ReadinessCheck[]>;
  /** From when the process was told to stop. */
  isStopping(): boolean;
}

/**
 * The broker's HTTP API. Where the issuer has a path, everything is served below that path, and
 * without it for a proxy that takes the path off.
 */
export function createApp(ports: AppPorts): Hono<Env> {
  const base = issuerPath(ports.settings.issuer);
  const admission = createAdmission();
  const app = new Hono<Env>({ getPath: (request) => pathWithin(base, request) });
  app.use(async (c, next) => {
    const parent = parseTraceparent(c.req.header("traceparent"));
    const opened = openCall(
      ports.clock,
      ports.random,
      parent,
      ports.clientAddress(c.env?.incoming),
    );
    c.set("call", opened.call);
    // A failure further in has become an answer by then.
    await watched(c, ports, parent, next);
    opened.finish();
    logged(c, ports.log);
    // A connection that is kept would go on sending to a process that is about to be gone.
    if (ports.isStopping()) c.header("Connection", "close");
    c.header("Mayfly-Trace", opened.call.traceId);
    if (!c.res.headers.has("Cache-Control")) c.header("Cache-Control", "no-store");
  });
  app.use(async (c, next) => {
    using place = placeOf(c, admission);
    if (!isArriving(c)) place.take();
    c.set("admit", place.take);
    refuseTwoHosts(c);
    await next();
  });
  // A new route needs its entry in operations/ as well, else openapi/documented.test.ts fails; and
  // each test that calls it compares what it answers with that entry (testing/check-answers).
  tokenRoutes(app, ports);
  explainRoutes(app, ports);
  taskRoutes(app, ports);
  leaseRoutes(app, ports);
  ledgerRoutes(app, ports);
  questionRoutes(app, ports);
  selectorEndRoutes(app, ports);
  traceRoutes(app, ports);
  ledgerExportRoutes(app, ports);
  administrationRoutes(app, ports);
  keyRoutes(app, ports);
  planRoutes(app, ports);
  diagnosisRoutes(app, ports);
  metadataRoutes(app, ports);
  schemaRoutes(app, ports);
  referenceRoutes(app, ports);
  healthRoutes(app, ports);
  app.notFound((c) => noRoute(app, c, ports));
  app.onError((error, c) => failed(c, error, ports));
  return app;
}

/** The request as a trace, or as a part of its caller's; and as a number among others. */
async function watched(
  c: HttpContext,
  ports: Pick<AppPorts, "clock" | "tracer" | "meter">,
  parent: RemoteSpan | null,
  next: () => Promise<void>,
): Promise<void> {
  const answered = ports.meter.began();
  const startedMs = ports.clock.monotonicMs();
  const method = knownMethod(c.req.method);
  const { traceId } = c.get("call");
  const start = { name: "request", kind: "server", traceId, parent } as const;
  const attributes = { "http.request.method": method };
  await ports.tracer.trace({ ...start, attributes }, async (span) => {
    await next();
    const pattern = routeOf(c);
    const route = pattern === "/*" ? "none" : pattern;
    const { status } = c.res;
    span.set({ "http.route": route, "http.response.status_code": status });
    if (status >= 500) span.fail(String(status));
    const seconds = (ports.clock.monotonicMs() - startedMs) / 1000;
    answered({ method, route, status, seconds });
  });
}

/** A request's place among those under way: taken at most once, left when it is answered. */
function placeOf(c: HttpContext, admission: Admission): Disposable & { readonly take: () => void } {
  let leave: (() => void) | null = null;
  return {
    take: () => {
      leave ??= admission.enter(c.req.path);
    },
    [Symbol.dispose]: () => leave?.(),
  };
}

/**
 * Whether a body is still to come. Until it is there the request holds its connection, no place:
 * else whoever sends slowly would keep all others out.
 */
const isArriving = (c: HttpContext): boolean =>
  c.env?.incoming?.complete === false &&
  (c.req.method === "POST" || c.req.method === "PUT") &&
  (c.req.header("transfer-encoding") !== undefined || Number(c.req.header("content-length")) > 0);

/** RFC 9112 section 3.2. Node takes the first, a proxy before it perhaps the last. */
function refuseTwoHosts(c: HttpContext): void {
  const raw = c.env?.incoming?.rawHeaders ?? [];
  const hosts = raw.filter((name, n) => n % 2 === 0 && name.toLowerCase() === "host");
  if (hosts.length > 1) {
    throw new BrokerError("invalid_request", "There is more than one Host header.", {
      where: "Host",
    });
  }
}

/** No route of this method: either none at all, or the path takes others (RFC 9110 15.5.6). */
function noRoute(app: Hono<Env>, c: HttpContext, ports: AppPorts): Response {
  const methods = methodsAt(app, c.req.path);
  if (methods.length === 0) {
    return failed(c, new BrokerError("not_found", "There is nothing at this path."), ports);
  }
  const allow = methods.join(", ");
  if (c.req.method === "OPTIONS") return new Response(null, { status: 204, headers: { allow } });
  const error = new BrokerError("method_not_allowed", `This path takes ${allow} only.`);
  const answer = failed(c, error, ports);
  answer.headers.set("Allow", allow);
  return answer;
}

function failed(c: HttpContext, error: unknown, ports: AppPorts): Response {
  const { traceId, clientAddress } = c.get("call");
  // Of a flood nothing is logged: each line would cost more than the refusal.
  const known =
    error instanceof Crowded
      ? error
      : knownError(
          error,
          ports.log.child({ trace: traceId, path: routeOf(c), source: clientAddress ?? null }),
        );
  const answer: Answer =
    c.req.path === "/token"
      ? oauthAnswer(known, traceId)
      : problemAnswer(known, traceId, ports.settings.issuer);
  return new Response(JSON.stringify(answer.body), {
    status: answer.status,
    headers: { ...answer.headers },
  });
}

/**
 * One line for a request: what changed something or was refused for who asked at `info`, the rest
 * at `debug`, so that no stranger's flood fills the log.
 */
function logged(c: HttpContext, log: Log): void {
  const { status } = c.res;
  const { traceId, clientAddress } = c.get("call");
  const { method } = c.req;
  const isChange = status < 400 && method !== "GET" && method !== "HEAD" && method !== "OPTIONS";
  const level = isChange || status === 401 || status === 403 ? "info" : "debug";
  log[level]("request", {
    method: knownMethod(method),
    path: routeOf(c),
    status,
    source: clientAddress ?? null,
    trace: traceId,
  });
}

/** The pattern, not the path: a path is a stranger's text. */
const routeOf = (c: HttpContext): string => routePath(c, -1);
