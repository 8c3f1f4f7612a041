import { durationSeconds, type TrustRootName } from "@mayfly/spec";
import { createRootVerifier, type RootVerifier } from "./root-verifier.ts";
import type { VerifierParts } from "./verifier-parts.ts";
import { readX509Clients, type X509Config } from "./x509-config.ts";
import { createTlsClientProof } from "./x509/tls-client-proof.ts";

/** Nothing is fetched, and it signs no token. */
const NO_KEYS = { held: () => null, close: () => undefined };

/** Clients of one authority of an organisation, which is no SPIFFE trust domain's. */
export const createX509Verifier = (
  name: TrustRootName,
  config: X509Config,
  { known, skewSeconds }: VerifierParts,
): RootVerifier =>
  createRootVerifier(
    name,
    [
      createTlsClientProof({
        name,
        ...readX509Clients(name, config),
        known,
        skewSeconds,
        identityMaxAgeSeconds: durationSeconds(config.identity_max_age_seconds),
        mustProvePossession: config.proof_of_possession === "required",
      }),
    ],
    NO_KEYS,
  );
