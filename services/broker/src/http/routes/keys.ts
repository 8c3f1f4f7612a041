import type { Hono } from "hono";
import {
  BrokerError,
  parseBackendId,
  type Actor,
  type SigningKeyAdministration,
} from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { administratorOf } from "../caller.ts";
import { parsed, readJson } from "../read-json.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import { nothingSchema } from "../schemas/administration.ts";
import { kidShape, resealSchema } from "../schemas/keys.ts";
import { instantText } from "../views/json-views.ts";

/** The keys that seal what is stored, and those that sign task tokens and backends' own tokens. */
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
    return c.json(await listed(signingKeys));
  });
  app.post("/v1/signing-keys/rotate", async (c) => {
    const actor = await administratorOf(c, ports);
    await readJson(c, nothingSchema);
    return c.json(await rotated(signingKeys, actor));
  });
  app.post("/v1/signing-keys/:kid/retire", async (c) => {
    const actor = await administratorOf(c, ports);
    await readJson(c, nothingSchema);
    const answer = await retired(signingKeys, c.req.param("kid"), actor);
    const { tasksActive } = await ports.queries.counts();
    return c.json({ ...answer, tasks_active: tasksActive });
  });
  backendKeyRoutes(app, ports);
}

/** The same of a backend that signs what it issues. */
function backendKeyRoutes(app: Hono<Env>, ports: AppPorts): void {
  const LIST = "/v1/backends/:backend/signing-keys";
  const keysOf = async (c: HttpContext): Promise<SigningKeyAdministration> => {
    const id = parseBackendId(c.req.param("backend"), "backend");
    if (await ports.core.hasBackendKeys(id)) return ports.backendSigningKeys(id);
    throw new BrokerError(
      "not_found",
      `There is no backend ${id} that signs what it issues by keys of Mayfly's own.`,
      { where: "backend" },
    );
  };
  app.get(LIST, async (c) => {
    await administratorOf(c, ports);
    return c.json(await listed(await keysOf(c)));
  });
  app.post(`${LIST}/rotate`, async (c) => {
    const actor = await administratorOf(c, ports);
    await readJson(c, nothingSchema);
    return c.json(await rotated(await keysOf(c), actor));
  });
  app.post(`${LIST}/:kid/retire`, async (c) => {
    const actor = await administratorOf(c, ports);
    await readJson(c, nothingSchema);
    return c.json(await retired(await keysOf(c), c.req.param("kid"), actor));
  });
}

async function listed(keys: SigningKeyAdministration) {
  const items = await keys.list();
  return {
    items: items.map((key) => ({
      kid: key.kid,
      state: key.state,
      created_at: instantText(key.createdAt),
      signs_from: instantText(key.signsFromAt),
      verifies_until: key.verifiesUntilAt === null ? null : instantText(key.verifiesUntilAt),
    })),
  };
}

async function rotated(keys: SigningKeyAdministration, actor: Actor) {
  const { kind, kid, signsFromAt } = await keys.rotate(actor);
  return { result: kind, kid, signs_from: instantText(signsFromAt) };
}

async function retired(keys: SigningKeyAdministration, named: string | undefined, actor: Actor) {
  const { kind, kid, replacedBy } = await keys.retire(parsed(kidShape, named, "kid"), actor);
  return { result: kind, kid, replaced_by: replacedBy };
}
