import { and, asc, eq, isNull } from "drizzle-orm";
import {
  parseBackendId,
  type BackendId,
  type CatalogSnapshot,
  type RegisteredBackend,
} from "@mayfly/spec";
import { roleOfStored } from "./catalog-roles.ts";
import type { Database } from "./queries.ts";
import {
  activePolicies,
  backendRevisions,
  backends,
  catalogVersion,
  policyBundles,
  resourceServers,
  roles,
  trustRoots,
} from "./schema.ts";

const backendFields = {
  id: backends.id,
  type: backendRevisions.type,
  revision: backendRevisions.revision,
  enabled: backends.enabled,
  sealedConfig: backendRevisions.sealed_config,
  describedConfig: backendRevisions.described_config,
  upstreamIdentity: backendRevisions.upstream_identity,
  updatedAt: backends.updated_at,
};

const withId = <Row extends { readonly id: string }>(row: Row) => ({
  ...row,
  id: parseBackendId(row.id, "backend.id"),
});

export async function readCatalogVersion(db: Database): Promise<number> {
  const [row] = await db.select({ version: catalogVersion.version }).from(catalogVersion);
  return row?.version ?? 0;
}

/** One snapshot of the database, so that the parts belong to the version that it says. */
export function readCatalog(db: Database): Promise<CatalogSnapshot> {
  return db.transaction(
    async (tx) => {
      const version = await readCatalogVersion(tx);
      const registered = await tx
        .select(backendFields)
        .from(backends)
        .innerJoin(
          backendRevisions,
          and(
            eq(backendRevisions.backend_id, backends.id),
            eq(backendRevisions.revision, backends.revision),
          ),
        )
        .where(isNull(backends.deleted_at))
        .orderBy(asc(backends.id));
      const defined = await tx
        .select({
          definition: roles.definition,
          revision: roles.revision,
          updatedAt: roles.updated_at,
        })
        .from(roles)
        .where(isNull(roles.deleted_at))
        .orderBy(asc(roles.name));
      const trusted = await tx
        .select({
          definition: trustRoots.definition,
          revision: trustRoots.revision,
          updatedAt: trustRoots.updated_at,
        })
        .from(trustRoots)
        .where(isNull(trustRoots.deleted_at))
        .orderBy(asc(trustRoots.name));
      const servers = await tx
        .select({
          definition: resourceServers.definition,
          revision: resourceServers.revision,
          updatedAt: resourceServers.updated_at,
        })
        .from(resourceServers)
        .where(isNull(resourceServers.deleted_at))
        .orderBy(asc(resourceServers.name));
      const [bundle] = await tx
        .select({
          digest: policyBundles.digest,
          sources: policyBundles.sources,
          activatedAt: activePolicies.activated_at,
        })
        .from(activePolicies)
        .innerJoin(policyBundles, eq(policyBundles.digest, activePolicies.digest));
      return {
        version,
        backends: registered.map(withId),
        roles: defined.map(({ definition, ...row }) => ({ ...roleOfStored(definition), ...row })),
        trustRoots: trusted.map(({ definition, ...row }) => ({ ...definition, ...row })),
        resourceServers: servers.map(({ definition, ...row }) => ({ ...definition, ...row })),
        policies:
          bundle === undefined || bundle.activatedAt === null
            ? null
            : { ...bundle, activatedAt: bundle.activatedAt },
      };
    },
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

/** Also of a deleted backend: its leases may still have to be ended. */
export async function readBackendAt(
  db: Database,
  id: BackendId,
  revision: number,
): Promise<RegisteredBackend | null> {
  const [row] = await db
    .select({ ...backendFields, updatedAt: backendRevisions.created_at })
    .from(backendRevisions)
    .innerJoin(backends, eq(backends.id, backendRevisions.backend_id))
    .where(and(eq(backendRevisions.backend_id, id), eq(backendRevisions.revision, revision)));
  return row === undefined ? null : withId(row);
}
