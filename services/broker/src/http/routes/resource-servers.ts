import type { Hono } from "hono";
import { parseResourceServerName, tagOf, type ResourceServerName } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorOf } from "../author.ts";
import { etagOf, preconditionOf } from "../precondition.ts";
import { readJson } from "../read-json.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import { nothingSchema } from "../schemas/administration.ts";
import { resourceServerSchema } from "../schemas/resource-servers.ts";
import { resourceServerView } from "../views/resource-server-view.ts";

const LIST = "/v1/resource-servers";
const ONE = `${LIST}/:name`;
const nameParam = (c: HttpContext): ResourceServerName =>
  parseResourceServerName(c.req.param("name"), "name");

export function resourceServerRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { core } = ports;
  app.get(LIST, async (c) => {
    const { resourceServers } = await core.readableCatalog(await authorOf(c, ports));
    return c.json({ items: resourceServers.map(resourceServerView) });
  });
  app.get(ONE, async (c) => {
    const server = await core.readResourceServer(nameParam(c), await authorOf(c, ports));
    c.header("ETag", etagOf(tagOf(server)));
    return c.json(resourceServerView(server));
  });
  app.put(ONE, async (c) => {
    const by = await authorOf(c, ports);
    const precondition = preconditionOf(c);
    const input = { ...(await readJson(c, resourceServerSchema)), resource_server: nameParam(c) };
    const { put, server } = await core.putResourceServer(input, by, precondition);
    c.header("ETag", etagOf(tagOf(server)));
    const { name, revision } = server;
    return c.json({ result: put, name, revision }, put === "created" ? 201 : 200);
  });
  for (const [verb, enabled] of [
    ["enable", true],
    ["disable", false],
  ] as const) {
    app.post(`${ONE}/${verb}`, async (c) => {
      const by = await authorOf(c, ports);
      await readJson(c, nothingSchema);
      await core.setResourceServerEnabled(nameParam(c), enabled, by, preconditionOf(c));
      return c.json({ name: nameParam(c), enabled });
    });
  }
  app.delete(ONE, async (c) => {
    const by = await authorOf(c, ports);
    await core.deleteResourceServer(nameParam(c), by, preconditionOf(c));
    return c.body(null, 204);
  });
}
