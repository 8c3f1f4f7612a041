import type { Hono } from "hono";
import { z } from "zod";
import {
  BrokerError,
  EVENT_KINDS,
  LEASE_STATES,
  parseBackendId,
  parseId,
  parseRoleName,
  type EventFilter,
  type Lease,
  type LeaseFilter,
} from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authenticateCaller, mustBeAdministrator, mustOwnTask, type Caller } from "../caller.ts";
import { durationSchema, idParam, PAGE_QUERY, pageOf, readJson, readQuery } from "../read-json.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import { decisionView, eventView, leaseView } from "../views/json-views.ts";
import { timeRange } from "./tasks.ts";

/** Leases, and what security teams ask of the ledger. */
export function leaseRoutes(app: Hono<Env>, ports: AppPorts): void {
  app.get("/v1/leases", async (c) => {
    mustBeAdministrator(await callerOf(c, ports));
    const query = readQuery(c, leaseQuery);
    const page = await ports.queries.leases(leaseFilter(query), pageOf(query));
    return c.json({ items: page.items.map(leaseView), next: page.next });
  });
  app.get("/v1/leases/:id", async (c) => c.json(leaseView((await ownLease(c, ports)).lease)));
  app.post("/v1/leases/:id/end", async (c) => {
    const input = await readJson(
      c,
      z.strictObject({ reason: z.string().min(1).max(1000).optional() }),
    );
    const { lease, caller } = await ownLease(c, ports);
    const ended = await ports.core.endLease(
      { leaseId: lease.id, by: caller.actor, reason: input.reason ?? "ended by its holder" },
      c.get("call"),
    );
    return c.json(leaseView(ended));
  });
  app.post("/v1/leases/:id/renew", async (c) => {
    const input = await readJson(c, z.strictObject({ ttl: durationSchema(604_800) }));
    const { lease, caller } = await ownLease(c, ports);
    if (caller.kind !== "task" || caller.task.id !== lease.taskId) {
      throw new BrokerError("denied", "A renewal needs the task's own token.", {
        where: "Authorization",
      });
    }
    const renewed = await ports.core.renewLease(
      { leaseId: lease.id, ttlSeconds: input.ttl, token: caller.token },
      c.get("call"),
    );
    return c.json(leaseView(renewed));
  });
}

/** Events, decisions and the verification of the log. */
export function ledgerRoutes(app: Hono<Env>, ports: AppPorts): void {
  app.get("/v1/events", async (c) => {
    mustBeAdministrator(await callerOf(c, ports));
    const query = readQuery(c, eventQuery);
    const page = await ports.queries.events(eventFilter(query), pageOf(query));
    return c.json({ items: page.items.map(eventView), next: page.next });
  });
  app.get("/v1/decisions/:id", async (c) => {
    const id = idParam(c, "decision");
    mustBeAdministrator(await callerOf(c, ports));
    const decision = await ports.queries.decision(id);
    if (decision === null)
      throw new BrokerError("not_found", `There is no decision ${id}.`, { where: "id" });
    return c.json(decisionView(decision));
  });
  app.get("/v1/ledger/counts", async (c) => {
    mustBeAdministrator(await callerOf(c, ports));
    return c.json(await ports.queries.counts());
  });
  app.post("/v1/ledger/verify", async (c) => {
    const input = await readJson(
      c,
      z.strictObject({ from: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional() }),
    );
    mustBeAdministrator(await callerOf(c, ports));
    return c.json(await ports.sequencer.verify(input.from ?? 0));
  });
}

const callerOf = (c: HttpContext, ports: AppPorts): Promise<Caller> =>
  authenticateCaller(ports, c.req.header("authorization"), c.get("call"));

/** The lease, if the caller may see its task. */
async function ownLease(
  c: HttpContext,
  ports: AppPorts,
): Promise<{ readonly lease: Lease; readonly caller: Caller }> {
  const id = idParam(c, "lease");
  const caller = await callerOf(c, ports);
  const lease = await ports.tasks.lease(id);
  if (lease !== null && caller.kind === "administrator") return { lease, caller };
  if (lease === null || lease.taskId === null) {
    throw new BrokerError("not_found", `There is no lease ${id} that this caller may see.`, {
      where: "id",
    });
  }
  mustOwnTask(caller, await ports.tasks.find(lease.taskId), lease.taskId);
  return { lease, caller };
}

const leaseQuery = z.strictObject({
  ...PAGE_QUERY,
  ...timeRange,
  task: z.string().optional(),
  workload: z.string().max(2304).optional(),
  initiator: z.string().max(512).optional(),
  backend: z.string().optional(),
  role: z.string().optional(),
  state: z.enum(LEASE_STATES).optional(),
  exposed: z.enum(["true", "false"]).optional(),
  fingerprint: z
    .string()
    .regex(/^[0-9a-f]{16,128}$/, "expected lowercase hex")
    .optional(),
});

function leaseFilter(query: z.infer<typeof leaseQuery>): LeaseFilter {
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

const eventQuery = z.strictObject({
  ...PAGE_QUERY,
  ...timeRange,
  task: z.string().optional(),
  lease: z.string().optional(),
  kind: z.enum(EVENT_KINDS).optional(),
});

function eventFilter(query: z.infer<typeof eventQuery>): EventFilter {
  return {
    ...(query.task === undefined ? {} : { taskId: parseId("task", query.task, "query.task") }),
    ...(query.lease === undefined ? {} : { leaseId: parseId("lease", query.lease, "query.lease") }),
    ...(query.kind === undefined ? {} : { kind: query.kind }),
    ...(query.from === undefined ? {} : { from: query.from }),
    ...(query.until === undefined ? {} : { until: query.until }),
  };
}
