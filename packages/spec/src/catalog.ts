import type { SelfCheck } from "./backend.ts";
import type { JsonObject } from "./brand.ts";
import { BrokerError } from "./errors.ts";
import type { BackendId, DecisionId, ResourceServerName, RoleName, TrustRootName } from "./ids.ts";
import type { TrustRoot } from "./identity.ts";
import type { DataClass, PolicySource, Reversibility } from "./policy.ts";
import type { ResourceServer } from "./resource-server.ts";
import type { Actor } from "./task.ts";
import type { DurationSeconds, InstantMs } from "./time.ts";

/** A registered backend at one revision. */
export interface RegisteredBackend {
  readonly id: BackendId;
  readonly type: string;
  readonly revision: number;
  /** Issuing stops when disabled; ending never does. */
  readonly enabled: boolean;
  /** The parsed configuration as JSON text, sealed to `backend:<id>:<revision>`. */
  readonly sealedConfig: Uint8Array;
  /** Without secrets. */
  readonly describedConfig: JsonObject;
  /** From `selfCheck`; may not change while leases live. */
  readonly upstreamIdentity: string;
  readonly updatedAt: InstantMs;
}

export interface Role {
  readonly name: RoleName;
  readonly backendId: BackendId;
  /** Issuing and renewing stop when disabled; ending never does. */
  readonly enabled: boolean;
  readonly description: string;
  readonly ttlSecondsMax: DurationSeconds;
  readonly dataClass: DataClass;
  readonly reversibility: Reversibility;
  readonly environment: string;
  /** The type's own members, in normal form (`parseRole`). */
  readonly settings: JsonObject;
}

/** Each change counts one up, deletion included, so that a revision is never used again. */
interface Revised {
  readonly revision: number;
  readonly updatedAt: InstantMs;
}
export type RegisteredRole = Role & Revised;
export type RegisteredTrustRoot = TrustRoot & Revised;
export type RegisteredResourceServer = ResourceServer & Revised;

export interface PolicyBundle {
  readonly digest: string;
  readonly sources: readonly PolicySource[];
  readonly activatedAt: InstantMs;
}

/** One entry of the history of what decided. */
export interface PolicyActivation {
  readonly digest: string;
  /** What decided before; null: nothing did. */
  readonly before: string | null;
  readonly at: InstantMs;
  readonly actor: Actor;
  readonly decisionId: DecisionId | null;
}

/** What the last self-check of a backend said. */
export interface BackendCheck {
  readonly checkedAt: InstantMs;
  /** Of the configuration that was checked. */
  readonly revision: number;
  readonly outcome:
    | { readonly kind: "answered"; readonly check: SelfCheck }
    /** It got no answer. Public text, no secret. */
    | { readonly kind: "failed"; readonly error: string };
}

/** All that decisions are made from, as of one version. */
export interface CatalogSnapshot {
  /** Grows with every change; `reserve` refuses a stale one. */
  readonly version: number;
  readonly backends: readonly RegisteredBackend[];
  readonly roles: readonly RegisteredRole[];
  readonly trustRoots: readonly RegisteredTrustRoot[];
  readonly resourceServers: readonly RegisteredResourceServer[];
  readonly policies: PolicyBundle | null;
}

/** When a change may be made (RFC 9110 section 13.1); a tag is what {@link tagOf} gives. */
export type Precondition =
  | { readonly kind: "none" }
  | { readonly kind: "absent" }
  | { readonly kind: "present" }
  | { readonly kind: "unchanged"; readonly tags: readonly string[] };

/** Under which condition a change is made, and by which decision; see {@link NO_TERMS}. */
export interface ChangeTerms {
  readonly precondition: Precondition;
  /** Of the policy engine; null for the bootstrap administrator, whom it is not asked about. */
  readonly decisionId: DecisionId | null;
  /** The version of the catalogue that it was decided from; null: whatever it is by now. */
  readonly decidedAt: number | null;
}
export const NO_TERMS: ChangeTerms = {
  precondition: { kind: "none" },
  decisionId: null,
  decidedAt: null,
};

/**
 * Throws `conflict`, as {@link hasMovedOn} knows it: what decided is no longer what there is, so
 * that it has to be decided again. To be called where no other change can come between.
 */
export function requireDecidedAt({ decidedAt }: ChangeTerms, version: number): void {
  if (decidedAt === null || decidedAt === version) return;
  throw new BrokerError("conflict", "Others change what is registered meanwhile; try again.", {
    where: "catalog",
    public: { decided_at: decidedAt, catalog_version: version },
  });
}

export const hasMovedOn = (error: unknown): boolean =>
  BrokerError.is(error) && error.code === "conflict" && "decided_at" in error.public;

/**
 * Names what an object is now. A backend's revision is its configuration's, which leases name, so
 * that a disabled one has another tag.
 */
export const tagOf = (object: { readonly revision: number; readonly enabled: boolean }): string =>
  object.enabled ? String(object.revision) : `${object.revision}-disabled`;

