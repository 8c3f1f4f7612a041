import type { Hono } from "hono";
import { InvalidInput } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorOf } from "../author.ts";
import { etagOf, preconditionOf } from "../precondition.ts";
import { readJson, readQuery } from "../read-json.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import { policiesSchema, policyHistoryQuery, rollBackSchema } from "../schemas/administration.ts";
import { activationView, policiesPutView, policiesView } from "../views/administration-views.ts";

function digestParam(c: HttpContext): string {
  const digest = c.req.param("digest") ?? "";
  if (/^[0-9a-f]{64}$/.test(digest)) return digest;
  throw new InvalidInput("digest: expected 64 hex digits", { where: "digest" });
}

export function policyRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { core } = ports;
  app.get("/v1/policies", async (c) => {
    const bundle = await core.readPolicies(await authorOf(c, ports));
    if (bundle !== null) c.header("ETag", etagOf(bundle.digest));
    return c.json(policiesView(bundle));
  });
  app.put("/v1/policies", async (c) => {
    const by = await authorOf(c, ports);
    const precondition = preconditionOf(c);
    const { sources } = await readJson(c, policiesSchema);
    const activated = await core.activatePolicies(sources, by, precondition);
    c.header("ETag", etagOf(activated.digest));
    return c.json(policiesPutView(activated));
  });
  app.get("/v1/policies/history", async (c) => {
    const by = await authorOf(c, ports);
    const { limit } = readQuery(c, policyHistoryQuery);
    return c.json({ items: (await core.policyHistory(by, limit ?? 100)).map(activationView) });
  });
  app.post("/v1/policies/rollback", async (c) => {
    const by = await authorOf(c, ports);
    const precondition = preconditionOf(c);
    const { digest: earlier } = await readJson(c, rollBackSchema);
    const activated = await core.rollBackPolicies(earlier, by, precondition);
    c.header("ETag", etagOf(activated.digest));
    return c.json(policiesPutView(activated));
  });
  app.get("/v1/policies/:digest", async (c) => {
    const by = await authorOf(c, ports);
    const digest = digestParam(c);
    const sources = await core.policySources(by, digest);
    return c.json({ digest, sources: sources.map((source) => ({ ...source })) });
  });
}
