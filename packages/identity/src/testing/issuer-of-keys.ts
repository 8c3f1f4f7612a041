import { BrokerError, parseTrustRootName, Secret, type TrustRoots } from "@mayfly/spec";
import {
  createFakeClock,
  createFakeOutboundHttp,
  createRecordingLog,
  createTestSigningKey,
  signCompact,
  type TestSigningKey,
} from "@mayfly/testkit";
import { Refusal } from "../refusal.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "../trust-roots.ts";

const BROKER = "https://broker.test";
export const ISSUER = "https://idp.test/realm";
export const DISCOVERY = `${ISSUER}/.well-known/openid-configuration`;
export const JWKS = "https://keys.idp.test/jwks";
export const NAME = parseTrustRootName("idp.test", "name");

/** An issuer over a fake network and a fake clock; every key fetch is counted. */
export function issuerOfKeys(config: Readonly<Record<string, unknown>> = {}) {
  const clock = createFakeClock();
  const http = createFakeOutboundHttp();
  const log = createRecordingLog();
  const settings = defaultTrustRootsSettings;
  const roots = createTrustRoots({ http, issuer: BROKER, settings, log });
  const root = roots.parse(NAME, "oidc", { issuer: ISSUER, ...config });
  roots.replace([root]);
  const key = createTestSigningKey("one");
  http.serve(DISCOVERY, { body: { issuer: ISSUER, jwks_uri: JWKS } });
  const publish = (keys: readonly TestSigningKey[], maxAgeSeconds: number | null = null): void =>
    http.serve(JWKS, { body: { keys: keys.map(({ publicJwk }) => publicJwk) }, maxAgeSeconds });
  publish([key]);

  const token = (signer: TestSigningKey = key): string => {
    const iat = Math.floor(clock.now() / 1000);
    return signCompact(
      signer,
      { alg: signer.algorithm, kid: signer.kid },
      { iss: ISSUER, sub: "s", aud: BROKER, iat, exp: iat + 300 },
    );
  };
  const fetches = (): number => http.requests.filter((url) => url === JWKS).length;
  return { clock, http, log, roots, root, key, publish, token, fetches };
}
type IssuerOfKeys = ReturnType<typeof issuerOfKeys>;

export async function outcome(
  { clock, roots }: { clock: IssuerOfKeys["clock"]; roots: TrustRoots },
  text: string,
  signal: AbortSignal = new AbortController().signal,
): Promise<string> {
  try {
    await roots.verify({ kind: "jwt", token: Secret.of(text) }, { clock, signal, traceId: "t" });
    return "vouched";
  } catch (error) {
    if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
    return error.cause.reason;
  }
}
