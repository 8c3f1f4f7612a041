import type { Hono } from "hono";
import type { z } from "zod";
import type { EndTaskRequest, HeartbeatProof } from "@mayfly/core";
import { BrokerError, parseId, type TaskFilter, type TaskId } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorityOf, LEDGER, taskFor } from "../author.ts";
import { callerOf, presentedIn } from "../caller.ts";
import { idParam, pageOf, readJson, readQuery } from "../read-json.ts";
import { goneSignal } from "../reply-delivery.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import { endTaskSchema, heartbeatSchema, tasksQuery } from "../schemas/tasks.ts";
import { secondsLeft } from "../seconds-left.ts";
import { tokenTypeOf } from "../token-type.ts";
import { decisionView, eventView, leaseView, taskView } from "../views/json-views.ts";

const ENDINGS = {
  complete: "completed",
  fail: "failed",
  cancel: "cancelled",
  kill: "killed",
} as const satisfies Readonly<Record<string, EndTaskRequest["state"]>>;

/** Tasks: read, heartbeat, end. Ending consults no policy. */
export function taskRoutes(app: Hono<Env>, ports: AppPorts): void {
  app.get("/v1/tasks", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const query = readQuery(c, tasksQuery);
    const page = await ports.queries.tasks(filterOf(query), pageOf(query));
    return c.json({ items: page.items.map(taskView), next: page.next });
  });
  app.get("/v1/tasks/:id", async (c) => {
    const { task } = await taskFor(c, ports, idParam(c, "task"), "read");
    return c.json(taskView(task));
  });
  app.get("/v1/tasks/:id/chain", async (c) => {
    const id = idParam(c, "task");
    await taskFor(c, ports, id, "read");
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
    const proof = await heartbeatProof(c, ports, idParam(c, "task"));
    await readJson(c, heartbeatSchema);
    const beat = await ports.core.heartbeat(proof, c.get("call"));
    return c.json({
      task: taskView(beat.task),
      access_token: beat.taskToken.expose("reply"),
      token_type: tokenTypeOf(beat.task),
      expires_in: secondsLeft(ports.clock, beat.taskTokenExpiresAt),
    });
  });
  for (const [verb, state] of Object.entries(ENDINGS)) endRoute(app, ports, verb, state);
}

/**
 * The task's own token, or a fresh identity. That one is the core's to verify: its use is recorded
 * with the heartbeat, if it counts once.
 */
async function heartbeatProof(
  c: HttpContext,
  ports: AppPorts,
  id: TaskId,
): Promise<HeartbeatProof> {
  const { kind, token } = await presentedIn(c, ports);
  if (kind === "workload") return { taskId: id, presented: { kind: "jwt", token } };
  const caller = await callerOf(c, ports);
  if (caller.kind === "task" && caller.task.id === id) return { token };
  throw new BrokerError(
    "denied",
    "A heartbeat needs the task's own token, or a fresh token of its workload.",
    { where: "Authorization" },
  );
}

function endRoute(
  app: Hono<Env>,
  ports: AppPorts,
  verb: string,
  state: EndTaskRequest["state"],
): void {
  app.post(`/v1/tasks/:id/${verb}`, async (c) => {
    const id = idParam(c, "task");
    const action = state === "killed" ? "kill" : "end";
    const { actor, decisionId } = await taskFor(c, ports, id, action);
    const input = await readJson(c, endTaskSchema);
    const call = c.get("call");
    // Who has gone is waited for no longer; the end itself goes on.
    const signal = AbortSignal.any([call.signal, goneSignal(c.env?.outgoing)]);
    const ended = await ports.core.endTask(
      {
        taskId: id,
        by: actor,
        decisionId,
        state,
        reason: input.reason ?? verb,
        waitSeconds: input.wait ?? 0,
      },
      { ...call, signal },
    );
    return c.json({ task: taskView(ended.task), leases: ended.leases.map(leaseView) });
  });
}

function filterOf(query: z.infer<typeof tasksQuery>): TaskFilter {
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
