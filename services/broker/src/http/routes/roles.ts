import type { Hono } from "hono";
import { parseRoleName, tagOf, type RoleName } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorOf } from "../author.ts";
import { etagOf, preconditionOf } from "../precondition.ts";
import { readJson } from "../read-json.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import { nothingSchema, roleSchema } from "../schemas/administration.ts";
import { checkView, roleView, sampleView } from "../views/administration-views.ts";

const roleParam = (c: HttpContext): RoleName =>
  parseRoleName(`${c.req.param("backend") ?? ""}/${c.req.param("shape") ?? ""}`, "role");

export function roleRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { core } = ports;
  app.get("/v1/roles", async (c) => {
    const { roles } = await core.readableCatalog(await authorOf(c, ports));
    return c.json({ items: roles.map(roleView) });
  });
  app.get("/v1/roles/:backend/:shape", async (c) => {
    const role = await core.readRole(roleParam(c), await authorOf(c, ports));
    c.header("ETag", etagOf(tagOf(role)));
    return c.json(roleView(role));
  });
  app.put("/v1/roles/:backend/:shape", async (c) => {
    const by = await authorOf(c, ports);
    const precondition = preconditionOf(c);
    const input = { ...(await readJson(c, roleSchema)), role: roleParam(c) };
    const { put, role } = await core.putRole(input, by, c.get("call"), precondition);
    c.header("ETag", etagOf(tagOf(role)));
    return c.json({ result: put, role: roleView(role) }, put === "created" ? 201 : 200);
  });
  app.post("/v1/roles/:backend/:shape/test", async (c) => {
    const by = await authorOf(c, ports);
    await readJson(c, nothingSchema);
    const { check, sample } = await core.testRole(roleParam(c), by, c.get("call"));
    return c.json({ check: checkView(check), sample: sampleView(sample) });
  });
  for (const [verb, enabled] of [
    ["enable", true],
    ["disable", false],
  ] as const) {
    app.post(`/v1/roles/:backend/:shape/${verb}`, async (c) => {
      const by = await authorOf(c, ports);
      await readJson(c, nothingSchema);
      await core.setRoleEnabled(roleParam(c), enabled, by, preconditionOf(c));
      return c.json({ role: roleParam(c), enabled });
    });
  }
  app.delete("/v1/roles/:backend/:shape", async (c) => {
    const by = await authorOf(c, ports);
    await core.deleteRole(roleParam(c), by, preconditionOf(c));
    return c.body(null, 204);
  });
}
