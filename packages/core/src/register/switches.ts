import {
  NO_TERMS,
  type AdministeredResource,
  type AdministrativeAction,
  type Actor,
  type BackendId,
  type ChangeTerms,
  type Precondition,
  type ResourceServerName,
  type RoleName,
  type TrustRootName,
} from "@mayfly/spec";
import { authorise } from "../administer/authorise.ts";
import type { Author } from "../administer/author.ts";
import { decidedChange } from "../administer/decided-change.ts";
import {
  backendResource,
  resourceServerResource,
  roleResource,
  trustRootResource,
} from "../administer/resources.ts";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { CoreParts } from "../core-parts.ts";
import { findResourceServer } from "./resource-servers.ts";
import { findTrustRoot } from "./trust-roots.ts";

/** Disabling stops issuing, or identities; never an end. So does deleting. */

const backendOf =
  (id: BackendId) =>
  (view: CatalogView): AdministeredResource =>
    backendResource(id, view.backends.get(id)?.registered.type ?? null);
const roleOf =
  (name: RoleName) =>
  (view: CatalogView): AdministeredResource =>
    roleResource(view, name, view.roles.get(name) ?? null);
const trustRootOf =
  (name: TrustRootName) =>
  (view: CatalogView): AdministeredResource =>
    trustRootResource(name, findTrustRoot(view.snapshot.trustRoots, name));

const serverOf =
  (name: ResourceServerName) =>
  ({ snapshot }: CatalogView): AdministeredResource =>
    resourceServerResource(name, findResourceServer(snapshot.resourceServers, name));

/**
 * One of an earlier version says nothing of task tokens, and enabled it is told of all: so policies
 * see that then. Nobody is kept by it from disabling the server, or from narrowing it.
 */
const serverToEnable =
  (name: ResourceServerName) =>
  ({ snapshot }: CatalogView): AdministeredResource => {
    const server = findResourceServer(snapshot.resourceServers, name);
    return resourceServerResource(name, server === null ? null : { taskTokens: "all", ...server });
  };

/** After a change of ours, what this process decides from has it. */
async function changing(
  parts: CoreParts,
  action: AdministrativeAction,
  resourceIn: (view: CatalogView) => AdministeredResource,
  by: Author,
  precondition: Precondition,
  change: (actor: Actor, terms: ChangeTerms) => Promise<void>,
): Promise<void> {
  await decidedChange(parts, async (view) => {
    const ask = { action, resources: [resourceIn(view)] } as const;
    const { actor, decisionId } = await authorise(parts, by, ask);
    await change(actor, { precondition, decisionId, decidedAt: view.version });
  });
  await parts.catalog.fresh();
}

const verbOf = (enabled: boolean): AdministrativeAction => (enabled ? "enable" : "disable");
const NONE = NO_TERMS.precondition;

export const setBackendEnabled = (
  parts: CoreParts,
  id: BackendId,
  enabled: boolean,
  by: Author,
  precondition = NONE,
): Promise<void> =>
  changing(parts, verbOf(enabled), backendOf(id), by, precondition, (actor, terms) =>
    parts.ports.catalog.setBackendEnabled(id, enabled, actor, terms),
  );

export const deleteBackend = (
  parts: CoreParts,
  id: BackendId,
  by: Author,
  precondition = NONE,
): Promise<void> =>
  changing(parts, "delete", backendOf(id), by, precondition, (actor, terms) =>
    parts.ports.catalog.deleteBackend(id, actor, terms),
  );

export const setRoleEnabled = (
  parts: CoreParts,
  name: RoleName,
  enabled: boolean,
  by: Author,
  precondition = NONE,
): Promise<void> =>
  changing(parts, verbOf(enabled), roleOf(name), by, precondition, (actor, terms) =>
    parts.ports.catalog.setRoleEnabled(name, enabled, actor, terms),
  );

export const deleteRole = (
  parts: CoreParts,
  name: RoleName,
  by: Author,
  precondition = NONE,
): Promise<void> =>
  changing(parts, "delete", roleOf(name), by, precondition, (actor, terms) =>
    parts.ports.catalog.deleteRole(name, actor, terms),
  );

export const setTrustRootEnabled = (
  parts: CoreParts,
  name: TrustRootName,
  enabled: boolean,
  by: Author,
  precondition = NONE,
): Promise<void> =>
  changing(parts, verbOf(enabled), trustRootOf(name), by, precondition, (actor, terms) =>
    parts.ports.catalog.setTrustRootEnabled(name, enabled, actor, terms),
  );

export const deleteTrustRoot = (
  parts: CoreParts,
  name: TrustRootName,
  by: Author,
  precondition = NONE,
): Promise<void> =>
  changing(parts, "delete", trustRootOf(name), by, precondition, (actor, terms) =>
    parts.ports.catalog.deleteTrustRoot(name, actor, terms),
  );

export const setResourceServerEnabled = (
  parts: CoreParts,
  name: ResourceServerName,
  enabled: boolean,
  by: Author,
  precondition = NONE,
): Promise<void> => {
  const server = enabled ? serverToEnable(name) : serverOf(name);
  return changing(parts, verbOf(enabled), server, by, precondition, (actor, terms) =>
    parts.ports.catalog.setResourceServerEnabled(name, enabled, actor, terms),
  );
};

export const deleteResourceServer = (
  parts: CoreParts,
  name: ResourceServerName,
  by: Author,
  precondition = NONE,
): Promise<void> =>
  changing(parts, "delete", serverOf(name), by, precondition, (actor, terms) =>
    parts.ports.catalog.deleteResourceServer(name, actor, terms),
  );
