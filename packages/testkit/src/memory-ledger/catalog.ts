import { isDeepStrictEqual } from "node:util";
import {
  BrokerError,
  NO_TERMS,
  refuseRivalTrustRoot,
  requireDecidedAt,
  requirePrecondition,
  tagOf,
  type Actor,
  type BackendCheck,
  type BackendId,
  type Catalog,
  type ChangeTerms,
  type EventKind,
  type InstantMs,
  type JsonObject,
  type PolicyActivation,
  type PolicyBundle,
  type PolicySource,
  type Put,
  type RegisteredBackend,
  type RegisteredNames,
  type ResourceServer,
  type Role,
  type TrustRoot,
} from "@mayfly/spec";
import { append, isLive, type MemoryStore } from "./store.ts";

/** What is there, or was: a revision is never used again. */
interface Entry<T> {
  readonly entry: T;
  readonly revision: number;
  readonly updatedAt: InstantMs;
  readonly deleted: boolean;
}
type Entries<T> = Map<string, Entry<T>>;

interface Registered {
  version: number;
  readonly backends: Map<BackendId, RegisteredBackend>;
  /** Every revision there ever was. */
  readonly revisions: Map<string, RegisteredBackend>;
  readonly checks: Map<BackendId, BackendCheck>;
  readonly roles: Entries<Role>;
  readonly trustRoots: Entries<TrustRoot>;
  readonly resourceServers: Entries<ResourceServer>;
  /** Every one that a trust root ever had. */
  readonly trustDomains: Set<unknown>;
  policies: PolicyBundle | null;
  readonly sources: Map<string, readonly PolicySource[]>;
  readonly history: PolicyActivation[];
}

type Changed = (kind: EventKind, actor: Actor, terms: ChangeTerms, data: JsonObject) => void;

export function createMemoryCatalog(store: MemoryStore): Catalog {
  const registered: Registered = {
    version: 1,
    backends: new Map(),
    revisions: new Map(),
    checks: new Map(),
    roles: new Map(),
    trustRoots: new Map(),
    resourceServers: new Map(),
    trustDomains: new Set(),
    policies: null,
    sources: new Map(),
    history: [],
  };
  store.catalogVersion = () => registered.version;
  store.backendIds = () => [...registered.backends.keys()];
  store.wasRegistered = (member, name) => wasRegistered(registered, member, name);
  store.backendFacts = (id) => registered.backends.get(id) ?? null;
  const changed: Changed = (kind, actor, { decisionId }, data) => {
    registered.version++;
    append(store, { kind, actor, decisionId, data });
  };
  const { gate } = store;
  return {
    version: () => gate.run("version", () => registered.version),
    snapshot: () =>
      gate.run("snapshot", () => ({
        version: registered.version,
        backends: [...registered.backends.values()],
        roles: shown(registered.roles),
        trustRoots: shown(registered.trustRoots),
        resourceServers: shown(registered.resourceServers),
        policies: registered.policies,
      })),
    backendAt: (id, revision) =>
      gate.run("backendAt", () => registered.revisions.get(`${id}@${revision}`) ?? null),
    ...backendChanges(store, registered, changed),
    ...roleChanges(store, registered, changed),
    ...trustChanges(store, registered, changed),
    ...serverChanges(store, registered, changed),
    ...policyChanges(store, registered, changed),
    recordCheck: (id, check) =>
      gate.run("recordCheck", () => {
        if (!registered.backends.has(id)) return;
        registered.checks.set(id, { ...check, checkedAt: store.clock.now() });
      }),
    checks: () => gate.run("checks", () => new Map(registered.checks)),
  };
}

function wasRegistered(
  { revisions, roles, trustRoots, trustDomains }: Registered,
  member: keyof RegisteredNames,
  name: string,
): boolean {
  switch (member) {
    case "backendId":
      return [...revisions.values()].some(({ id }) => id === name);
    case "role":
      return roles.has(name);
    case "trustRoot":
      return trustRoots.has(name);
    case "trustDomain":
      return trustDomains.has(name);
  }
}

