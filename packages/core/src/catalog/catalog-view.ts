import type {
  AccessRequest,
  AdministrationRequest,
  BackendId,
  CatalogSnapshot,
  CredentialBackend,
  ImpersonationRequest,
  PolicyEngine,
  PolicyProblem,
  RegisteredBackend,
  RegisteredRole,
  RoleName,
  Verdict,
} from "@mayfly/spec";
import type { CorePorts } from "../ports.ts";
import { sha256Hex } from "../sha256-hex.ts";

export interface KnownBackend {
  readonly registered: RegisteredBackend;
  /** Null: this process was built without the type. */
  readonly type: CredentialBackend | null;
}

/** One version of the catalog, made ready to judge by. */
export interface CatalogView {
  readonly version: number;
  readonly snapshot: CatalogSnapshot;
  readonly backends: ReadonlyMap<BackendId, KnownBackend>;
  readonly roles: ReadonlyMap<RoleName, RegisteredRole>;
  readonly policyDigest: string;
  decide(request: AccessRequest): Verdict;
  administer(request: AdministrationRequest): Verdict;
  impersonate(request: ImpersonationRequest): Verdict;
}

/** Decides while no policy is active, or the active ones do not compile: nobody gets a thing. */
const denyAll = (why: "no_permit" | "evaluation_error", explanation: string): PolicyEngine => {
  const deny = (): Verdict => ({ effect: "deny", why, determining: [], explanation });
  const digest = sha256Hex("");
  return { digest, policyIds: [], decide: deny, administer: deny, impersonate: deny };
};

const NO_POLICIES = denyAll("no_permit", "No policies are active.");

export function createCatalogView(
  ports: CorePorts,
  snapshot: CatalogSnapshot,
  previous: { readonly digest: string; readonly engine: PolicyEngine } | null,
): { readonly view: CatalogView; readonly compiled: typeof previous } {
  const compiled =
    snapshot.policies === null
      ? null
      : previous?.digest === snapshot.policies.digest
        ? previous
        : { digest: snapshot.policies.digest, engine: compile(ports, snapshot.policies) };
  const engine = compiled?.engine ?? NO_POLICIES;
  const backends = new Map(
    snapshot.backends.map((registered): [BackendId, KnownBackend] => [
      registered.id,
      { registered, type: ports.backendTypes.get(registered.type) ?? null },
    ]),
  );
  const view: CatalogView = {
    version: snapshot.version,
    snapshot,
    backends,
    roles: new Map(snapshot.roles.map((role) => [role.name, role])),
    policyDigest: snapshot.policies?.digest ?? NO_POLICIES.digest,
    decide: (request) => engine.decide(request),
    administer: (request) => engine.administer(request),
    impersonate: (request) => engine.impersonate(request),
  };
  return { view, compiled };
}

function compile(
  ports: CorePorts,
  policies: NonNullable<CatalogSnapshot["policies"]>,
): PolicyEngine {
  const result = ports.policyCompiler.compileActive(policies.sources);
  const told = (problems: readonly PolicyProblem[]) => ({
    digest: policies.digest,
    problems: problems.slice(0, 10).map(({ source, message }) => `${source}: ${message}`),
  });
  if (result.ok) {
    if (result.warnings.length > 0) {
      ports.log.warn("active policies may mean other than what was meant", told(result.warnings));
    }
    return result.engine;
  }
  ports.log.error(
    "the active policies do not compile here: everything is denied",
    told(result.problems),
  );
  return denyAll("evaluation_error", "The active policies cannot be evaluated.");
}
