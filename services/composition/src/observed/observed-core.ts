import type { Core } from "@mayfly/core";
import { watch, type Observing } from "./observe.ts";
import { overriding } from "./observed-ledger.ts";

/** The use cases that people ask about: how long, and what came of it. */
export const observedCore = (core: Core, observing: Observing): Core =>
  overriding(core, { ...observedRequests(core, observing), ...observedWork(core, observing) });

function observedRequests(core: Core, observing: Observing) {
  const { metrics, tracer } = observing;
  return {
    exchange: (request, context) =>
      watch(
        observing,
        { name: "exchange", kind: "internal", attributes: {} },
        () => core.exchange(request, context),
        (seconds, came) => {
          const outcome = came === "ok" ? "issued" : came;
          metrics.observe("mayfly_exchange_seconds", { outcome }, seconds);
          if (came === "idempotency_mismatch")
            metrics.add("mayfly_idempotency_conflicts_total", {});
        },
      ),
    endTask: (request, context) =>
      tracer.span(
        {
          name: "end task",
          kind: "internal",
          attributes: { "mayfly.task.id": request.taskId, "mayfly.task.state": request.state },
        },
        () => core.endTask(request, context),
      ),
    endLease: (request, context) =>
      tracer.span(
        {
          name: "end lease",
          kind: "internal",
          attributes: { "mayfly.lease.id": request.leaseId },
        },
        () => core.endLease(request, context),
      ),
  } satisfies Partial<Core>;
}

/** Of the worker, and of an end that is waited for. */
function observedWork(core: Core, { metrics, tracer, clock }: Observing) {
  return {
    runPass: (backendId, context) =>
      tracer.span(
        { name: "pass", kind: "internal", attributes: { "mayfly.backend.id": backendId } },
        async (span) => {
          const result = await core.runPass(backendId, context);
          span.set({ "mayfly.pass.claimed": result.claimed, "mayfly.pass.ended": result.ended });
          return result;
        },
      ),
    sweep: async (context) => {
      const startedMs = clock.monotonicMs();
      const took = (outcome: "ok" | "failed"): void =>
        metrics.observe(
          "mayfly_sweep_seconds",
          { outcome },
          (clock.monotonicMs() - startedMs) / 1000,
        );
      try {
        const result = await core.sweep(context);
        if (result.strays > 0) metrics.add("mayfly_strays_total", {}, result.strays);
        took("ok");
        return result;
      } catch (error) {
        took("failed");
        throw error;
      }
    },
    listOrphans: async (backendId, context) => {
      const result = await core.listOrphans(backendId, context);
      const { orphans, foreign, unverified } = result;
      metrics.add("mayfly_orphans_total", { backend: backendId }, orphans.length);
      const alien = (mark: "foreign" | "unverified", count: number): void =>
        metrics.add("mayfly_alien_marks_total", { backend: backendId, mark }, count);
      alien("foreign", foreign);
      alien("unverified", unverified);
      return result;
    },
  } satisfies Partial<Core>;
}
