import type { Hono } from "hono";
import type { AppPorts } from "../app.ts";
import { callerOf } from "../caller.ts";
import type { Env, HttpContext } from "../request-scope.ts";

/** One thing that readiness looks at, with words for an administrator. */
export interface ReadinessCheck {
  readonly name: "process" | "ledger" | "schema" | "signing_keys" | "sweep" | "certificate";
  readonly ok: boolean;
  /**
   * Whether requests should go elsewhere while it is not ok. A late sweep is none of these: it
   * pauses issuing everywhere alike, and ends have to come through.
   */
  readonly isRequired: boolean;
  readonly detail: string;
}

/**
 * Liveness says that the process runs; readiness that requests should come here: it is not
 * stopping, reads its ledger in a schema that it knows, could write to it, and has keys to sign
 * with. Why not is told to the administrator alone.
 */
export function healthRoutes(app: Hono<Env>, ports: AppPorts): void {
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.get("/readyz", async (c) => {
    const checks = await ports.readiness();
    const ready = checks.every(({ ok, isRequired }) => ok || !isRequired);
    const status = ready ? "ready" : "not_ready";
    const shown = (await mayRead(c, ports))
      ? { status, checks: checks.map(checkView) }
      : { status };
    return c.json(shown, ready ? 200 : 503, { "Cache-Control": "no-store" });
  });
}

const checkView = ({ name, ok, isRequired, detail }: ReadinessCheck) => ({
  name,
  ok,
  required: isRequired,
  detail,
});

const mayRead = async (c: HttpContext, ports: AppPorts): Promise<boolean> =>
  c.req.header("authorization") !== undefined &&
  (await callerOf(c, ports)).kind === "administrator";
