import { Secret, type Clock, type PresentedIdentity } from "@mayfly/spec";
import { startDocumentServer, type DocumentServer } from "./document-server.ts";
import {
  createTestSigningKey,
  signCompact,
  type TestAlgorithm,
  type TestSigningKey,
} from "./test-signing-key.ts";

export interface TestOidcIssuerOptions {
  readonly clock: Clock;
  /** The default audience of its tokens: the broker's issuer. */
  readonly audience: string;
  /** After the origin: `/realm`, or `/` for an issuer with a trailing slash. Default: none. */
  readonly path?: string;
  readonly algorithm?: TestAlgorithm;
  readonly maxAgeSeconds?: number | null;
}

/** Members replace the usual ones; undefined leaves one out. */
export interface TestTokenChange {
  readonly header?: Readonly<Record<string, unknown>>;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly key?: TestSigningKey;
}

/** A local OpenID Connect issuer on a real HTTP server: discovery, key set, rotation, failures. */
export interface TestOidcIssuer {
  readonly issuer: string;
  readonly jwksUri: string;
  /** The key that signs now. */
  readonly key: TestSigningKey;
  /** Publishes a new key and signs with it; the old ones stay published. */
  rotate(): TestSigningKey;
  /** Takes a key out of the published set. */
  unpublish(kid: string): void;
  /** What discovery says its issuer is; default: itself. */
  claimIssuer(issuer: string): void;
  /** 5 minutes of life for subject `workload`, unless changed. */
  token(change?: TestTokenChange): string;
  present(change?: TestTokenChange): PresentedIdentity;
  readonly fetches: { readonly discovery: number; readonly jwks: number };
  fail: DocumentServer["fail"];
  close(): Promise<void>;
}

export async function startTestOidcIssuer(options: TestOidcIssuerOptions): Promise<TestOidcIssuer> {
  const path = options.path ?? "";
  const base = path.replace(/\/$/, "");
  const paths = { discovery: `${base}/.well-known/openid-configuration`, jwks: `${base}/keys` };
  const maxAgeSeconds = options.maxAgeSeconds ?? null;
  let published: readonly TestSigningKey[] = [];
  let made = 0;
  let claimed: string | null = null;

  const server = await startDocumentServer((asked) => {
    if (asked === paths.jwks) {
      return { body: { keys: published.map(({ publicJwk }) => publicJwk) }, maxAgeSeconds };
    }
    return asked === paths.discovery
      ? { body: { issuer: claimed ?? issuer, jwks_uri: jwksUri }, maxAgeSeconds }
      : null;
  });
  const issuer = `${server.origin}${path}`;
  const jwksUri = `${server.origin}${paths.jwks}`;
  const rotate = (): TestSigningKey => {
    const key = createTestSigningKey(`key-${++made}`, options.algorithm);
    published = [...published, key];
    signing = key;
    return key;
  };
  let signing: TestSigningKey = createTestSigningKey("unused");
  rotate();

  const token = (change: TestTokenChange = {}): string => {
    const key = change.key ?? signing;
    const now = Math.floor(options.clock.now() / 1000);
    const header = { alg: key.algorithm, kid: key.kid, typ: "JWT", ...change.header };
    const claims = {
      iss: issuer,
      sub: "workload",
      aud: options.audience,
      iat: now,
      exp: now + 300,
      ...change.claims,
    };
    return signCompact(key, header, claims);
  };
  return {
    issuer,
    jwksUri,
    get key() {
      return signing;
    },
    rotate,
    unpublish: (kid) => {
      published = published.filter((key) => key.kid !== kid);
    },
    claimIssuer: (text) => {
      claimed = text;
    },
    token,
    present: (change) => ({ kind: "jwt", token: Secret.of(token(change)) }),
    get fetches() {
      return {
        discovery: server.requests(paths.discovery),
        jwks: server.requests(paths.jwks),
      };
    },
    fail: (failure) => server.fail(failure),
    close: () => server.close(),
  };
}