const shown = <T extends object>(entries: Entries<T>) =>
  [...entries.values()]
    .filter(({ deleted }) => !deleted)
    .map(({ entry, revision, updatedAt }) => ({ ...entry, revision, updatedAt }));

function backendChanges(store: MemoryStore, registered: Registered, changed: Changed) {
  const { gate } = store;
  const changes: Pick<Catalog, "putBackend" | "setBackendEnabled" | "deleteBackend"> = {
    putBackend: (backend, actor, terms = NO_TERMS) =>
      gate.run("putBackend", () => putBackend(store, registered, backend, actor, terms, changed)),
    setBackendEnabled: (id, enabled, actor, terms = NO_TERMS) =>
      gate.run("setBackendEnabled", () => {
        const current = existing(registered, id, terms);
        if (current === undefined) throw notFound("backend", id);
        if (current.enabled === enabled) return;
        registered.backends.set(id, { ...current, enabled, updatedAt: store.clock.now() });
        const data = { id, revision: current.revision };
        changed(enabled ? "backend.enabled" : "backend.disabled", actor, terms, data);
      }),
    deleteBackend: (id, actor, terms = NO_TERMS) =>
      gate.run("deleteBackend", () => {
        const current = existing(registered, id, terms);
        if (current === undefined) throw notFound("backend", id);
        refuseIfLive(store, id);
        if (shown(registered.roles).some((role) => role.backendId === id)) {
          throw new BrokerError("conflict", "A backend is not deleted while it has roles.");
        }
        registered.backends.delete(id);
        registered.checks.delete(id);
        changed("backend.deleted", actor, terms, { id, before: current.revision });
      }),
  };
  return changes;
}

function existing(
  registered: Registered,
  id: BackendId,
  terms: ChangeTerms,
): RegisteredBackend | undefined {
  requireDecidedAt(terms, registered.version);
  const current = registered.backends.get(id);
  requirePrecondition(
    terms.precondition,
    current === undefined ? null : tagOf(current),
    `backend ${id}`,
  );
  return current;
}

function putBackend(
  store: MemoryStore,
  registered: Registered,
  backend: Omit<RegisteredBackend, "updatedAt">,
  actor: Actor,
  terms: ChangeTerms,
  changed: Changed,
): Put {
  const { id, revision, upstreamIdentity } = backend;
  const current = existing(registered, id, terms);
  if (current !== undefined) {
    const { updatedAt } = current;
    if (isDeepStrictEqual(current, { ...backend, updatedAt })) return "unchanged";
  }
  const known = [...registered.revisions.values()].filter((one) => one.id === id).length;
  if (revision !== known + 1) {
    throw new BrokerError("conflict", `The next revision of ${id} is ${known + 1}.`, {
      where: id,
      public: { next_revision: known + 1 },
    });
  }
  if (current !== undefined && current.type !== backend.type) {
    throw new BrokerError("conflict", `${id} is of type ${current.type}.`, { where: id });
  }
  if (current !== undefined && current.upstreamIdentity !== upstreamIdentity) {
    refuseIfLive(store, id);
  }
  const row = { ...backend, updatedAt: store.clock.now() };
  registered.backends.set(id, row);
  registered.revisions.set(`${id}@${revision}`, row);
  const put = current === undefined ? "created" : "updated";
  changed(put === "created" ? "backend.registered" : "backend.updated", actor, terms, {
    id,
    revision,
    before: current?.revision ?? null,
    upstreamIdentity,
  });
  return put;
}

/** Writes it at the next revision, and answers what was there before. */
function write<T>(store: MemoryStore, entries: Entries<T>, name: string, entry: T): number {
  const revision = (entries.get(name)?.revision ?? 0) + 1;
  entries.set(name, { entry, revision, updatedAt: store.clock.now(), deleted: false });
  return revision;
}

