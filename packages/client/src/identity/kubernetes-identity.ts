import type { Surroundings } from "../surroundings.ts";
import type { IdentitySource } from "./identity-source.ts";
import { readToken } from "./file-identity.ts";

const VARIABLE = "MAYFLY_KUBERNETES_TOKEN_FILE";
/** Where the volume is mounted, unless another path is given. */
const PATH = "/var/run/secrets/mayfly/token";

/**
 * A projected service account token (Kubernetes, `serviceAccountToken` volume) whose `audience` is
 * the broker's issuer. The kubelet rotates it, so it is read anew for each proof. The token that
 * every pod has under `/var/run/secrets/kubernetes.io` is for the API server, and of no use here.
 */
export function kubernetesIdentity(options: { readonly path?: string } = {}): IdentitySource {
  const placeIn = (around: Surroundings): string => {
    const variable = around.variable(VARIABLE) ?? "";
    return options.path ?? (variable === "" ? PATH : variable);
  };
  return {
    kind: "kubernetes",
    whyNot: async (around) => {
      try {
        await readToken(placeIn(around), around);
        return null;
      } catch {
        return `there is no projected token at ${placeIn(around)}`;
      }
    },
    prove: (_audience, around) => readToken(placeIn(around), around),
  };
}
