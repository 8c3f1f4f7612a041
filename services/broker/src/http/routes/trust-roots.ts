import type { Hono } from "hono";
import { parseTrustRootName, tagOf, type TrustRootName } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorOf } from "../author.ts";
import { etagOf, preconditionOf } from "../precondition.ts";
import { readJson } from "../read-json.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import { nothingSchema, trustSchema } from "../schemas/administration.ts";
import { trustPreviewView, trustRootView, trustTestView } from "../views/administration-views.ts";

const trustParam = (c: HttpContext): TrustRootName =>
  parseTrustRootName(c.req.param("name"), "name");

export function trustRootRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { core } = ports;
  app.get("/v1/trust", async (c) => {
    const { trustRoots } = await core.readableCatalog(await authorOf(c, ports));
    return c.json({ items: trustRoots.map(trustRootView) });
  });
  app.get("/v1/trust/:name", async (c) => {
    const root = await core.readTrustRoot(trustParam(c), await authorOf(c, ports));
    c.header("ETag", etagOf(tagOf(root)));
    return c.json(trustRootView(root));
  });
  app.put("/v1/trust/:name", async (c) => {
    const by = await authorOf(c, ports);
    const precondition = preconditionOf(c);
    const input = { ...(await readJson(c, trustSchema)), trust: trustParam(c) };
    const { put, trustRoot } = await core.putTrustRoot(input, by, precondition);
    c.header("ETag", etagOf(tagOf(trustRoot)));
    const { name, revision } = trustRoot;
    return c.json({ result: put, name, revision }, put === "created" ? 201 : 200);
  });
  app.post("/v1/trust/:name/test", async (c) => {
    const by = await authorOf(c, ports);
    await readJson(c, nothingSchema);
    return c.json(trustTestView(await core.testTrustRoot(trustParam(c), by, c.get("call"))));
  });
  app.post("/v1/trust/:name/preview", async (c) => {
    const by = await authorOf(c, ports);
    const input = { ...(await readJson(c, trustSchema)), trust: trustParam(c) };
    return c.json(trustPreviewView(await core.previewTrustRoot(input, by, c.get("call"))));
  });
  for (const [verb, enabled] of [
    ["enable", true],
    ["disable", false],
  ] as const) {
    app.post(`/v1/trust/:name/${verb}`, async (c) => {
      const by = await authorOf(c, ports);
      await readJson(c, nothingSchema);
      await core.setTrustRootEnabled(trustParam(c), enabled, by, preconditionOf(c));
      return c.json({ name: trustParam(c), enabled });
    });
  }
  app.delete("/v1/trust/:name", async (c) => {
    const by = await authorOf(c, ports);
    await core.deleteTrustRoot(trustParam(c), by, preconditionOf(c));
    return c.body(null, 204);
  });
}
