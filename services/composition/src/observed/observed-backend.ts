import { aroundCalls } from "@mayfly/backend-kit";
import type { CredentialBackend, OpenBackend } from "@mayfly/spec";
import { OK, watch, type Observing } from "./observe.ts";
import { overriding } from "./observed-ledger.ts";

/** A backend type whose opened backends time each call to the backend. */
export const observedBackend = (type: CredentialBackend, observing: Observing): CredentialBackend =>
  overriding(type, {
    open: (config, host) => {
      try {
        return observedOpen(type.open(config, host), type.type, host.backendId, observing);
      } catch (error) {
        observing.metrics.add("mayfly_config_load_failures_total", { part: "backend" });
        throw error;
      }
    },
  });

function observedOpen(
  open: OpenBackend,
  type: string,
  backend: string,
  observing: Observing,
): OpenBackend {
  const timed = <T>(operation: string, call: () => Promise<T>): Promise<T> => {
    const attributes = { "mayfly.backend.id": backend, "mayfly.backend.type": type };
    const step = { name: `backend.${operation}`, kind: "client", attributes } as const;
    return watch(observing, step, call, (seconds, outcome) =>
      observing.metrics.observe(
        "mayfly_backend_call_seconds",
        { backend, operation, outcome: outcome === OK ? OK : "failed" },
        seconds,
      ),
    );
  };
  return aroundCalls(open, (operation, context, call) => timed(operation, () => call(context)));
}
