import { z } from "zod";
import { previousPassword, serverAccess, serverHost, serverPort } from "@mayfly/backend-kit";

const place = z.strictObject({ host: serverHost(), port: serverPort().default(6379) });
/** Where a server listens. */
export type Place = z.infer<typeof place>;

export const serverSettings = z.strictObject({
  nodes: z
    .array(place)
    .min(1)
    .max(64)
    .describe(
      "The servers. With topology nodes: each one that a lease may reach, replicas included. With " +
        "topology cluster: some by which the others are found. Leases are told the first.",
    ),
  topology: z
    .enum(["nodes", "cluster"])
    .default("nodes")
    .describe(
      "nodes: the servers are those that are listed, a primary and its replicas. cluster: a Redis " +
        "Cluster, whose members are asked for before each use.",
    ),
  username: z
    .string()
    .regex(/^[!-~]{1,256}$/, "expected a user name without spaces")
    .describe("The broker's own user; it manages users, and so is an administrator."),
  ...serverAccess(),
  previous_password: previousPassword(),
  call_seconds_max: z
    .int()
    .min(1)
    .max(10)
    .default(5)
    .describe("Bound of one exchange with one server, connecting included."),
});
export type ServerSettings = z.infer<typeof serverSettings>;

/** A server as messages name it. */
export const placeName = ({ host: name, port: at }: Place): string =>
  name.includes(":") ? `[${name}]:${at}` : `${name}:${at}`;
