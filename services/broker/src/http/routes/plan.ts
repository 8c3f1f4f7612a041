import type { Hono } from "hono";
import type { z } from "zod";
import { policyProblemJson, type Author, type Planned } from "@mayfly/core";
import { BrokerError, type JsonObject } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorOf } from "../author.ts";
import { knownError, problemAnswer } from "../problem.ts";
import { readJson } from "../read-json.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import type { policiesSchema } from "../schemas/administration.ts";
import { planSchema } from "../schemas/plan.ts";

/**
 * `POST /v1/plan`: what registering these objects would change, field by field, or why each would
 * be refused. It makes the self-checks of registering and writes nothing. A secret is compared
 * here, and answered as changed or not: never its text.
 */
export function planRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { core } = ports;
  app.post("/v1/plan", async (c) => {
    const by = await authorOf(c, ports);
    const body = await readJson(c, planSchema);
    const { trust, backend, roles, resource_servers, policies } = body;
    const objects: JsonObject[] = [];
    for (const planned of await core.planTrustRoots(trust, by)) {
      objects.push(plannedView("trust", planned, c, ports));
    }
    if (backend !== undefined || roles.length > 0) {
      const registration =
        backend === undefined
          ? null
          : {
              id: backend.backend,
              type: backend.type,
              config: backend.config,
              ...(backend.enabled === undefined ? {} : { enabled: backend.enabled }),
            };
      const before = body.before.map(({ backend: id, config }) => ({ id, config }));
      const request = { backend: registration, roles, before };
      const plan = await core.planBackend(request, by, c.get("call"));
      if (plan.backend !== null) objects.push(plannedView("backend", plan.backend, c, ports));
      for (const role of plan.roles) objects.push(plannedView("role", role, c, ports));
    }
    for (const planned of await core.planResourceServers(resource_servers, by)) {
      objects.push(plannedView("resource_server", planned, c, ports));
    }
    if (policies !== undefined) objects.push(await policiesView(c, ports, policies.sources, by));
    return c.json({ objects });
  });
}

async function policiesView(
  c: HttpContext,
  ports: AppPorts,
  sources: z.infer<typeof policiesSchema>["sources"],
  by: Author,
): Promise<JsonObject> {
  const name = "policies";
  try {
    const { put, digest, locksOut, warnings } = await ports.core.planPolicies(sources, by);
    const before = (await ports.core.catalogView()).policies?.digest ?? null;
    const changes =
      put === "unchanged" ? [] : [{ path: "digest", from: before, to: digest, secret: false }];
    const planned = plannedView("policies", { name, put, changes, tag: before }, c, ports);
    const shown = warnings.map((warning): JsonObject => policyProblemJson(warning));
    return { ...planned, warnings: shown, locks_out_caller: locksOut };
  } catch (error) {
    if (!BrokerError.is(error)) throw error;
    return plannedView("policies", { name, refused: error }, c, ports);
  }
}

function plannedView(kind: string, planned: Planned, c: HttpContext, ports: AppPorts): JsonObject {
  const { name } = planned;
  if ("refused" in planned) {
    const { traceId } = c.get("call");
    const error = knownError(planned.refused, ports.log.child({ trace: traceId }));
    return {
      kind,
      name,
      result: "refused",
      changes: [],
      tag: null,
      error: problemAnswer(error, traceId, ports.settings.issuer).body,
    };
  }
  const changes = planned.changes.map(({ path, from, to, secret }) => ({ path, from, to, secret }));
  return { kind, name, result: planned.put, changes, tag: planned.tag, error: null };
}