function live<T extends { readonly enabled: boolean }>(
  version: number,
  entries: Entries<T>,
  name: string,
  terms: ChangeTerms,
  what: string,
): Entry<T> | null {
  requireDecidedAt(terms, version);
  const known = entries.get(name);
  const current = known === undefined || known.deleted ? null : known;
  const tag =
    current === null ? null : tagOf({ revision: current.revision, enabled: current.entry.enabled });
  requirePrecondition(terms.precondition, tag, `${what} ${name}`);
  return current;
}

function gone<T>(store: MemoryStore, entries: Entries<T>, name: string, current: Entry<T>): void {
  const revision = current.revision + 1;
  entries.set(name, { ...current, revision, updatedAt: store.clock.now(), deleted: true });
}

function roleChanges(store: MemoryStore, registered: Registered, changed: Changed) {
  const { gate } = store;
  const { roles, backends } = registered;
  const changes: Pick<Catalog, "putRole" | "setRoleEnabled" | "deleteRole"> = {
    putRole: (role, actor, terms = NO_TERMS) =>
      gate.run("putRole", () => {
        const current = live(registered.version, roles, role.name, terms, "role");
        if (!backends.has(role.backendId)) throw notFound("backend", role.backendId);
        if (current !== null && isDeepStrictEqual(current.entry, role)) return "unchanged";
        const revision = write(store, roles, role.name, role);
        const data = { name: role.name, revision, before: current?.revision ?? null };
        changed("role.put", actor, terms, data);
        return current === null ? "created" : "updated";
      }),
    setRoleEnabled: (name, enabled, actor, terms = NO_TERMS) =>
      gate.run("setRoleEnabled", () => {
        const current = live(registered.version, roles, name, terms, "role");
        if (current === null) throw notFound("role", name);
        if (current.entry.enabled === enabled) return;
        const revision = write(store, roles, name, { ...current.entry, enabled });
        const data = { name, revision, before: current.revision };
        changed(enabled ? "role.enabled" : "role.disabled", actor, terms, data);
      }),
    deleteRole: (name, actor, terms = NO_TERMS) =>
      gate.run("deleteRole", () => {
        const current = live(registered.version, roles, name, terms, "role");
        if (current === null) throw notFound("role", name);
        gone(store, roles, name, current);
        changed("role.deleted", actor, terms, { name, before: current.revision });
      }),
  };
  return changes;
}

function trustChanges(store: MemoryStore, registered: Registered, changed: Changed) {
  const { gate } = store;
  const { trustRoots } = registered;
  const changes: Pick<Catalog, "putTrustRoot" | "setTrustRootEnabled" | "deleteTrustRoot"> = {
    putTrustRoot: (root, actor, terms = NO_TERMS) =>
      gate.run("putTrustRoot", () => {
        const current = live(registered.version, trustRoots, root.name, terms, "trust");
        if (current !== null && isDeepStrictEqual(current.entry, root)) return "unchanged";
        refuseRivalTrustRoot(root, shown(trustRoots));
        const revision = write(store, trustRoots, root.name, root);
        registered.trustDomains.add(root.config["trust_domain"]);
        const data = { name: root.name, revision, before: current?.revision ?? null };
        changed("trust.put", actor, terms, data);
        return current === null ? "created" : "updated";
      }),
    setTrustRootEnabled: (name, enabled, actor, terms = NO_TERMS) =>
      gate.run("setTrustRootEnabled", () => {
        const current = live(registered.version, trustRoots, name, terms, "trust");
        if (current === null) throw notFound("trust root", name);
        if (current.entry.enabled === enabled) return;
        const root = { ...current.entry, enabled };
        refuseRivalTrustRoot(root, shown(trustRoots));
        const revision = write(store, trustRoots, name, root);
        const data = { name, revision, before: current.revision };
        changed(enabled ? "trust.enabled" : "trust.disabled", actor, terms, data);
      }),
    deleteTrustRoot: (name, actor, terms = NO_TERMS) =>
      gate.run("deleteTrustRoot", () => {
        const current = live(registered.version, trustRoots, name, terms, "trust");
        if (current === null) throw notFound("trust root", name);
        gone(store, trustRoots, name, current);
        store.bundleSequences.forget(name);
        changed("trust.deleted", actor, terms, { name, before: current.revision });
      }),
  };
  return changes;
}

