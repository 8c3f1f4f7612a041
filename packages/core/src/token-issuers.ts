import {
  parseShallowJson,
  type BackendId,
  type JsonObject,
  type Lease,
  type OpenBackend,
  type ReadToken,
  type RegisteredBackend,
  type Secret,
  type Task,
  type TokenVerification,
} from "@mayfly/spec";
import { backendIssuer, backendOfIssuer } from "./catalog/backend-issuer.ts";
import type { CoreParts } from "./core-parts.ts";
import { isLive, isUnended } from "./lease-standing.ts";
import { createBackendFinder, hasOwnKeys } from "./own-key-backends.ts";

/** A backend that signs what it issues, as verifiers know it. */
export interface TokenIssuer {
  readonly issuer: string;
  readonly keys: readonly JsonObject[];
}

/** A backend's own token that counts, and what it is of. */
export interface IntrospectedCredential extends ReadToken {
  readonly lease: Lease;
  readonly task: Task;
  /** Whether anything may still be done with it, by the ledger as it is now. */
  readonly isActive: boolean;
}

/** A backend's own token that is to be revoked, and what it is of. */
export interface CredentialToEnd extends Omit<IntrospectedCredential, "isActive"> {
  /** Whether its end is on record. By no clock: another broker's may take the token still. */
  readonly isEnded: boolean;
}

export interface TokenIssuers {
  /** Public. Null: no backend of that name signs anything. */
  tokenIssuer(id: BackendId): Promise<TokenIssuer | null>;
  /** Of a token that somebody else sent; null for what no backend here signed, or has expired. */
  introspectCredential(token: Secret): Promise<IntrospectedCredential | null>;
  /**
   * As above, of one that somebody wants the end of: also one whose key is trusted no more, or that
   * has expired by this clock, by the fingerprint of its lease. Null: for certain no token of a
   * lease here. Throws `NotKnownYet` where that cannot be known now.
   */
  credentialToEnd(token: Secret): Promise<CredentialToEnd | null>;
  /** Makes and renews the keys of backends that sign or certify; one's failure is no other's. */
  rotateBackendKeys(): Promise<void>;
}

export function createTokenIssuers(parts: CoreParts): TokenIssuers {
  const { ports, catalog, openBackends } = parts;
  const { clock, settings, log, taskLedger } = ports;
  const find = createBackendFinder(parts, ({ signsTokens }) => signsTokens === true);
  const use = <T>(
    registered: RegisteredBackend,
    run: (verification: TokenVerification) => Promise<T>,
  ): Promise<T> => openBackends.use(registered, (open) => run(verificationOf(open)));

  const withLease = async (
    registered: RegisteredBackend,
    read: ReadToken | null,
  ): Promise<Omit<IntrospectedCredential, "isActive"> | null> => {
    const lease = read === null ? null : await taskLedger.lease(read.leaseId);
    if (read === null || lease === null || lease.backendId !== registered.id) return null;
    const task = lease.taskId === null ? null : await taskLedger.find(lease.taskId);
    return task === null ? null : { ...read, lease, task };
  };
  const isFingerprintOf = ({ fingerprint }: Lease, token: Secret): boolean =>
    fingerprint !== null && ports.sealer.fingerprints(token).includes(fingerprint);

  return {
    tokenIssuer: async (id) => {
      const registered = await find(id);
      if (registered === null) return null;
      const keys = await use(registered, (verification) => verification.keys());
      return { issuer: backendIssuer(settings.issuer, id), keys };
    },
    introspectCredential: async (token) => {
      const id = backendOfIssuer(settings.issuer, issuerIn(token));
      const registered = id === null ? null : await find(id);
      if (registered === null) return null;
      const read = await use(registered, (verification) => verification.read(token));
      const found = await withLease(registered, read);
      return found === null ? null : { ...found, isActive: isLive(clock, found.lease, found.task) };
    },
    credentialToEnd: async (token) => {
      const id = backendOfIssuer(settings.issuer, issuerIn(token));
      const registered = id === null ? null : await find.surely(id);
      if (registered === null) return null;
      return use(registered, async (verification) => {
        // Its signature first: a stranger's token has nothing looked up.
        const found = await withLease(registered, await verification.readForEnd(token));
        if (found === null) return null;
        // The lease was made with exactly these bytes, whatever became of the key that signed them.
        const isOurs = isFingerprintOf(found.lease, token) || (await verification.read(token));
        return isOurs ? { ...found, isEnded: !isUnended(found.lease, found.task) } : null;
      });
    },
    rotateBackendKeys: async () => {
      const view = await catalog.fresh();
      for (const [id, { type, registered }] of view.backends) {
        if (type === null || !hasOwnKeys(type)) continue;
        try {
          await openBackends.use(
            registered,
            ({ verification, authority }) =>
              (verification ?? authority)?.rotate(clock.now()) ?? Promise.resolve(),
          );
        } catch (error) {
          log.warn("the signing keys of a backend were not looked after", { backend: id }, error);
        }
      }
    },
  };
}

function verificationOf({ verification }: OpenBackend): TokenVerification {
  if (verification !== undefined) return verification;
  throw new Error("a backend type says that it signs, and has nothing to verify with");
}

/** Routing on unverified bytes, never a reason to trust: whose token it says that it is. */
function issuerIn(token: Secret): string {
  const [, payload = ""] = token.expose("crypto").split(".", 2);
  try {
    const claims = parseShallowJson(Buffer.from(payload, "base64url").toString());
    const { iss } = typeof claims === "object" && claims !== null ? { iss: "", ...claims } : {};
    return typeof iss === "string" ? iss : "";
  } catch {
    return "";
  }
}
