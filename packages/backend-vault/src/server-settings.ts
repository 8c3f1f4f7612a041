import {
  apiHost,
  certificates,
  ownSecret,
  serverPort,
  tlsMode,
  tokenFile,
} from "@mayfly/backend-kit";
import { z } from "zod";

/** Of mounts and namespaces: names with slashes between, none at an end, no step upwards. */
export const PATH_PATTERN = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[\w.@-]+(?:\/[\w.@-]+)*$/;

const place = (): z.ZodString =>
  z.string().max(200).regex(PATH_PATTERN, "expected names with single slashes between them");

const name = (): z.ZodString => z.string().regex(/^[\w.@-]{1,128}$/, "expected a name");

const previousSecret = () =>
  ownSecret()
    .optional()
    .describe(
      "Written by `mayfly backend rotate` while it runs: whichever of both the server accepts is " +
        "used.",
    );

export const brokerLogin = z
  .strictObject({
    token: ownSecret().optional().describe("A token, renewed while it can be; better periodic."),
    token_role: name()
      .optional()
      .describe("Of `token`: by which `mayfly backend rotate` makes the next one."),
    previous_token: previousSecret(),
    approle: z
      .strictObject({
        mount: place().default("approle"),
        role_id: z.string().min(1).max(256),
        secret_id: ownSecret(),
        previous_secret_id: previousSecret(),
      })
      .optional()
      .describe("Log in by AppRole."),
    jwt: z
      .strictObject({
        mount: place().default("jwt"),
        role: name(),
        file: tokenFile().describe(
          "In one of the folders that are named below; read anew at each login.",
        ),
      })
      .optional()
      .describe("Log in by a JWT that a platform puts into a file."),
    kubernetes: z
      .strictObject({
        mount: place().default("kubernetes"),
        role: name(),
        file: tokenFile().default("/var/run/secrets/kubernetes.io/serviceaccount/token"),
      })
      .optional()
      .describe("Log in by the token of a Kubernetes service account."),
  })
  .refine(
    ({ token, approle, jwt, kubernetes }) =>
      [token, approle, jwt, kubernetes].filter((way) => way !== undefined).length === 1,
    { message: "expected one of token, approle, jwt and kubernetes" },
  )
  .refine(
    ({ token, token_role: role, previous_token: previous }) =>
      token !== undefined || (role ?? previous) === undefined,
    { message: "token_role and previous_token go with token" },
  );
export type LoginSettings = z.infer<typeof brokerLogin>;

export const serverSettings = z.strictObject({
  host: apiHost().describe(
    "Of a node, or of what stands before the nodes and finds the active one.",
  ),
  port: serverPort().default(8200),
  tls: tlsMode(),
  ca: certificates().optional().describe("Certificates to trust instead of the system's, PEM."),
  namespace: place()
    .optional()
    .describe("Where everything is: login, roles, engines. Default: root."),
  login: brokerLogin.describe("How the broker gets its own token: exactly one way."),
  call_seconds_max: z.int().min(1).max(30).default(10).describe("Bound of one call of the API."),
});
export type ServerSettings = z.infer<typeof serverSettings>;
