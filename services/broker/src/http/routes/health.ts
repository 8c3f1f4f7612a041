import type { Hono } from "hono";
import type { AppPorts } from "../app.ts";
import type { Env } from "../request-scope.ts";

/** Liveness says that the process runs; readiness that it can read its ledger now. */
export function healthRoutes(app: Hono<Env>, ports: AppPorts): void {
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.get("/readyz", async (c) => {
    const ready = await ports.readiness();
    return c.json({ status: ready ? "ready" : "not_ready" }, ready ? 200 : 503, {
      "Cache-Control": "no-store",
    });
  });
}
