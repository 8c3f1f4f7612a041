import type {
  PolicyBundle,
  RegisteredResourceServer,
  RegisteredRole,
  RegisteredTrustRoot,
} from "@mayfly/spec";
import type { CatalogView } from "./catalog/catalog-view.ts";
import { describe, type DescribedBackend } from "./register/backends.ts";

/** What is registered, without secrets. */
export interface DescribedCatalog {
  readonly version: number;
  readonly backends: readonly DescribedBackend[];
  readonly roles: readonly RegisteredRole[];
  readonly trustRoots: readonly RegisteredTrustRoot[];
  readonly resourceServers: readonly RegisteredResourceServer[];
  readonly policies: PolicyBundle | null;
}

export const describeCatalog = ({ snapshot }: CatalogView): DescribedCatalog => ({
  version: snapshot.version,
  backends: snapshot.backends.map(describe),
  roles: snapshot.roles,
  trustRoots: snapshot.trustRoots,
  resourceServers: snapshot.resourceServers,
  policies: snapshot.policies,
});
