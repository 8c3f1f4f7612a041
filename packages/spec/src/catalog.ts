import type { JsonObject } from "./brand.ts";
import type { BackendId, RoleName, TrustRootName } from "./ids.ts";
import type { TrustRoot } from "./identity.ts";
import type { DataClass, PolicySource, Reversibility } from "./policy.ts";
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
  readonly description: string;
  readonly ttlSecondsMax: DurationSeconds;
  readonly dataClass: DataClass;
  readonly reversibility: Reversibility;
  readonly environment: string;
  /** The type's own members, in normal form (`parseRole`). */
  readonly settings: JsonObject;
}

export interface PolicyBundle {
  readonly digest: string;
  readonly sources: readonly PolicySource[];
  readonly activatedAt: InstantMs;
}

/** All that decisions are made from, as of one version. */
export interface CatalogSnapshot {
  /** Grows with every change; `reserve` refuses a stale one. */
  readonly version: number;
  readonly backends: readonly RegisteredBackend[];
  readonly roles: readonly Role[];
  readonly trustRoots: readonly TrustRoot[];
  readonly policies: PolicyBundle | null;
}

/**
 * What platform teams register. K1. Every change is an event in the same transaction. K2. Every
 * change raises the version. K3. A backend with live leases is not deleted, and its upstream
 * identity does not change (`conflict`). K4. Putting what is already there changes nothing.
 */
export interface Catalog {
  version(): Promise<number>;
  snapshot(): Promise<CatalogSnapshot>;
  /** The configuration that a lease was issued under. */
  backendAt(id: BackendId, revision: number): Promise<RegisteredBackend | null>;
  /**
   * `revision` is the one that the configuration was sealed to: the next one, or `conflict` with
   * `public.nextRevision` (a deleted backend's revisions are not used again).
   */
  putBackend(backend: Omit<RegisteredBackend, "updatedAt">, actor: Actor): Promise<Put>;
  setBackendEnabled(id: BackendId, enabled: boolean, actor: Actor): Promise<void>;
  /** `conflict` also while it has roles. */
  deleteBackend(id: BackendId, actor: Actor): Promise<void>;
  putRole(role: Role, actor: Actor): Promise<Put>;
  deleteRole(name: RoleName, actor: Actor): Promise<void>;
  putTrustRoot(root: TrustRoot, actor: Actor): Promise<Put>;
  deleteTrustRoot(name: TrustRootName, actor: Actor): Promise<void>;
  activatePolicies(bundle: Omit<PolicyBundle, "activatedAt">, actor: Actor): Promise<Put>;
}
export type Put = "created" | "updated" | "unchanged";
