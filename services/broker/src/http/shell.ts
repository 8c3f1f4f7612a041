import type { IncomingMessage } from "node:http";
import { Hono } from "hono";
import { routePath } from "hono/route";
import {
  BrokerError,
  ERROR_CODES,
  type Clock,
  type DpopProofs,
  type Log,
  type Random,
  type RemoteSpan,
  type Tracer,
} from "@mayfly/spec";
import { Crowded, type Admission } from "./admission.ts";
import type { ClientAddress } from "./client-address.ts";
import { issuerPath, pathWithin } from "./issuer-path.ts";
import { methodsAt } from "./methods-at.ts";
import type { PeerCertificates } from "./peer-certificates.ts";
import { answersOauth, knownError, oauthAnswer, problemAnswer, type Answer } from "./problem.ts";
import { knownMethod, type RequestMeter } from "./request-meter.ts";
import { headerOf, openCall, type Env, type HttpContext } from "./request-scope.ts";
import type { SourcePace } from "./source-pace.ts";
import { parseTraceparent } from "./traceparent.ts";

export interface ShellPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly tracer: Tracer;
  readonly meter: RequestMeter;
  readonly admission: Admission;
  readonly clientAddress: ClientAddress;
  readonly sourcePace: SourcePace;
  readonly peerCertificates: PeerCertificates;
  readonly settings: {
    readonly issuer: string;
    /** Whether a task opened over mTLS is bound to the certificate that was shown. */
    readonly certificateBoundTokens: boolean;
  };
  readonly dpop: Pick<DpopProofs, "algorithms" | "nonce">;
  /** From when the process was told to stop. */
  isStopping(): boolean;
}

/**
 * What stands around each route: its call, its place among those under way, its trace, its line in
 * the log, and every failure as an answer. Where the issuer has a path, everything is served below
 * that path, and without it for a proxy that takes the path off.
 */
export function createShell(ports: ShellPorts): Hono<Env> {
  const base = issuerPath(ports.settings.issuer);
  const app = new Hono<Env>({ getPath: (request) => pathWithin(base, request) });
  app.use(async (c, next) => {
    const parent = parseTraceparent(headerOf(c, "traceparent"));
    const opened = openCall(
      ports.clock,
      ports.random,
      parent,
      ports.clientAddress(c.env?.incoming),
    );
    c.set("call", opened.call);
    c.set("peerCertificates", () => ports.peerCertificates(c.env?.incoming));
    // A failure further in has become an answer by then.
    await watched(c, ports, parent, next);
    opened.finish();
    logged(c, ports.log);
    inEachAnswer(c, "Mayfly-Trace", opened.call.traceId);
    giveNonce(c, ports);
    // A connection that is kept would go on sending to a process that is about to be gone.
    if (ports.isStopping()) inEachAnswer(c, "Connection", "close");
    inEachAnswer(c, "Cache-Control", "no-store");
  });
  app.use(async (c, next) => {
    using place = placeOf(c, ports.admission);
    if (!isArriving(c)) place.take();
    c.set("admit", place.take);
    refuseTwoHosts(c);
    refuseFragment(c);
    await next();
  });
  app.notFound((c) => noRoute(app, c, ports));
  app.onError((error, c) => failed(c, error, ports));
  return app;
}

/** RFC 9449 section 8.2: to whoever sends proofs, before the old one ceases to count. */
function giveNonce(c: HttpContext, { dpop, clock }: Pick<ShellPorts, "dpop" | "clock">): void {
  const nonce = headerOf(c, "dpop") === null ? null : dpop.nonce(clock.now());
  if (nonce !== null) inEachAnswer(c, "DPoP-Nonce", nonce);
}

/**
 * A header of every answer that has none of this name. It goes to Node's response where there is
 * one: set on an answer that is made, it has the adapter read the body as a stream, which costs
 * more than everything else here.
 */
function inEachAnswer(c: HttpContext, name: string, value: string): void {
  const outgoing = c.env?.outgoing;
  if (outgoing !== undefined) outgoing.setHeader(name, value);
  else if (!c.res.headers.has(name)) c.res.headers.set(name, value);
}

/** The request as a trace, or as a part of its caller's; and as a number among others. */
async function watched(
  c: HttpContext,
  ports: Pick<ShellPorts, "clock" | "tracer" | "meter">,
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
  (headerOf(c, "transfer-encoding") !== null || Number(headerOf(c, "content-length")) > 0);

const HOST = "host";

/** RFC 9112 section 3.2. Node takes the first, a proxy before it perhaps the last. */
function refuseTwoHosts(c: HttpContext): void {
  const raw = c.env?.incoming?.rawHeaders ?? [];
  let hosts = 0;
  for (let n = 0; n < raw.length; n += 2) {
    const name = raw[n] ?? "";
    if (name.length === HOST.length && name.toLowerCase() === HOST) hosts += 1;
  }
  if (hosts > 1) {
    throw new BrokerError("invalid_request", "There is more than one Host header.", {
      where: "Host",
    });
  }
}

/**
 * RFC 9112 section 3.2: a target has none. What stands before this application, in this process
 * too, looks at the whole of it as the path.
 */
function refuseFragment(c: HttpContext): void {
  if (c.env?.incoming?.url?.includes("#") !== true) return;
  throw new BrokerError("invalid_request", "The address has a fragment, which is never sent.", {
    where: "path",
  });
}

/** No route of this method: either none at all, or the path takes others (RFC 9110 15.5.6). */
function noRoute(app: Hono<Env>, c: HttpContext, ports: ShellPorts): Response {
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

function failed(c: HttpContext, error: unknown, ports: ShellPorts): Response {
  const { traceId, clientAddress } = c.get("call");
  // Of a flood nothing is logged: each line would cost more than the refusal.
  const known =
    error instanceof Crowded
      ? error
      : knownError(
          error,
          ports.log.child({ trace: traceId, path: routeOf(c), source: clientAddress ?? null }),
        );
  const answer: Answer = (answersOauth(c.req.path) ? oauthAnswer : problemAnswer)(
    known,
    traceId,
    ports.settings.issuer,
    ports.dpop.algorithms,
  );
  // A nonce that is asked for is no failure: each client sends its first proof without one.
  if (known.code !== "use_dpop_nonce") {
    if (provesNothing(known)) ports.sourcePace.failed(clientAddress ?? null);
    else if (isMalformed(c, answer)) ports.sourcePace.malformed(clientAddress ?? null);
  }
  return new Response(JSON.stringify(answer.body), {
    status: answer.status,
    headers: { ...answer.headers },
  });
}

const provesNothing = ({ code }: BrokerError): boolean => ERROR_CODES[code].status === 401;

/** Malformed, too large, of another type, with too large a head. */
const MALFORMED: ReadonlySet<number> = new Set([400, 413, 415, 431]);

/**
 * Whether what was sent could not be read, and nobody has said who sends it. Of a workload that is
 * known it would be a mistake, and of a sender that went away in the middle a lost connection.
 */
const isMalformed = (c: HttpContext, { status }: Answer): boolean =>
  MALFORMED.has(status) && c.get("understood") !== true && !hasGone(c.env?.incoming);

const hasGone = (incoming: IncomingMessage | undefined): boolean =>
  incoming !== undefined && incoming.destroyed && !incoming.complete;

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
