import { httpUrl, secretText, text, type Variable } from "./variable.ts";
import { VARIABLES } from "./variables.ts";

const readers = ["cli"] as const;
const optional = <T>(variable: Variable<T>): Variable<T | null> => ({
  ...variable,
  optional: true,
});

/** What only the `mayfly` command reads. The services know the names, and leave them alone. */
export const CLIENT_VARIABLES = {
  url: httpUrl("MAYFLY_URL", {
    readers,
    default: "http://127.0.0.1:8420",
    meaning: "The broker that the `mayfly` command and the SDKs talk to. The SDKs have no default.",
  }),
  adminToken: optional(
    secretText("MAYFLY_ADMIN_TOKEN", {
      readers,
      meaning:
        "What the `mayfly` command presents to the broker as an administrator: the bootstrap token, " +
        "or a token of an OIDC issuer of administrators. A file is read anew for each call.",
    }),
  ),
  identitySource: optional(
    text("MAYFLY_IDENTITY_SOURCE", {
      readers,
      meaning:
        "Where `mayfly exec` and the SDKs get their proof of identity: `file`, `environment`, " +
        "`spiffe`, `kubernetes`, `github-actions`, `aws` or `gcp`. Not set: the first that serves.",
    }),
  ),
  identityFile: optional(
    text("MAYFLY_IDENTITY_FILE", {
      readers,
      meaning: "A file with the workload's JWT, read anew for each proof of identity.",
    }),
  ),
  kubernetesTokenFile: optional(
    text("MAYFLY_KUBERNETES_TOKEN_FILE", {
      readers,
      meaning:
        "Where the projected service account token is, for the identity source `kubernetes`. " +
        "Not set: `/var/run/secrets/mayfly/token`.",
    }),
  ),
  identityToken: optional(
    secretText("MAYFLY_IDENTITY_TOKEN", {
      readers,
      fileForm: false,
      meaning: "The workload's JWT itself, for want of anything that can be renewed.",
    }),
  ),
} as const;

/** The command's own variables, and the ledger's where it works on that directly. */
export const CLIENT_SETTINGS = {
  ...CLIENT_VARIABLES,
  databaseUrl: optional({ ...VARIABLES.databaseUrl, readers }),
  // `doctor` looks at what a process on this machine would use.
  queue: { ...VARIABLES.queue, readers },
  redisUrl: { ...VARIABLES.redisUrl, readers },
  redisCluster: { ...VARIABLES.redisCluster, readers },
  sealingKeyFile: { ...VARIABLES.sealingKeyFile, readers },
} as const;
