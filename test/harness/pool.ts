import postgres from "postgres";
import { textAt, type BrokerApi, type Granted, type Reply } from "./broker-api.ts";
import { accepted } from "./registration.ts";
import type { Installation } from "./start-installation.ts";
import { slotPrefix } from "./stray-tenants.ts";

/** The backend whose principals are used again: roles of the customer's server. */
export const POOL = "shared-logins";
export const POOLED = `${POOL}/reader`;

export interface PoolOptions {
  readonly slots: number;
  /** What all processes share. */
  readonly limits: { readonly per_second: number; readonly burst: number };
  /** Where processes reach the server. Default: at its own port. */
  readonly port?: number;
}

/** Makes the roles, as the platform team does, and registers them. */
export async function registerPool(
  { orders, id }: Pick<Installation, "orders" | "id">,
  api: BrokerApi,
  { slots: count, limits, port }: PoolOptions,
): Promise<void> {
  const { host, database, username, password } = orders;
  const slots = Array.from({ length: count }, (_, nth) => `${slotPrefix(id)}${nth}`);
  const platform = postgres({ host, port: orders.port, database, username, password, max: 1 });
  try {
    await platform
      .unsafe(slots.map((slot) => `CREATE ROLE ${slot} NOLOGIN IN ROLE app_reader;`).join("\n"))
      .simple();
  } finally {
    await platform.end({ timeout: 5 });
  }
  const server = { host, port: port ?? orders.port, database, username, password };
  const config = { ...server, slots, limits };
  const path = `/v1/backends/${POOL}`;
  accepted(await api.admin("PUT", path, { type: "pooled-roles", config }), path);
  const role = {
    description: "A login of the pool",
    connections: 3,
    ttl_max: "30m",
    data_class: "confidential",
    reversibility: "read_only",
    environment: "test",
  };
  accepted(await api.admin("PUT", `/v1/roles/${POOLED}`, role), POOLED);
}

/** Of a reply of status 200 whose first credential is of the pool, which does not say where. */
export const grantedOfPool = ({ orders }: Pick<Installation, "orders">, reply: Reply): Granted => ({
  taskId: textAt(reply, "task", "id"),
  taskToken: textAt(reply, "access_token"),
  lease: textAt(reply, "credentials", 0, "lease"),
  credential: {
    host: orders.host,
    port: orders.port,
    database: orders.database,
    username: textAt(reply, "credentials", 0, "data", "username"),
    password: textAt(reply, "credentials", 0, "data", "password"),
  },
});
