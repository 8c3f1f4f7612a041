import { Hono } from "hono";
import type { Core } from "@mayfly/core";
import {
  BrokerError,
  type Clock,
  type LedgerQueries,
  type Log,
  type LogSequencer,
  type Random,
  type TaskLedger,
  type TaskTokens,
} from "@mayfly/spec";
import type { Administrators } from "../administrators.ts";
import { knownError, oauthAnswer, problemAnswer, type Answer } from "./problem.ts";
import { callContext, type Env, type HttpContext } from "./request-scope.ts";
import { administrationRoutes } from "./routes/administration.ts";
import { explainRoutes } from "./routes/explain.ts";
import { healthRoutes } from "./routes/health.ts";
import { leaseRoutes, ledgerRoutes } from "./routes/leases.ts";
import { metadataRoutes } from "./routes/metadata.ts";
import { taskRoutes } from "./routes/tasks.ts";
import { tokenRoutes } from "./routes/token.ts";

export interface AppPorts {
  readonly core: Core;
  readonly tasks: TaskLedger;
  readonly queries: LedgerQueries;
  readonly sequencer: Pick<LogSequencer, "verify">;
  readonly taskTokens: TaskTokens;
  readonly administrators: Administrators;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly settings: { readonly issuer: string };
  readiness(): Promise<boolean>;
}

/** The broker's HTTP API. */
export function createApp(ports: AppPorts): Hono<Env> {
  const app = new Hono<Env>();
  app.use(async (c, next) => {
    c.set("call", callContext(ports.clock, ports.random));
    await next();
    c.header("Mayfly-Trace", c.get("call").traceId);
    if (!c.res.headers.has("Cache-Control")) c.header("Cache-Control", "no-store");
  });
  tokenRoutes(app, ports);
  explainRoutes(app, ports);
  taskRoutes(app, ports);
  leaseRoutes(app, ports);
  ledgerRoutes(app, ports);
  administrationRoutes(app, ports);
  metadataRoutes(app, ports);
  healthRoutes(app, ports);
  app.all("/token", (c) => {
    c.header("Allow", "POST");
    throw new BrokerError("method_not_allowed", "The token endpoint takes POST only.");
  });
  app.notFound((c) =>
    failed(c, new BrokerError("not_found", "There is nothing at this path."), ports),
  );
  app.onError((error, c) => failed(c, error, ports));
  return app;
}

function failed(c: HttpContext, error: unknown, ports: AppPorts): Response {
  const { traceId } = c.get("call");
  const known = knownError(error, ports.log.child({ trace: traceId, path: c.req.routePath }));
  const answer: Answer =
    c.req.path === "/token" ? oauthAnswer(known, traceId) : problemAnswer(known, traceId);
  return new Response(JSON.stringify(answer.body), {
    status: answer.status,
    headers: { ...answer.headers, ...(answer.status === 405 ? { Allow: "POST" } : {}) },
  });
}
