import { describeBackendContract } from "@mayfly/testkit/contract";
import { pooledRoles } from "./testing/pooled-roles.ts";
import { startPooledRoles } from "./testing/pooled-roles-upstream.ts";

const config = {
  host: "db.test",
  port: 5432,
  database: "orders",
  username: "mayfly",
  password: "canary-of-the-broker",
  slots: ["pool_a", "pool_b"],
};

describeBackendContract({
  name: "pooled roles of a PostgreSQL",
  backend: pooledRoles,
  inputs: {
    config: {
      valid: [config],
      bad: [
        { input: { ...config, slots: [] }, names: "config.slots" },
        { input: { ...config, slots: ["a", "a"] }, names: "config.slots" },
        { input: { ...config, slots: ["a", 'b"'] }, names: "config.slots[1]" },
        { input: { ...config, slots: undefined }, names: "config.slots" },
      ],
      secrets: [config.password],
    },
    role: {
      valid: [{ connections: 3 }],
      bad: [{ input: { connections: 0 }, names: "role.connections" }],
    },
    params: {
      valid: [{ connections: 1 }, {}],
      bad: [{ input: { connections: 1.5 }, names: "params.connections" }],
    },
    narrowing: {
      role: { connections: 3 },
      wide: {},
      narrow: { connections: 1 },
      tooWide: [{ connections: 4 }],
    },
  },
  unreachableConfig: { ...config, host: "127.0.0.1", port: 1 },
  protocol: "tcp",
  start: async () => (await startPooledRoles()).upstream,
});
