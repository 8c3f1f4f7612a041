import type { Hono } from "hono";
import type { z } from "zod";
import {
  BrokerError,
  parseBackendId,
  parseId,
  parseRoleName,
  type EventFilter,
  type LeaseFilter,
} from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorityOf, leaseFor, LEDGER } from "../author.ts";
import { requireKnownNames } from "../known-names.ts";
import { idParam, pageOf, readJson, readQuery } from "../read-json.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import {
  endLeaseSchema,
  eventsQuery,
  leasesQuery,
  renewSchema,
  verifySchema,
} from "../schemas/leases.ts";
import {
  countsView,
  decisionView,
  eventView,
  leaseView,
  verificationView,
} from "../views/json-views.ts";

/** Leases, and what security teams ask of the ledger. */
export function leaseRoutes(app: Hono<Env>, ports: AppPorts): void {
  app.get("/v1/leases", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const query = readQuery(c, leasesQuery);
    const filter = leaseFilter(query);
    const page = await ports.queries.leases(filter, pageOf(query));
    await requireKnownFilter(c, ports, filter, page);
    return c.json({ items: page.items.map(leaseView), next: page.next });
  });
  app.get("/v1/leases/:id", async (c) => {
    const { lease } = await leaseFor(c, ports, idParam(c, "lease"), "read");
    return c.json(leaseView(lease));
  });
  app.post("/v1/leases/:id/end", async (c) => {
    const { lease, actor, decisionId } = await leaseFor(c, ports, idParam(c, "lease"), "end");
    const input = await readJson(c, endLeaseSchema);
    const by = actor.kind === "administrator" ? "an administrator" : "its holder";
    const ended = await ports.core.endLease(
      { leaseId: lease.id, by: actor, reason: input.reason ?? `ended by ${by}`, decisionId },
      c.get("call"),
    );
    return c.json(leaseView(ended));
  });
  app.post("/v1/leases/:id/renew", async (c) => {
    const { lease, caller } = await leaseFor(c, ports, idParam(c, "lease"), "read");
    const input = await readJson(c, renewSchema);
    if (caller.kind !== "task" || caller.task.id !== lease.taskId) {
      throw new BrokerError("denied", "A renewal needs the task's own token.", {
        where: "Authorization",
        public: { hint: "Send the task token that the exchange or the last heartbeat gave." },
      });
    }
    const renewed = await ports.core.renewLease(
      { leaseId: lease.id, ttlSeconds: input.ttl ?? null, task: caller.task },
      c.get("call"),
    );
    return c.json(leaseView(renewed));
  });
}

/** Events, decisions and the verification of the log. */
export function ledgerRoutes(app: Hono<Env>, ports: AppPorts): void {
  app.get("/v1/events", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const query = readQuery(c, eventsQuery);
    const page = await ports.queries.events(eventFilter(query), pageOf(query));
    return c.json({ items: page.items.map(eventView), next: page.next });
  });
  app.get("/v1/decisions/:id", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const id = idParam(c, "decision");
    const decision = await ports.queries.decision(id);
    if (decision === null)
      throw new BrokerError("not_found", `There is no decision ${id}.`, { where: "id" });
    return c.json(decisionView(decision));
  });
  app.get("/v1/ledger/counts", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    return c.json(countsView(await ports.queries.counts()));
  });
  app.post("/v1/ledger/verify", async (c) => {
    await authorityOf(c, ports, "verify", LEDGER);
    const input = await readJson(c, verifySchema);
    return c.json(verificationView(await ports.sequencer.verify(input.from ?? 0)));
  });
}

/** A list of nothing is no answer to a name that nobody ever registered. */
export async function requireKnownFilter(
  c: HttpContext,
  ports: AppPorts,
  { backendId, role }: Pick<LeaseFilter, "backendId" | "role">,
  { items }: { readonly items: readonly unknown[] },
): Promise<void> {
  if (items.length > 0) return;
  await requireKnownNames(c, ports, {
    names: {
      ...(backendId === undefined ? {} : { backendId }),
      ...(role === undefined ? {} : { role }),
    },
    where: "query",
    hint: "",
    finds: async () => false,
  });
}

export function leaseFilter(
  query: Omit<z.infer<typeof leasesQuery>, "fingerprint"> & {
    readonly fingerprint?: string | undefined;
  },
): LeaseFilter {
  return {
    ...(query.task === undefined ? {} : { taskId: parseId("task", query.task, "query.task") }),
    ...(query.workload === undefined ? {} : { workload: query.workload }),
    ...(query.initiator === undefined ? {} : { initiator: query.initiator }),
    ...(query.backend === undefined
      ? {}
      : { backendId: parseBackendId(query.backend, "query.backend") }),
    ...(query.role === undefined ? {} : { role: parseRoleName(query.role, "query.role") }),
    ...(query.state === undefined ? {} : { state: query.state }),
    ...(query.exposed === undefined ? {} : { exposed: query.exposed === "true" }),
    ...(query.fingerprint === undefined ? {} : { fingerprint: query.fingerprint }),
    ...(query.from === undefined ? {} : { from: query.from }),
    ...(query.until === undefined ? {} : { until: query.until }),
  };
}

function eventFilter(query: z.infer<typeof eventsQuery>): EventFilter {
  return {
    ...(query.task === undefined ? {} : { taskId: parseId("task", query.task, "query.task") }),
    ...(query.lease === undefined ? {} : { leaseId: parseId("lease", query.lease, "query.lease") }),
    ...(query.kind === undefined ? {} : { kind: query.kind }),
    ...(query.from === undefined ? {} : { from: query.from }),
    ...(query.until === undefined ? {} : { until: query.until }),
  };
}
