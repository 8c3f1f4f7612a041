import type { Hono } from "hono";
import { z } from "zod";
import {
  BrokerError,
  instantMs,
  parseId,
  TASK_STATES,
  type EndedTaskState,
  type TaskFilter,
} from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authenticateCaller, mustBeAdministrator, mustOwnTask } from "../caller.ts";
import { durationSchema, idParam, PAGE_QUERY, pageOf, readJson, readQuery } from "../read-json.ts";
import type { Env } from "../request-scope.ts";
import { decisionView, eventView, leaseView, taskView } from "../views/json-views.ts";

/** The longest that an end may be waited for in one call. */
const WAIT_SECONDS_MAX = 60;

const endSchema = z.strictObject({
  reason: z.string().min(1).max(1000).optional(),
  wait: durationSchema(WAIT_SECONDS_MAX).optional(),
});

const ENDINGS = {
  complete: "completed",
  fail: "failed",
  cancel: "cancelled",
  kill: "killed",
} as const satisfies Readonly<Record<string, EndedTaskState>>;

/** Tasks: read, heartbeat, end. Ending consults no policy. */
export function taskRoutes(app: Hono<Env>, ports: AppPorts): void {
  app.get("/v1/tasks", async (c) => {
    mustBeAdministrator(
      await authenticateCaller(ports, c.req.header("authorization"), c.get("call")),
    );
    const query = readQuery(c, listSchema);
    const page = await ports.queries.tasks(filterOf(query), pageOf(query));
    return c.json({ items: page.items.map(taskView), next: page.next });
  });
  app.get("/v1/tasks/:id", async (c) => {
    const id = idParam(c, "task");
    const caller = await authenticateCaller(ports, c.req.header("authorization"), c.get("call"));
    return c.json(taskView(mustOwnTask(caller, await ports.tasks.find(id), id)));
  });
  app.get("/v1/tasks/:id/chain", async (c) => {
    const id = idParam(c, "task");
    const caller = await authenticateCaller(ports, c.req.header("authorization"), c.get("call"));
    mustOwnTask(caller, await ports.tasks.find(id), id);
    const chain = await ports.queries.taskChain(id);
    if (chain === null) throw new BrokerError("not_found", `There is no task ${id}.`);
    return c.json({
      task: taskView(chain.task),
      descendants: chain.descendants.map(taskView),
      decisions: chain.decisions.map(decisionView),
      leases: chain.leases.map(leaseView),
      events: chain.events.map(eventView),
      truncated: chain.truncated,
    });
  });
  app.post("/v1/tasks/:id/heartbeat", async (c) => {
    const id = idParam(c, "task");
    await readJson(c, z.strictObject({}));
    const caller = await authenticateCaller(ports, c.req.header("authorization"), c.get("call"));
    if (caller.kind !== "task" || caller.task.id !== id) {
      throw new BrokerError("denied", "A heartbeat needs the task's own token.", {
        where: "Authorization",
      });
    }
    const beat = await ports.core.heartbeat(caller.token, c.get("call"));
    return c.json({
      task: taskView(beat.task),
      access_token: beat.taskToken.expose("reply"),
      token_type: "Bearer",
      expires_in: beat.taskTokenExpiresInSeconds,
    });
  });
  for (const [verb, state] of Object.entries(ENDINGS)) endRoute(app, ports, verb, state);
}

function endRoute(app: Hono<Env>, ports: AppPorts, verb: string, state: EndedTaskState): void {
  app.post(`/v1/tasks/:id/${verb}`, async (c) => {
    const id = idParam(c, "task");
    const input = await readJson(c, endSchema);
    const caller = await authenticateCaller(ports, c.req.header("authorization"), c.get("call"));
    mustOwnTask(caller, await ports.tasks.find(id), id);
    const ended = await ports.core.endTask(
      {
        taskId: id,
        by: caller.actor,
        state,
        reason: input.reason ?? verb,
        waitSeconds: input.wait ?? 0,
      },
      c.get("call"),
    );
    return c.json({ task: taskView(ended.task), leases: ended.leases.map(leaseView) });
  });
}

const instant = z.iso.datetime({ offset: true }).transform((text) => instantMs(Date.parse(text)));

const listSchema = z.strictObject({
  ...PAGE_QUERY,
  workload: z.string().max(2304).optional(),
  initiator: z.string().max(512).optional(),
  ref: z.string().max(256).optional(),
  state: z.enum(TASK_STATES).optional(),
  parent: z.string().optional(),
  from: instant.optional(),
  until: instant.optional(),
});

function filterOf(query: z.infer<typeof listSchema>): TaskFilter {
  return {
    ...(query.workload === undefined ? {} : { workload: query.workload }),
    ...(query.initiator === undefined ? {} : { initiator: query.initiator }),
    ...(query.ref === undefined ? {} : { ref: query.ref }),
    ...(query.state === undefined ? {} : { state: query.state }),
    ...(query.parent === undefined
      ? {}
      : { parentId: parseId("task", query.parent, "query.parent") }),
    ...(query.from === undefined ? {} : { from: query.from }),
    ...(query.until === undefined ? {} : { until: query.until }),
  };
}

export const timeRange = { from: instant.optional(), until: instant.optional() };
