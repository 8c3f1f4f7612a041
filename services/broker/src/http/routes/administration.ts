import type { Hono } from "hono";
import type { AppPorts } from "../app.ts";
import type { Env } from "../request-scope.ts";
import { backendTypeRoutes } from "./backend-types.ts";
import { backendRoutes } from "./backends.ts";
import { policyRoutes } from "./policies.ts";
import { resourceServerRoutes } from "./resource-servers.ts";
import { roleRoutes } from "./roles.ts";
import { trustRootRoutes } from "./trust-roots.ts";

/** What platform teams register. Every answer is without secrets. */
export function administrationRoutes(app: Hono<Env>, ports: AppPorts): void {
  backendRoutes(app, ports);
  backendTypeRoutes(app, ports);
  roleRoutes(app, ports);
  trustRootRoutes(app, ports);
  resourceServerRoutes(app, ports);
  policyRoutes(app, ports);
}
