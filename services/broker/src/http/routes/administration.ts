import type { Hono } from "hono";
import {
  BrokerError,
  parseBackendId,
  parseRoleName,
  parseTrustRootName,
  type BackendId,
  type RoleName,
  type SelfCheck,
  type TrustRootName,
} from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { administratorOf } from "../caller.ts";
import { readJson } from "../read-json.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import {
  backendSchema,
  nothingSchema,
  policiesSchema,
  roleSchema,
  trustSchema,
} from "../schemas/administration.ts";
import { backendView, instantText, roleView } from "../views/json-views.ts";

/** What platform teams register. Every answer is without secrets. */
export function administrationRoutes(app: Hono<Env>, ports: AppPorts): void {
  backendRoutes(app, ports);
  roleRoutes(app, ports);
  trustAndPolicyRoutes(app, ports);
}

const backendParam = (c: HttpContext): BackendId =>
  parseBackendId(c.req.param("backend"), "backend");
const roleParam = (c: HttpContext): RoleName =>
  parseRoleName(`${c.req.param("backend") ?? ""}/${c.req.param("shape") ?? ""}`, "role");
const trustParam = (c: HttpContext): TrustRootName =>
  parseTrustRootName(c.req.param("name"), "name");

const checkView = (check: SelfCheck) => ({
  upstream_identity: check.upstreamIdentity,
  clock_skew_ms: check.clockSkewMs,
  facts: check.facts,
  problems: check.problems.map((problem) => ({ ...problem })),
});

function backendRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { core } = ports;
  app.get("/v1/backends", async (c) => {
    await administratorOf(c, ports);
    const view = await core.catalogView();
    return c.json({ items: view.backends.map(backendView) });
  });
  app.get("/v1/backends/:backend", async (c) => {
    await administratorOf(c, ports);
    const id = backendParam(c);
    const found = (await core.catalogView()).backends.find((backend) => backend.id === id);
    if (found === undefined)
      throw new BrokerError("not_found", `There is no backend ${id}.`, { where: "backend" });
    return c.json(backendView(found));
  });
  app.put("/v1/backends/:backend", async (c) => {
    const actor = await administratorOf(c, ports);
    const input = await readJson(c, backendSchema);
    const done = await core.registerBackend(
      {
        id: backendParam(c),
        type: input.type,
        config: input.config,
        ...(input.enabled === undefined ? {} : { enabled: input.enabled }),
      },
      actor,
      c.get("call"),
    );
    return c.json(
      { result: done.put, backend: backendView(done.backend), check: checkView(done.selfCheck) },
      done.put === "created" ? 201 : 200,
    );
  });
  app.post("/v1/backends/:backend/test", async (c) => {
    await administratorOf(c, ports);
    await readJson(c, nothingSchema);
    return c.json(checkView(await core.testBackend(backendParam(c), c.get("call"))));
  });
  for (const [verb, enabled] of [
    ["enable", true],
    ["disable", false],
  ] as const) {
    app.post(`/v1/backends/:backend/${verb}`, async (c) => {
      const actor = await administratorOf(c, ports);
      await readJson(c, nothingSchema);
      await core.setBackendEnabled(backendParam(c), enabled, actor);
      return c.json({ backend: backendParam(c), enabled });
    });
  }
  app.delete("/v1/backends/:backend", async (c) => {
    const actor = await administratorOf(c, ports);
    await core.deleteBackend(backendParam(c), actor);
    return c.body(null, 204);
  });
}

function roleRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { core } = ports;
  app.get("/v1/roles", async (c) => {
    await administratorOf(c, ports);
    return c.json({ items: (await core.catalogView()).roles.map(roleView) });
  });
  app.put("/v1/roles/:backend/:shape", async (c) => {
    const actor = await administratorOf(c, ports);
    const input = await readJson(c, roleSchema);
    const done = await core.putRole({ ...input, role: roleParam(c) }, actor, c.get("call"));
    return c.json(
      { result: done.put, role: roleView(done.role) },
      done.put === "created" ? 201 : 200,
    );
  });
  app.delete("/v1/roles/:backend/:shape", async (c) => {
    const actor = await administratorOf(c, ports);
    await core.deleteRole(roleParam(c), actor);
    return c.body(null, 204);
  });
}

function trustAndPolicyRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { core } = ports;
  app.get("/v1/trust", async (c) => {
    await administratorOf(c, ports);
    return c.json({ items: (await core.catalogView()).trustRoots.map((root) => ({ ...root })) });
  });
  app.put("/v1/trust/:name", async (c) => {
    const actor = await administratorOf(c, ports);
    const input = await readJson(c, trustSchema);
    const { put, trustRoot } = await core.putTrustRoot({ ...input, trust: trustParam(c) }, actor);
    const { name } = trustRoot;
    return c.json({ result: put, name }, put === "created" ? 201 : 200);
  });
  app.delete("/v1/trust/:name", async (c) => {
    const actor = await administratorOf(c, ports);
    await core.deleteTrustRoot(trustParam(c), actor);
    return c.body(null, 204);
  });
  app.get("/v1/policies", async (c) => {
    await administratorOf(c, ports);
    const bundle = (await core.catalogView()).policies;
    if (bundle === null) return c.json({ digest: null, sources: [], activated_at: null });
    return c.json({
      digest: bundle.digest,
      sources: bundle.sources.map((source) => ({ ...source })),
      activated_at: instantText(bundle.activatedAt),
    });
  });
  app.put("/v1/policies", async (c) => {
    const actor = await administratorOf(c, ports);
    const input = await readJson(c, policiesSchema);
    const done = await core.activatePolicies(input.sources, actor);
    return c.json({ result: done.put, digest: done.digest });
  });
}
