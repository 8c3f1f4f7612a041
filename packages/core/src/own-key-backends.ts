import {
  NotKnownYet,
  type BackendId,
  type CredentialBackend,
  type JsonObject,
  type RegisteredBackend,
} from "@mayfly/spec";
import type { CatalogView } from "./catalog/catalog-view.ts";
import type { CoreParts } from "./core-parts.ts";

/** How often a stranger's question for an unknown backend may have the catalog looked at. */
const LOOK_SECONDS = 5;

export interface BackendFinder {
  (id: BackendId): Promise<RegisteredBackend | null>;
  /** The same, where null means that there is none. Throws `NotKnownYet`. */
  surely(id: BackendId): Promise<RegisteredBackend | null>;
}

/**
 * Finds backends of the types that `isWanted`, disabled ones too: what they issued is verified on,
 * and ended. One that was registered by another process just now is found, and no flood of looks.
 */
export function createBackendFinder(
  { catalog, ports: { clock } }: CoreParts,
  isWanted: (type: CredentialBackend) => boolean,
): BackendFinder {
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  const within = (view: CatalogView, id: BackendId): RegisteredBackend | null => {
    const known = view.backends.get(id);
    if (known === undefined || known.type === null) return null;
    return isWanted(known.type) ? known.registered : null;
  };
  const mayLook = (): boolean => {
    if (clock.monotonicMs() - lookedAtMs < LOOK_SECONDS * 1000) return false;
    lookedAtMs = clock.monotonicMs();
    return true;
  };
  const find = async (id: BackendId): Promise<RegisteredBackend | null> => {
    const known = within(await catalog.current(), id);
    return known !== null || !mayLook() ? known : within(await catalog.fresh(), id);
  };
  const surely = async (id: BackendId): Promise<RegisteredBackend | null> => {
    const known = within(await catalog.current(), id);
    if (known !== null) return known;
    if (!mayLook()) throw notKnown();
    return within(await catalog.fresh(), id);
  };
  return Object.assign(find, { surely });
}

const notKnown = (): NotKnownYet =>
  new NotKnownYet("Which backends there are was asked for a moment ago.", {
    retryAfterSeconds: LOOK_SECONDS,
  });

/** It has signing keys of its own, whose look after them is the same whatever they sign. */
export const hasOwnKeys = ({ signsTokens, certifies }: CredentialBackend): boolean =>
  signsTokens === true || certifies === true;

/** The same of one backend, as its type and its configuration say. */
export const keepsOwnKeys = (type: CredentialBackend, described: JsonObject): boolean =>
  hasOwnKeys(type) && type.keysElsewhere?.(described) !== true;
