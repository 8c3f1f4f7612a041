import { BrokerError, type Clock, type Log } from "@mayfly/spec";
import { serveInternally, type InternalListener } from "@mayfly/telemetry";
import { recentLook } from "./recent-look.ts";

export interface HealthCheck {
  readonly name: string;
  readonly ok: boolean;
}

export interface Health {
  /** Whether the process works on; what is not ok is mended by a restart alone. */
  alive(): readonly HealthCheck[];
  /** Whether it can do its work now. Never rejects. */
  ready(): Promise<readonly HealthCheck[]>;
}

/** How old an answer may be: it asks the ledger and the queue that the work needs. */
const READY_MS_MAX = 1000;
/** A check that is not answered in time is one that is not ok. */
const WAIT_MS_MAX = 3000;

/** `GET /healthz` and `GET /readyz`: 200 or 503, with each check by name. */
export async function serveHealth(
  listen: { readonly host: string; readonly port: number },
  health: Health,
  ports: { readonly clock: Clock; readonly log: Log },
): Promise<InternalListener> {
  const ready = recentLook(ports.clock, READY_MS_MAX, () => within(ports.clock, health.ready()));
  const answer = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (pathname !== "/healthz" && pathname !== "/readyz") {
      return new Response(null, { status: 404 });
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      return new Response(null, { status: 405, headers: { allow: "GET, HEAD" } });
    }
    const isLiveness = pathname === "/healthz";
    const checks = isLiveness ? health.alive() : await ready();
    const ok = checks.every((each) => each.ok);
    const status = isLiveness ? (ok ? "ok" : "not_ok") : ok ? "ready" : "not_ready";
    const shown = { status, checks: checks.map((each) => ({ name: each.name, ok: each.ok })) };
    const headers = { "content-type": "application/json", "cache-control": "no-store" };
    const body = request.method === "HEAD" ? null : JSON.stringify(shown);
    return new Response(body, { status: ok ? 200 : 503, headers });
  };
  return serveInternally(listen, { what: "health", answer }, ports.log).catch((cause: unknown) => {
    throw new BrokerError(
      "config_invalid",
      "MAYFLY_HEALTH_LISTEN: this address cannot be listened on; free it, or name another.",
      { where: "MAYFLY_HEALTH_LISTEN", cause },
    );
  });
}

async function within(
  clock: Clock,
  looking: Promise<readonly HealthCheck[]>,
): Promise<readonly HealthCheck[]> {
  const done = new AbortController();
  const late = clock.sleep(WAIT_MS_MAX, done.signal).then(
    () => [{ name: "in_time", ok: false }],
    () => [],
  );
  try {
    return await Promise.race([looking, late]);
  } finally {
    done.abort();
  }
}
