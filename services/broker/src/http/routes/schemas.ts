import type { Hono } from "hono";
import { BrokerError } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import type { Env, HttpContext } from "../request-scope.ts";

const CACHED = { "Cache-Control": "public, max-age=300" } as const;

/**
 * `GET /schemas/<name>`: the JSON Schemas of a platform team's files, as this broker reads them.
 * Public, as editors fetch them without a token; they say what Mayfly is, not what is registered.
 */
export function schemaRoutes(app: Hono<Env>, ports: AppPorts): void {
  const index = (c: HttpContext) => c.json({ items: [...ports.fileSchemas.keys()] }, 200, CACHED);
  app.get("/schemas", index);
  // As it is typed by who takes a schema's name off its address.
  app.get("/schemas/", index);
  app.get("/schemas/:name", (c) => {
    const schema = ports.fileSchemas.get(c.req.param("name"));
    if (schema !== undefined) return c.json(schema, 200, CACHED);
    throw new BrokerError("not_found", "There is no such schema; GET /schemas names them.", {
      where: "name",
    });
  });
}
