import type { Hono } from "hono";
import { BrokerError, Secret, type Clock } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorityOf, LEDGER } from "../author.ts";
import { readJson } from "../read-json.ts";
import type { Env } from "../request-scope.ts";
import { traceSchema } from "../schemas/security.ts";
import { traceView } from "../views/security-views.ts";

/** Traces of one process, in a row and per second: nobody guesses at fingerprints through it. */
const TRACES_AT_ONCE = 60;
const TRACES_PER_SECOND = 1;

/** `POST /v1/trace`: where a leaked string came from. It is in the body and nowhere else. */
export function traceRoutes(app: Hono<Env>, ports: AppPorts): void {
  const mayTrace = paced(ports.clock);
  app.post("/v1/trace", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    mayTrace();
    const { text } = await readJson(c, traceSchema);
    return c.json(traceView(await ports.core.trace(ports.queries, Secret.of(text))));
  });
}

/** A bucket that fills again; throws `busy` when it is empty. */
function paced(clock: Pick<Clock, "monotonicMs">): () => void {
  let left = TRACES_AT_ONCE;
  let at = clock.monotonicMs();
  return () => {
    const now = clock.monotonicMs();
    left = Math.min(TRACES_AT_ONCE, left + ((now - at) / 1000) * TRACES_PER_SECOND);
    at = now;
    if (left < 1) {
      throw new BrokerError("busy", "Traces are paced: too many were asked for in a row.", {
        retryAfterSeconds: 1,
      });
    }
    left -= 1;
  };
}
