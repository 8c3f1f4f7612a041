import { Secret, type Clock, type JsonObject, type PresentedIdentity } from "@mayfly/spec";
import { startDocumentServer, type DocumentServer } from "./document-server.ts";
import type { TestTokenChange } from "./test-oidc-issuer.ts";
import {
  createTestSigningKey,
  signCompact,
  type TestAlgorithm,
  type TestSigningKey,
} from "./test-signing-key.ts";

export interface TestTrustDomainOptions {
  readonly clock: Clock;
  readonly audience: string;
  /** Default: `acme.test`. */
  readonly trustDomain?: string;
  readonly algorithm?: TestAlgorithm;
}

/** A SPIFFE trust domain in memory; {@link startTestTrustDomain} also serves its bundle. */
export interface TestTrustDomain {
  readonly trustDomain: string;
  readonly key: TestSigningKey;
  /** Raises the sequence, publishes a new key and signs with it; old ones stay. */
  rotate(): TestSigningKey;
  /** Raises the sequence and publishes exactly these keys, in SPIFFE's form. */
  publish(keys: readonly JsonObject[], sequence?: number): void;
  /** As the bundle endpoint serves it now. */
  bundle(): JsonObject;
  /** A JWT-SVID of `spiffe://<trust domain>/workload`, good for 5 minutes, unless changed. */
  token(change?: TestTokenChange): string;
  present(change?: TestTokenChange): PresentedIdentity;
}

/** A key in a bundle: `use` is `jwt-svid`, and no `alg`. */
export function asBundleKey(key: TestSigningKey): JsonObject {
  const { alg: _alg, ...members } = key.publicJwk;
  return { ...members, use: "jwt-svid" };
}

export function createTestTrustDomain(options: TestTrustDomainOptions): TestTrustDomain {
  const trustDomain = options.trustDomain ?? "acme.test";
  let made = 0;
  let sequence = 0;
  let published: readonly JsonObject[] = [];
  let signing = createTestSigningKey(`authority-${++made}`, options.algorithm);

  const publish = (keys: readonly JsonObject[], next = sequence + 1): void => {
    sequence = next;
    published = keys;
  };
  publish([asBundleKey(signing)]);

  const token = (change: TestTokenChange = {}): string => {
    const key = change.key ?? signing;
    const now = Math.floor(options.clock.now() / 1000);
    return signCompact(
      key,
      { alg: key.algorithm, kid: key.kid, typ: "JWT", ...change.header },
      {
        sub: `spiffe://${trustDomain}/workload`,
        aud: [options.audience],
        iat: now,
        exp: now + 300,
        ...change.claims,
      },
    );
  };
  return {
    trustDomain,
    get key() {
      return signing;
    },
    rotate: () => {
      signing = createTestSigningKey(`authority-${++made}`, options.algorithm);
      publish([...published, asBundleKey(signing)]);
      return signing;
    },
    publish,
    bundle: () => ({ keys: published, spiffe_sequence: sequence, spiffe_refresh_hint: 60 }),
    token,
    present: (change) => ({ kind: "jwt", token: Secret.of(token(change)) }),
  };
}

export interface ServedTrustDomain extends TestTrustDomain {
  readonly bundleUrl: string;
  fetches(): number;
  fail: DocumentServer["fail"];
  close(): Promise<void>;
}

/** With a bundle endpoint on a real HTTP server. */
export async function startTestTrustDomain(
  options: TestTrustDomainOptions,
): Promise<ServedTrustDomain> {
  const domain = createTestTrustDomain(options);
  const server = await startDocumentServer((path) =>
    path === "/bundle" ? { body: domain.bundle(), maxAgeSeconds: null } : null,
  );
  return {
    trustDomain: domain.trustDomain,
    get key() {
      return domain.key;
    },
    rotate: () => domain.rotate(),
    publish: (keys, sequence) => domain.publish(keys, sequence),
    bundle: () => domain.bundle(),
    token: (change) => domain.token(change),
    present: (change) => domain.present(change),
    bundleUrl: `${server.origin}/bundle`,
    fetches: () => server.requests("/bundle"),
    fail: (failure) => server.fail(failure),
    close: () => server.close(),
  };
}
