import {
  BrokerError,
  type AdministeredResource,
  type BackendId,
  type PolicyActivation,
  type PolicyBundle,
  type PolicySource,
  type RegisteredResourceServer,
  type RegisteredRole,
  type RegisteredTrustRoot,
  type ResourceServerName,
  type RoleName,
  type TrustRootName,
} from "@mayfly/spec";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { CoreParts } from "../core-parts.ts";
import { describeCatalog, type DescribedCatalog } from "../described-catalog.ts";
import { workloadJson } from "../exchange/decide.ts";
import { describe, noBackend, type DescribedBackend } from "../register/backends.ts";
import { noPolicies } from "../register/policies.ts";
import { findResourceServer, noResourceServer } from "../register/resource-servers.ts";
import { findTrustRoot, noTrustRoot } from "../register/trust-roots.ts";
import { authorise, isPermitted } from "./authorise.ts";
import type { Author, IdentityAuthor } from "./author.ts";
import {
  backendResource,
  resourceServerResource,
  roleResource,
  trustRootResource,
} from "./resources.ts";

export type ReadableCatalog = Pick<
  DescribedCatalog,
  "backends" | "roles" | "trustRoots" | "resourceServers"
>;

/**
 * What this author may read, and nothing of what else there is. Who may read nothing at all is
 * denied, unless the catalog as such may be read: an empty list would look like an empty catalog.
 */
export async function readableCatalog(parts: CoreParts, by: Author): Promise<ReadableCatalog> {
  const view = await parts.catalog.fresh();
  const readable = by.kind === "identity" ? readableBy(view, by) : describeCatalog(view);
  const { backends, roles, trustRoots, resourceServers } = readable;
  const lists = [backends, roles, trustRoots, resourceServers];
  const isEmpty = lists.every(({ length }) => length === 0);
  if (isEmpty) await authorise(parts, by, { action: "read", resources: [{ kind: "catalog" }] });
  return readable;
}

const READERS_MAX = 100;
const readersOf = new WeakMap<CatalogView, Map<string, ReadableCatalog>>();

/**
 * Found once for an identity and a version: verdicts are pure, each takes its time, and who lists
 * again and again what it may not read must not hold up everybody else.
 */
function readableBy(view: CatalogView, by: IdentityAuthor): ReadableCatalog {
  const readers = readersOf.get(view) ?? new Map<string, ReadableCatalog>();
  readersOf.set(view, readers);
  const key = JSON.stringify([workloadJson(by), by.mayAdminister]);
  const readable = readers.get(key) ?? readableIn(view, by);
  if (readers.size >= READERS_MAX) readers.clear();
  readers.set(key, readable);
  return readable;
}

function readableIn(view: CatalogView, by: IdentityAuthor): ReadableCatalog {
  const { backends, roles, trustRoots, resourceServers } = describeCatalog(view);
  const may = (resource: AdministeredResource): boolean =>
    isPermitted(view, by, { action: "read", resources: [resource] });
  return {
    backends: backends.filter(({ id, type }) => may(backendResource(id, type))),
    roles: roles.filter((role) => may(roleResource(view, role.name, role))),
    trustRoots: trustRoots.filter((root) => may(trustRootResource(root.name, root))),
    resourceServers: resourceServers.filter((server) =>
      may(resourceServerResource(server.name, server)),
    ),
  };
}

/** Throws `denied`, and `not_found` only to who may read what is not there. */
export async function readBackend(
  parts: CoreParts,
  id: BackendId,
  by: Author,
): Promise<DescribedBackend> {
  const known = (await parts.catalog.fresh()).backends.get(id)?.registered ?? null;
  const resources = [backendResource(id, known?.type ?? null)] as const;
  await authorise(parts, by, { action: "read", resources });
  if (known === null) throw noBackend(id);
  return describe(known);
}

export async function readRole(
  parts: CoreParts,
  name: RoleName,
  by: Author,
): Promise<RegisteredRole> {
  const view = await parts.catalog.fresh();
  const role = view.roles.get(name) ?? null;
  await authorise(parts, by, { action: "read", resources: [roleResource(view, name, role)] });
  if (role !== null) return role;
  throw new BrokerError("not_found", `There is no role ${name}.`, { where: "role" });
}

export async function readTrustRoot(
  parts: CoreParts,
  name: TrustRootName,
  by: Author,
): Promise<RegisteredTrustRoot> {
  const root = findTrustRoot((await parts.catalog.fresh()).snapshot.trustRoots, name);
  await authorise(parts, by, { action: "read", resources: [trustRootResource(name, root)] });
  if (root !== null) return root;
  throw noTrustRoot(name);
}

export async function readResourceServer(
  parts: CoreParts,
  name: ResourceServerName,
  by: Author,
): Promise<RegisteredResourceServer> {
  const server = findResourceServer((await parts.catalog.fresh()).snapshot.resourceServers, name);
  const resources = [resourceServerResource(name, server)] as const;
  await authorise(parts, by, { action: "read", resources });
  if (server !== null) return server;
  throw noResourceServer(name);
}

export async function readPolicies(parts: CoreParts, by: Author): Promise<PolicyBundle | null> {
  await authorise(parts, by, { action: "read", resources: POLICIES });
  return (await parts.catalog.fresh()).snapshot.policies;
}

const POLICIES = [{ kind: "policies" }] as const;

export async function policyHistory(
  parts: CoreParts,
  by: Author,
  limit: number,
): Promise<readonly PolicyActivation[]> {
  await authorise(parts, by, { action: "read", resources: POLICIES });
  return parts.ports.catalog.policyHistory(limit);
}

export async function policySources(
  parts: CoreParts,
  by: Author,
  digest: string,
): Promise<readonly PolicySource[]> {
  await authorise(parts, by, { action: "read", resources: POLICIES });
  const sources = await parts.ports.catalog.policySources(digest);
  if (sources === null) throw noPolicies(digest);
  return sources;
}
