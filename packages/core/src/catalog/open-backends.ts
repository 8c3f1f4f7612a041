import {
  BrokerError,
  bindingOf,
  type BackendId,
  type CredentialBackend,
  type JsonObject,
  type OpenBackend,
  type RegisteredBackend,
} from "@mayfly/spec";
import type { Background } from "../background.ts";
import type { CorePorts } from "../ports.ts";
import { withDeadline } from "../with-deadline.ts";
import { backendHost } from "./backend-host.ts";

/**
 * Opened backends by id and revision. One in use is closed only when its last user is done, so
 * that a changed configuration breaks no call under way.
 */
export interface OpenBackends {
  /** Throws `config_invalid` when the stored configuration cannot be unsealed, parsed or opened. */
  use<T>(registered: RegisteredBackend, run: (open: OpenBackend) => Promise<T>): Promise<T>;
  /** The parsed configuration, unsealed. Holds secrets. */
  readConfig(registered: RegisteredBackend): Promise<JsonObject>;
  /** Closes what is not among the current revisions, once unused. */
  retainOnly(current: readonly Pick<RegisteredBackend, "id" | "revision">[]): void;
  close(): Promise<void>;
}

interface Entry {
  readonly key: string;
  readonly opening: Promise<OpenBackend>;
  users: number;
  retired: boolean;
}

/** Unsealing may ask a key service. */
const UNSEAL_SECONDS_MAX = 10;

const keyOf = (backend: Pick<RegisteredBackend, "id" | "revision">): string =>
  `${backend.id}@${backend.revision}`;

export function createOpenBackends(ports: CorePorts, background: Background): OpenBackends {
  const entries = new Map<string, Entry>();

  const closeEntry = (entry: Entry): void => {
    entries.delete(entry.key);
    background.start(`close backend ${entry.key}`, async () => (await entry.opening).close());
  };

  const take = (registered: RegisteredBackend): Entry => {
    const key = keyOf(registered);
    const known = entries.get(key);
    if (known !== undefined) return known;
    const entry: Entry = { key, opening: open(ports, registered), users: 0, retired: false };
    entries.set(key, entry);
    return entry;
  };

  return {
    readConfig: (registered) => readConfig(ports, registered),
    use: async (registered, run) => {
      const entry = take(registered);
      entry.users++;
      try {
        const backend = await entry.opening.catch((error: unknown) => {
          // Not remembered: keys may be configured later, and the next use tries again.
          if (entries.get(entry.key) === entry) entries.delete(entry.key);
          throw error;
        });
        return await run(backend);
      } finally {
        entry.users--;
        if (entry.retired && entry.users === 0 && entries.get(entry.key) === entry) {
          closeEntry(entry);
        }
      }
    },
    retainOnly: (current) => {
      const keep = new Set(current.map(keyOf));
      for (const entry of entries.values()) {
        entry.retired = !keep.has(entry.key);
        if (entry.retired && entry.users === 0) closeEntry(entry);
      }
    },
    close: async () => {
      const closing = [...entries.values()].map(async (entry) => (await entry.opening).close());
      entries.clear();
      await Promise.allSettled(closing);
    },
  };
}

async function readConfig(ports: CorePorts, registered: RegisteredBackend): Promise<JsonObject> {
  const type = installedType(ports, registered.id, registered.type);
  const what = `unseal the configuration of ${registered.id}`;
  const { signal } = new AbortController();
  try {
    const binding = bindingOf.backendConfig(registered.id, registered.revision);
    const text = await withDeadline(
      { clock: ports.clock, seconds: UNSEAL_SECONDS_MAX, signal, what },
      () => ports.sealer.open(registered.sealedConfig, binding),
    );
    const stored: unknown = JSON.parse(text.expose("upstream"));
    return type.parseConfig(stored);
  } catch (error) {
    throw cannotOpen(registered, error);
  }
}

async function open(ports: CorePorts, registered: RegisteredBackend): Promise<OpenBackend> {
  const config = await readConfig(ports, registered);
  const type = installedType(ports, registered.id, registered.type);
  try {
    return type.open(config, backendHost(ports, registered.id));
  } catch (error) {
    throw cannotOpen(registered, error);
  }
}

/** Throws `config_invalid`: this process was built without the type. */
export function installedType(
  ports: Pick<CorePorts, "backendTypes">,
  id: BackendId,
  type: string,
): CredentialBackend {
  const installed = ports.backendTypes.get(type);
  if (installed !== undefined) return installed;
  const known = [...ports.backendTypes.keys()].toSorted().join(", ");
  throw new BrokerError(
    "config_invalid",
    `backend ${id}: this process has no backend type "${type}"; it has ${known}`,
    { where: "type" },
  );
}

function cannotOpen(registered: RegisteredBackend, cause: unknown): BrokerError {
  return new BrokerError(
    "config_invalid",
    `backend ${registered.id}: its stored configuration (revision ${registered.revision}) cannot ` +
      "be opened; check the sealing keys of this process, or register the backend again",
    { where: registered.id, cause },
  );
}