function serverChanges(store: MemoryStore, registered: Registered, changed: Changed) {
  const { gate } = store;
  const { resourceServers: servers } = registered;
  const current = (name: string, terms: ChangeTerms) =>
    live(registered.version, servers, name, terms, "resource-server");
  const changes: Pick<
    Catalog,
    "putResourceServer" | "setResourceServerEnabled" | "deleteResourceServer"
  > = {
    putResourceServer: (server, actor, terms = NO_TERMS) =>
      gate.run("putResourceServer", () => {
        const before = current(server.name, terms);
        if (before !== null && isDeepStrictEqual(before.entry, server)) return "unchanged";
        const revision = write(store, servers, server.name, server);
        const data = { name: server.name, revision, before: before?.revision ?? null };
        changed("resource_server.put", actor, terms, data);
        return before === null ? "created" : "updated";
      }),
    setResourceServerEnabled: (name, enabled, actor, terms = NO_TERMS) =>
      gate.run("setResourceServerEnabled", () => {
        const before = current(name, terms);
        if (before === null) throw notFound("resource server", name);
        if (before.entry.enabled === enabled) return;
        const revision = write(store, servers, name, { ...before.entry, enabled });
        const data = { name, revision, before: before.revision };
        const kind = enabled ? "resource_server.enabled" : "resource_server.disabled";
        changed(kind, actor, terms, data);
      }),
    deleteResourceServer: (name, actor, terms = NO_TERMS) =>
      gate.run("deleteResourceServer", () => {
        const before = current(name, terms);
        if (before === null) throw notFound("resource server", name);
        gone(store, servers, name, before);
        changed("resource_server.deleted", actor, terms, { name, before: before.revision });
      }),
  };
  return changes;
}

function policyChanges(store: MemoryStore, registered: Registered, changed: Changed) {
  const { gate } = store;
  const changes: Pick<Catalog, "activatePolicies" | "policyHistory" | "policySources"> = {
    activatePolicies: (bundle, actor, terms = NO_TERMS) =>
      gate.run("activatePolicies", (): Put => {
        const { digest, sources } = bundle;
        requireDecidedAt(terms, registered.version);
        const before = registered.policies?.digest ?? null;
        requirePrecondition(terms.precondition, before, "policies");
        if (before === digest) return "unchanged";
        const at = store.clock.now();
        registered.policies = { ...bundle, activatedAt: at };
        if (!registered.sources.has(digest)) registered.sources.set(digest, sources);
        const { decisionId } = terms;
        registered.history.push({ digest, before, at, actor, decisionId });
        changed("policies.activated", actor, terms, { digest, before });
        return before === null ? "created" : "updated";
      }),
    policyHistory: (limit) =>
      gate.run("policyHistory", () => registered.history.toReversed().slice(0, limit)),
    policySources: (digest) =>
      gate.run("policySources", () => registered.sources.get(digest) ?? null),
  };
  return changes;
}

function refuseIfLive(store: MemoryStore, id: BackendId): void {
  const live = [...store.leases.values()].filter((row) => row.backendId === id && isLive(row));
  if (live.length === 0) return;
  throw new BrokerError("conflict", `${live.length} leases of ${id} live.`, { where: id });
}

const notFound = (what: string, name: string): BrokerError =>
  new BrokerError("not_found", `There is no such ${what}.`, { where: name });
