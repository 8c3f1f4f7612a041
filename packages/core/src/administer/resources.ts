import {
  backendOfRole,
  claimOfTrustRoot,
  unreachable,
  workloadName,
  x509IssuerOf,
  type AdministeredResource,
  type BackendId,
  type Lease,
  type LeaseId,
  type ResourceServer,
  type ResourceServerName,
  type Role,
  type RoleName,
  type Task,
  type TaskId,
  type TrustRoot,
  type TrustRootName,
} from "@mayfly/spec";
import type { CatalogView } from "../catalog/catalog-view.ts";

/**
 * The facts that policies may ask about what is administered. Of what is not there all facts are
 * empty: whoever may not see it learns by the same denial as ever, and nothing of its absence.
 */
export const backendResource = (id: BackendId, type: string | null): AdministeredResource => ({
  kind: "backend",
  id,
  type: type ?? "",
});

export const roleResource = (
  view: CatalogView,
  name: RoleName,
  role: Role | null,
): Extract<AdministeredResource, { kind: "role" }> => {
  const backendId = backendOfRole(name);
  return {
    kind: "role",
    name,
    backendId,
    backendType: view.backends.get(backendId)?.registered.type ?? "",
    dataClass: role?.dataClass ?? "",
    reversibility: role?.reversibility ?? "",
    environment: role?.environment ?? "",
  };
};

export const trustRootResource = (
  name: TrustRootName,
  root: TrustRoot | null,
): AdministeredResource => ({
  kind: "trust_root",
  name,
  trustKind: root?.kind ?? "",
  issuer: root === null ? "" : issuerOf(root),
  administrators: root?.config["administrators"] === true,
  initiators: root?.config["initiators"] === true,
});

/**
 * Whose task tokens it is told of stands among the audiences, as `task-tokens:orders-db` or
 * `task-tokens:all`: so a policy that bounds the audiences bounds these with them.
 */
export const resourceServerResource = (
  name: ResourceServerName,
  server: Pick<ResourceServer, "audiences" | "taskTokens"> | null,
): AdministeredResource => {
  const { audiences = [], taskTokens = [] } = server ?? {};
  const backends = taskTokens === "all" ? ["all"] : taskTokens;
  const ofTasks = backends.map((backend) => `task-tokens:${backend}`);
  return { kind: "resource_server", name, audiences: [...audiences, ...ofTasks] };
};

function issuerOf(root: TrustRoot): string {
  switch (root.kind) {
    case "spiffe":
      return `spiffe://${claimOfTrustRoot(root)}`;
    case "oidc":
      return claimOfTrustRoot(root);
    case "x509":
      return x509IssuerOf(root.name);
    default:
      return unreachable(root.kind);
  }
}

export const taskResource = (id: TaskId, task: Task | null): AdministeredResource => ({
  kind: "task",
  id,
  workload: task === null ? "" : workloadName(task.workload),
  state: task?.state ?? "",
  depth: task?.depth ?? 0,
  verifiedInitiator: task?.verifiedInitiator ?? null,
});

export const leaseResource = (id: LeaseId, lease: Lease | null): AdministeredResource => ({
  kind: "lease",
  id,
  taskId: lease?.taskId ?? null,
  role: lease?.role ?? null,
  workload: lease?.workload ?? null,
  backendId: lease?.backendId ?? null,
  state: lease?.state ?? "",
});
