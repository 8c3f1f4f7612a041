import type {
  BackendId,
  JsonObject,
  Lease,
  OpenBackend,
  ReadToken,
  RegisteredBackend,
  Secret,
  Task,
  TokenVerification,
} from "@mayfly/spec";
import { backendIssuer, backendOfIssuer } from "./catalog/backend-issuer.ts";
import type { CatalogView } from "./catalog/catalog-view.ts";
import type { CoreParts } from "./core-parts.ts";
import { isLive } from "./lease-standing.ts";

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

export interface TokenIssuers {
  /** Public. Null: no backend of that name signs anything. */
  tokenIssuer(id: BackendId): Promise<TokenIssuer | null>;
  /** Of a token that somebody else sent; null for what no backend here signed, or has expired. */
  introspectCredential(token: Secret): Promise<IntrospectedCredential | null>;
  /** Makes and renews the keys of all backends that sign; the failure of one is no other's. */
  rotateBackendKeys(): Promise<void>;
}

/** How often a stranger's question for an unknown backend may have the catalog looked at. */
const LOOK_SECONDS = 5;

export function createTokenIssuers(parts: CoreParts): TokenIssuers {
  const { ports, catalog, openBackends } = parts;
  const { clock, settings, log, taskLedger } = ports;
  let lookedAtMs = Number.NEGATIVE_INFINITY;

  /** One that was registered by another process just now is found, and no flood of looks. */
  const find = async (id: BackendId): Promise<RegisteredBackend | null> => {
    const known = signingBackend(await catalog.current(), id);
    if (known !== null || clock.monotonicMs() - lookedAtMs < LOOK_SECONDS * 1000) return known;
    lookedAtMs = clock.monotonicMs();
    return signingBackend(await catalog.fresh(), id);
  };
  const use = <T>(
    registered: RegisteredBackend,
    run: (verification: TokenVerification) => Promise<T>,
  ): Promise<T> => openBackends.use(registered, (open) => run(verificationOf(open)));

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
      const lease = read === null ? null : await taskLedger.lease(read.leaseId);
      if (read === null || lease === null || lease.backendId !== registered.id) return null;
      const task = lease.taskId === null ? null : await taskLedger.find(lease.taskId);
      return task === null ? null : { ...read, lease, task, isActive: isLive(clock, lease, task) };
    },
    rotateBackendKeys: async () => {
      const view = await catalog.fresh();
      for (const id of view.backends.keys()) {
        const registered = signingBackend(view, id);
        if (registered === null) continue;
        try {
          await use(registered, (verification) => verification.rotate(clock.now()));
        } catch (error) {
          log.warn("the signing keys of a backend were not looked after", { backend: id }, error);
        }
      }
    },
  };
}

/** Disabled ones too: what they issued is verified on, and ended. */
function signingBackend(view: CatalogView, id: BackendId): RegisteredBackend | null {
  const known = view.backends.get(id);
  return known?.type?.signsTokens === true ? known.registered : null;
}

function verificationOf({ verification }: OpenBackend): TokenVerification {
  if (verification !== undefined) return verification;
  throw new Error("a backend type says that it signs, and has nothing to verify with");
}

/** Routing on unverified bytes, never a reason to trust: whose token it says that it is. */
function issuerIn(token: Secret): string {
  const [, payload = ""] = token.expose("crypto").split(".", 2);
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString());
    const { iss } = typeof claims === "object" && claims !== null ? { iss: "", ...claims } : {};
    return typeof iss === "string" ? iss : "";
  } catch {
    return "";
  }
}
