import {
  apiHost,
  previousPassword,
  serverAccess,
  serverHost,
  serverPort,
} from "@mayfly/backend-kit";
import { z } from "zod";

const amqp = z.strictObject({
  host: serverHost().optional().describe("Default: the host of the management API."),
  port: serverPort().default(5671),
  tls: z.boolean().default(true).describe("Whether leases are told to use TLS."),
});

export const serverSettings = z.strictObject({
  host: apiHost().describe("Where the management plugin's HTTP API listens."),
  port: serverPort().default(15671),
  username: z
    .string()
    .regex(/^[^:\p{Cc}]{1,255}$/u, "expected a user name without colon")
    .describe("The broker's own user, with the tag administrator and no permission."),
  ...serverAccess(),
  previous_password: previousPassword(),
  amqp: amqp
    .default({ port: 5671, tls: true })
    .describe("Where leases log in, as they are told; the broker itself does not connect there."),
  call_seconds_max: z.int().min(1).max(10).default(5).describe("Bound of one call of the API."),
});
export type ServerSettings = z.infer<typeof serverSettings>;