/** Throws `precondition_failed`. `current`: the object's tag, null where it is not there. */
export function requirePrecondition(
  precondition: Precondition,
  current: string | null,
  where: string,
): void {
  if (meets(precondition, current)) return;
  const now = current === null ? "it is not there" : `it is now at "${current}"`;
  const wanted =
    precondition.kind === "absent" ? "should not be there" : "is not as this change expects it";
  throw new BrokerError("precondition_failed", `${where} ${wanted}: ${now}.`, {
    where,
    public: { current_tag: current },
  });
}

function meets(precondition: Precondition, current: string | null): boolean {
  switch (precondition.kind) {
    case "none":
      return true;
    case "absent":
      return current === null;
    case "present":
      return current !== null;
    case "unchanged":
      return current !== null && precondition.tags.includes(current);
  }
}

/** Which tokens a trust root claims: no two enabled roots of a kind may say the same. */
export const claimOfTrustRoot = ({ config }: Pick<TrustRoot, "config">): string => {
  const claim = config["trust_domain"] ?? config["issuer"];
  return typeof claim === "string" ? claim : "";
};

/** Two roots that claim the same tokens vouch for none of them: nobody of either gets in. */
export function refuseRivalTrustRoot(root: TrustRoot, others: readonly TrustRoot[]): void {
  const claim = claimOfTrustRoot(root);
  const rival = others.find(
    (other) =>
      root.enabled &&
      other.enabled &&
      other.name !== root.name &&
      other.kind === root.kind &&
      claimOfTrustRoot(other) === claim,
  );
  if (rival === undefined || claim === "") return;
  throw new BrokerError(
    "conflict",
    `The enabled trust root ${rival.name} has the same issuer or trust domain: with both, no ` +
      "token of it would be accepted. Change, disable or delete that one first.",
    { where: "trust.config", public: { rival: rival.name } },
  );
}

/**
 * What platform teams register. K1. Every change is an event in the same transaction, which names
 * the decision that it was made by. K2. Every change raises the version. K3. A backend with live
 * leases is not deleted, and its upstream identity does not change (`conflict`). K4. Putting what
 * is already there changes nothing. K5. Of two enabled trust roots of one kind that claim the same
 * issuer or trust domain the second is a `conflict`, however they race. K6. A precondition that
 * does not hold is `precondition_failed`, and nothing is changed; it is looked at when the change
 * is made, so that of two changes of one revision one is refused.
 */
export interface Catalog {
  version(): Promise<number>;
  snapshot(): Promise<CatalogSnapshot>;
  /** The configuration that a lease was issued under. */
  backendAt(id: BackendId, revision: number): Promise<RegisteredBackend | null>;
  /**
   * `revision` is the one that the configuration was sealed to: the next one, or `conflict` with
   * `public.next_revision` (a deleted backend's revisions are not used again).
   */
  putBackend(
    backend: Omit<RegisteredBackend, "updatedAt">,
    actor: Actor,
    terms?: ChangeTerms,
  ): Promise<Put>;
  setBackendEnabled(
    id: BackendId,
    enabled: boolean,
    actor: Actor,
    terms?: ChangeTerms,
  ): Promise<void>;
  /** `conflict` also while it has roles. */
  deleteBackend(id: BackendId, actor: Actor, terms?: ChangeTerms): Promise<void>;
  putRole(role: Role, actor: Actor, terms?: ChangeTerms): Promise<Put>;
  setRoleEnabled(
    name: RoleName,
    enabled: boolean,
    actor: Actor,
    terms?: ChangeTerms,
  ): Promise<void>;
  deleteRole(name: RoleName, actor: Actor, terms?: ChangeTerms): Promise<void>;
  putTrustRoot(root: TrustRoot, actor: Actor, terms?: ChangeTerms): Promise<Put>;
  setTrustRootEnabled(
    name: TrustRootName,
    enabled: boolean,
    actor: Actor,
    terms?: ChangeTerms,
  ): Promise<void>;
  deleteTrustRoot(name: TrustRootName, actor: Actor, terms?: ChangeTerms): Promise<void>;
  putResourceServer(server: ResourceServer, actor: Actor, terms?: ChangeTerms): Promise<Put>;
  setResourceServerEnabled(
    name: ResourceServerName,
    enabled: boolean,
    actor: Actor,
    terms?: ChangeTerms,
  ): Promise<void>;
  deleteResourceServer(name: ResourceServerName, actor: Actor, terms?: ChangeTerms): Promise<void>;
  /** The tag of policies is the digest of those that are active. */
  activatePolicies(
    bundle: Omit<PolicyBundle, "activatedAt">,
    actor: Actor,
    terms?: ChangeTerms,
  ): Promise<Put>;
  /** What decided and when, newest first. */
  policyHistory(limit: number): Promise<readonly PolicyActivation[]>;
  /** The sources of a set that is or was active. */
  policySources(digest: string): Promise<readonly PolicySource[] | null>;
  /** No change: neither event nor version. Not kept for a backend that is not there. */
  recordCheck(id: BackendId, check: Omit<BackendCheck, "checkedAt">): Promise<void>;
  checks(): Promise<ReadonlyMap<BackendId, BackendCheck>>;
}
export type Put = "created" | "updated" | "unchanged";
