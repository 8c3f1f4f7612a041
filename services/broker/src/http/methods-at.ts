import type { Hono } from "hono";
import type { Env } from "./request-scope.ts";

const METHODS = ["GET", "POST", "PUT", "DELETE"] as const;

/** The methods that have a route at `path`, as the Allow header has them; middleware is none. */
export function methodsAt(app: Hono<Env>, path: string): readonly string[] {
  return METHODS.filter((method) =>
    app.router.match(method, path)[0].some(([[, route]]) => route.method === method),
  ).flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
}
