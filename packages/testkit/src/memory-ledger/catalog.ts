import { isDeepStrictEqual } from "node:util";
import {
  BrokerError,
  type Actor,
  type BackendId,
  type Catalog,
  type EventKind,
  type JsonObject,
  type PolicyBundle,
  type Put,
  type RegisteredBackend,
  type Role,
  type TrustRoot,
} from "@mayfly/spec";
import { append, isLive, type MemoryStore } from "./store.ts";

interface Registered {
  version: number;
  readonly backends: Map<BackendId, RegisteredBackend>;
  /** Every revision there ever was. */
  readonly revisions: Map<string, RegisteredBackend>;
  readonly roles: Map<string, Role>;
  readonly trustRoots: Map<string, TrustRoot>;
  policies: PolicyBundle | null;
}

export function createMemoryCatalog(store: MemoryStore): Catalog {
  const registered: Registered = {
    version: 1,
    backends: new Map(),
    revisions: new Map(),
    roles: new Map(),
    trustRoots: new Map(),
    policies: null,
  };
  store.catalogVersion = () => registered.version;
  store.backendIds = () => [...registered.backends.keys()];
  store.backendFacts = (id) => registered.backends.get(id) ?? null;
  const changed = (kind: EventKind, actor: Actor, data: JsonObject): void => {
    registered.version++;
    append(store, { kind, actor, data });
  };
  const { gate } = store;
  return {
    version: () => gate.run("version", () => registered.version),
    snapshot: () =>
      gate.run("snapshot", () => ({
        version: registered.version,
        backends: [...registered.backends.values()],
        roles: [...registered.roles.values()],
        trustRoots: [...registered.trustRoots.values()],
        policies: registered.policies,
      })),
    backendAt: (id, revision) =>
      gate.run("backendAt", () => registered.revisions.get(`${id}@${revision}`) ?? null),
    putBackend: (backend, actor) =>
      gate.run("putBackend", () => putBackend(store, registered, backend, actor, changed)),
    setBackendEnabled: (id, enabled, actor) =>
      gate.run("setBackendEnabled", () => {
        const current = registered.backends.get(id);
        if (current === undefined) throw notFound("backend", id);
        if (current.enabled === enabled) return;
        registered.backends.set(id, { ...current, enabled, updatedAt: store.clock.now() });
        changed(enabled ? "backend.enabled" : "backend.disabled", actor, { id });
      }),
    deleteBackend: (id, actor) =>
      gate.run("deleteBackend", () => {
        if (!registered.backends.has(id)) throw notFound("backend", id);
        refuseIfLive(store, id);
        if ([...registered.roles.values()].some((role) => role.backendId === id)) {
          throw new BrokerError("conflict", "A backend is not deleted while it has roles.");
        }
        registered.backends.delete(id);
        changed("backend.deleted", actor, { id });
      }),
    ...entries(store, registered, changed),
  };
}

type Changed = (kind: EventKind, actor: Actor, data: JsonObject) => void;

function putBackend(
  store: MemoryStore,
  registered: Registered,
  backend: Omit<RegisteredBackend, "updatedAt">,
  actor: Actor,
  changed: Changed,
): Put {
  const { id, revision, upstreamIdentity } = backend;
  const current = registered.backends.get(id);
  if (current !== undefined) {
    const { updatedAt } = current;
    if (isDeepStrictEqual(current, { ...backend, updatedAt })) return "unchanged";
  }
  const known = [...registered.revisions.values()].filter((one) => one.id === id).length;
  if (revision !== known + 1) {
    throw new BrokerError("conflict", `The next revision of ${id} is ${known + 1}.`, {
      where: id,
      public: { nextRevision: known + 1 },
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
  changed(put === "created" ? "backend.registered" : "backend.updated", actor, {
    id,
    revision,
    upstreamIdentity,
  });
  return put;
}

function entries(store: MemoryStore, registered: Registered, changed: Changed) {
  const { gate } = store;
  const put = <T>(map: Map<string, T>, name: string, entry: T): Put => {
    const current = map.get(name);
    if (current !== undefined && isDeepStrictEqual(current, entry)) return "unchanged";
    map.set(name, entry);
    return current === undefined ? "created" : "updated";
  };
  return {
    putRole: (role: Role, actor: Actor) =>
      gate.run("putRole", () => {
        if (!registered.backends.has(role.backendId)) throw notFound("backend", role.backendId);
        const done = put(registered.roles, role.name, role);
        if (done !== "unchanged") changed("role.put", actor, { name: role.name });
        return done;
      }),
    deleteRole: (name: Role["name"], actor: Actor) =>
      gate.run("deleteRole", () => {
        if (!registered.roles.delete(name)) throw notFound("role", name);
        changed("role.deleted", actor, { name });
      }),
    putTrustRoot: (root: TrustRoot, actor: Actor) =>
      gate.run("putTrustRoot", () => {
        const done = put(registered.trustRoots, root.name, root);
        if (done !== "unchanged") changed("trust.put", actor, { name: root.name });
        return done;
      }),
    deleteTrustRoot: (name: TrustRoot["name"], actor: Actor) =>
      gate.run("deleteTrustRoot", () => {
        if (!registered.trustRoots.delete(name)) throw notFound("trust root", name);
        changed("trust.deleted", actor, { name });
      }),
    activatePolicies: (bundle: Omit<PolicyBundle, "activatedAt">, actor: Actor) =>
      gate.run("activatePolicies", (): Put => {
        const before = registered.policies;
        if (before?.digest === bundle.digest) return "unchanged";
        registered.policies = { ...bundle, activatedAt: store.clock.now() };
        changed("policies.activated", actor, { digest: bundle.digest });
        return before === null ? "created" : "updated";
      }),
  };
}

function refuseIfLive(store: MemoryStore, id: BackendId): void {
  const live = [...store.leases.values()].filter((row) => row.backendId === id && isLive(row));
  if (live.length === 0) return;
  throw new BrokerError("conflict", `${live.length} leases of ${id} live.`, { where: id });
}

const notFound = (what: string, name: string): BrokerError =>
  new BrokerError("not_found", `There is no such ${what}.`, { where: name });
