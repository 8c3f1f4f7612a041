import type { CedarValueJson, TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";
import type { AdministeredResource, AdministrationRequest } from "@mayfly/spec";
import { principalOf, text, whole, workloadEntity, type CedarRequest } from "./cedar-request.ts";

/**
 * An administrative request in Cedar's terms, as `ADMINISTRATION_SCHEMA` declares them. Throws
 * `InvalidInput` with an end of a sentence for what Cedar could not hold exactly.
 */
export function administrationRequest(request: AdministrationRequest): CedarRequest {
  const { uid, attrs, parents } = entityOf(request.resource);
  return {
    principal: principalOf(request.workload),
    action: { type: "Action", id: request.action },
    resource: uid,
    context: {},
    entities: [workloadEntity(request.workload), { uid, attrs, parents: [...parents] }],
  };
}

interface ResourceEntity {
  readonly uid: TypeAndId;
  readonly attrs: Record<string, CedarValueJson>;
  readonly parents: readonly TypeAndId[];
}

const CATALOG = { type: "Catalog", id: "catalog" };
const LEDGER = { type: "Ledger", id: "ledger" };
const named = (type: string, id: string): TypeAndId => ({ type, id: text(id, type.toLowerCase()) });

function entityOf(resource: AdministeredResource): ResourceEntity {
  switch (resource.kind) {
    case "catalog":
      return { uid: CATALOG, attrs: {}, parents: [] };
    case "ledger":
      return { uid: LEDGER, attrs: {}, parents: [] };
    case "policies":
      return { uid: { type: "PolicySet", id: "active" }, attrs: {}, parents: [CATALOG] };
    case "backend": {
      const attrs = { type: text(resource.type, "backend type") };
      return { uid: named("Backend", resource.id), attrs, parents: [CATALOG] };
    }
    case "role":
      return roleEntity(resource);
    case "trust_root": {
      const attrs = {
        kind: resource.trustKind,
        issuer: text(resource.issuer, "issuer"),
        administrators: resource.administrators,
        initiators: resource.initiators,
      };
      return { uid: named("TrustRoot", resource.name), attrs, parents: [CATALOG] };
    }
    case "resource_server": {
      const audiences = resource.audiences.map((audience) => text(audience, "audience"));
      const uid = named("ResourceServer", resource.name);
      return { uid, attrs: { audiences }, parents: [CATALOG] };
    }
    case "task": {
      const attrs = {
        workload: text(resource.workload, "workload"),
        state: resource.state,
        depth: whole(resource.depth, "depth"),
        ...optional("initiator", resource.verifiedInitiator),
      };
      return { uid: named("Task", resource.id), attrs, parents: [LEDGER] };
    }
    case "lease":
      return leaseEntity(resource);
  }
}

function roleEntity(role: Extract<AdministeredResource, { kind: "role" }>): ResourceEntity {
  const backend = named("Backend", role.backendId);
  const attrs = {
    backend: { __entity: backend },
    backend_type: text(role.backendType, "backend type"),
    data_class: role.dataClass,
    reversibility: role.reversibility,
    environment: text(role.environment, "environment"),
  };
  return { uid: named("Role", role.name), attrs, parents: [backend, CATALOG] };
}

function leaseEntity(lease: Extract<AdministeredResource, { kind: "lease" }>): ResourceEntity {
  const parents = [
    LEDGER,
    ...(lease.backendId === null ? [] : [named("Backend", lease.backendId)]),
    ...(lease.taskId === null ? [] : [named("Task", lease.taskId)]),
    ...(lease.role === null ? [] : [named("Role", lease.role)]),
  ];
  const attrs = { state: lease.state, ...optional("workload", lease.workload) };
  return { uid: named("Lease", lease.id), attrs, parents };
}

const optional = (name: string, value: string | null): Record<string, CedarValueJson> =>
  value === null ? {} : { [name]: text(value, name) };
