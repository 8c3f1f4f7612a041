import type { Hono } from "hono";
import { BrokerError, type CredentialBackend } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorOf } from "../author.ts";
import { nearestName } from "../nearest-name.ts";
import type { Env } from "../request-scope.ts";
import { shownName } from "../shown-name.ts";

/**
 * `/v1/backend-types`: what may be written of each type that is installed, outsiders' included, for
 * commands and forms that ask for it. For whoever administers anything: it says what Mayfly is, and
 * nothing of what is registered.
 */
export function backendTypeRoutes(app: Hono<Env>, ports: AppPorts): void {
  const names = ports.backendTypes.map(({ type }) => type);
  app.get("/v1/backend-types", async (c) => {
    await authorOf(c, ports);
    return c.json({ items: names });
  });
  app.get("/v1/backend-types/:type", async (c) => {
    await authorOf(c, ports);
    const asked = c.req.param("type");
    const found = ports.backendTypes.find(({ type }) => type === asked);
    if (found !== undefined) return c.json(view(found));
    const nearest = nearestName(asked, names);
    throw new BrokerError("not_found", `There is no backend type ${shownName(asked)}.`, {
      where: "type",
      public: {
        hint:
          (nearest === null ? "" : `Did you mean ${nearest}? `) +
          `Installed are: ${names.join(", ")}.`,
      },
    });
  });
}

const view = ({ type, configSchema, roleSchema, paramsSchema, authority }: CredentialBackend) => ({
  type,
  config: configSchema,
  role: roleSchema,
  params: paramsSchema,
  authority: authority ?? [],
});
