import { createTestSigningKey, signCompact } from "@mayfly/testkit";
import { ISSUER, type Answer, type BrokerBench } from "./broker-bench.ts";

type Members = Readonly<Record<string, unknown>>;

/** A client with a key of its own (`private_key_jwt`), which `register` makes known. */
export interface RegisteredClient {
  readonly clientId: string;
  register(change?: Members): Promise<Answer>;
  /** A new one each time, by its `jti`; members replace the usual ones. */
  assertion(claims?: Members, header?: Members): string;
  /** The form's members that authenticate it. */
  form(assertion?: string): Readonly<Record<string, string>>;
}

export function createRegisteredClient(bench: BrokerBench): RegisteredClient {
  const clientId = "https://batch.acme.test";
  const key = createTestSigningKey("batch-1");
  let count = 0;
  const assertion: RegisteredClient["assertion"] = (claims = {}, header = {}) => {
    const now = Math.floor(bench.clock.now() / 1000);
    return signCompact(
      key,
      { alg: "ES256", kid: key.kid, typ: "client-authentication+jwt", ...header },
      {
        iss: clientId,
        sub: clientId,
        aud: ISSUER,
        iat: now,
        exp: now + 60,
        jti: `a${(count += 1)}`,
        ...claims,
      },
    );
  };
  return {
    clientId,
    assertion,
    register: (change = {}) =>
      bench.admin("PUT", "/v1/trust/batch", {
        kind: "oidc",
        config: {
          issuer: clientId,
          client: true,
          one_time_tokens: true,
          algorithms: ["ES256"],
          jwks: { keys: [key.publicJwk] },
          ...change,
        },
      }),
    form: (client_assertion = assertion()) => ({
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion,
    }),
  };
}
