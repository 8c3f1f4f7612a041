import type { Hono } from "hono";
import type { Core } from "@mayfly/core";
import { parseBackendId, tagOf, type BackendId } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorOf } from "../author.ts";
import { etagOf, preconditionOf } from "../precondition.ts";
import { readJson } from "../read-json.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import { backendSchema, nothingSchema } from "../schemas/administration.ts";
import { backendView, checkView } from "../views/administration-views.ts";

const backendParam = (c: HttpContext): BackendId =>
  parseBackendId(c.req.param("backend"), "backend");

/** As it is now, with its ETag. */
async function registered(
  c: HttpContext,
  { core }: AppPorts,
  { put, backend, selfCheck }: Awaited<ReturnType<Core["registerBackend"]>>,
) {
  c.header("ETag", etagOf(tagOf(backend)));
  const last = (await core.backendChecks()).get(backend.id);
  return { result: put, backend: backendView(backend, last), check: checkView(selfCheck) };
}

export function backendRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { core } = ports;
  app.get("/v1/backends", async (c) => {
    const { backends } = await core.readableCatalog(await authorOf(c, ports));
    const checks = await core.backendChecks();
    return c.json({
      items: backends.map((backend) => backendView(backend, checks.get(backend.id))),
    });
  });
  app.get("/v1/backends/:backend", async (c) => {
    const backend = await core.readBackend(backendParam(c), await authorOf(c, ports));
    c.header("ETag", etagOf(tagOf(backend)));
    return c.json(backendView(backend, (await core.backendChecks()).get(backend.id)));
  });
  app.put("/v1/backends/:backend", async (c) => {
    const by = await authorOf(c, ports);
    const precondition = preconditionOf(c);
    const { type, config, enabled } = await readJson(c, backendSchema);
    const registration = {
      id: backendParam(c),
      type,
      config,
      ...(enabled === undefined ? {} : { enabled }),
    };
    const done = await core.registerBackend(registration, by, c.get("call"), precondition);
    return c.json(await registered(c, ports, done), done.put === "created" ? 201 : 200);
  });
  app.post("/v1/backends/:backend/test", async (c) => {
    const by = await authorOf(c, ports);
    await readJson(c, nothingSchema);
    return c.json(checkView(await core.testBackend(backendParam(c), by, c.get("call"))));
  });
  app.post("/v1/backends/:backend/rotate", async (c) => {
    const by = await authorOf(c, ports);
    await readJson(c, nothingSchema);
    const done = await core.rotateBackend(backendParam(c), by, c.get("call"));
    return c.json(await registered(c, ports, done));
  });
  for (const [verb, enabled] of [
    ["enable", true],
    ["disable", false],
  ] as const) {
    app.post(`/v1/backends/:backend/${verb}`, async (c) => {
      const by = await authorOf(c, ports);
      await readJson(c, nothingSchema);
      await core.setBackendEnabled(backendParam(c), enabled, by, preconditionOf(c));
      return c.json({ backend: backendParam(c), enabled });
    });
  }
  app.delete("/v1/backends/:backend", async (c) => {
    const by = await authorOf(c, ports);
    await core.deleteBackend(backendParam(c), by, preconditionOf(c));
    return c.body(null, 204);
  });
}
