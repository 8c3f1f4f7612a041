import type { Preset } from "./preset.ts";

/**
 * Service accounts of clients of one Keycloak realm. `typ` tells access tokens from ID and logout
 * tokens, which the realm signs with the same keys; `sid` is the session of a person.
 */
export const keycloak: Preset = {
  title: "Keycloak service accounts",
  source: "https://www.keycloak.org/docs/latest/server_admin/#_service_accounts",
  issuer: null,
  issuerPattern: /^https?:\/\/\S+\/realms\/[^/\s]+$/,
  issuerHint: "https://<host>/realms/<realm>",
  algorithms: ["RS256", "ES256", "ES384"],
  oneTimeTokens: false,
  tokenAgeSecondsMax: 3600,
  attributes: {
    service_account_id: { claim: "sub", stability: "immutable" },
    client_id: { claim: "azp", stability: "mutable" },
    service_account: { claim: "preferred_username", stability: "mutable", optional: true },
  },
  requiredClaims: { typ: "Bearer" },
  requiredText: null,
  absentClaims: ["sid", "session_state"],
  callerChosenClaims: [],
  trustDomain: false,
  traps: [
    "An audience mapper has to put the broker's issuer into the token, and no other audience: a " +
      "client with full scope gets account as well, and its token is refused.",
    "Every client of the realm with a service account can ask for a token: a policy must ask for " +
      "service_account_id, since client_id can be given to another client.",
    "People's tokens are refused: they have a session. Register people as a trust root of their " +
      "own, without this preset.",
  ],
};
