import type { Hono } from "hono";
import type { AppPorts } from "../app.ts";
import { administratorOf } from "../caller.ts";
import { parsed, readJson } from "../read-json.ts";
import type { Env } from "../request-scope.ts";
import { nothingSchema } from "../schemas/administration.ts";
import { kidShape, resealSchema } from "../schemas/keys.ts";
import { instantText } from "../views/json-views.ts";

/** The keys that seal what is stored, and those that sign task tokens. */
export function keyRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { sealing, signingKeys } = ports;
  app.get("/v1/sealing", async (c) => {
    await administratorOf(c, ports);
    const { keyIds, counts } = await sealing.status();
    const items = counts.map(({ kind, keyId, values }) => ({ kind, key: keyId, values }));
    return c.json({ keys: [...keyIds], counts: items });
  });
  app.post("/v1/sealing/reseal", async (c) => {
    const actor = await administratorOf(c, ports);
    const input = await readJson(c, resealSchema);
    const { unopened, ...done } = await sealing.reseal(input.after ?? null, actor);
    return c.json({ ...done, unopened: [...unopened] });
  });
  app.get("/v1/signing-keys", async (c) => {
    await administratorOf(c, ports);
    const keys = await signingKeys.list();
    return c.json({
      items: keys.map((key) => ({
        kid: key.kid,
        state: key.state,
        created_at: instantText(key.createdAt),
        signs_from: instantText(key.signsFromAt),
        verifies_until: key.verifiesUntilAt === null ? null : instantText(key.verifiesUntilAt),
      })),
    });
  });
  app.post("/v1/signing-keys/rotate", async (c) => {
    const actor = await administratorOf(c, ports);
    await readJson(c, nothingSchema);
    const { kind, kid, signsFromAt } = await signingKeys.rotate(actor);
    return c.json({ result: kind, kid, signs_from: instantText(signsFromAt) });
  });
  app.post("/v1/signing-keys/:kid/retire", async (c) => {
    const actor = await administratorOf(c, ports);
    await readJson(c, nothingSchema);
    const named = parsed(kidShape, c.req.param("kid"), "kid");
    const { kind, kid, replacedBy } = await signingKeys.retire(named, actor);
    const { tasksActive } = await ports.queries.counts();
    return c.json({ result: kind, kid, replaced_by: replacedBy, tasks_active: tasksActive });
  });
}
