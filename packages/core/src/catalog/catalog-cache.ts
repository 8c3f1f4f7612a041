import type { PolicyEngine } from "@mayfly/spec";
import type { CorePorts } from "../ports.ts";
import { createCatalogView, type CatalogView } from "./catalog-view.ts";
import type { OpenBackends } from "./open-backends.ts";

/**
 * The one cached view of the catalog. A stale one does no harm when it permits (`reserve` compares
 * the version) and is looked at again before it denies.
 */
export interface CatalogCache {
  current(): Promise<CatalogView>;
  /** Reads the version, and the catalog if it moved. */
  fresh(): Promise<CatalogView>;
}

export function createCatalogCache(ports: CorePorts, openBackends: OpenBackends): CatalogCache {
  let view: CatalogView | null = null;
  let compiled: { readonly digest: string; readonly engine: PolicyEngine } | null = null;
  let refreshing: Promise<CatalogView> | null = null;

  const load = async (): Promise<CatalogView> => {
    const snapshot = await ports.catalog.snapshot();
    if (view !== null && snapshot.version <= view.version) return view;
    const next = createCatalogView(ports, snapshot, compiled);
    compiled = next.compiled;
    ports.trustRoots.replace(snapshot.trustRoots.filter((root) => root.enabled));
    openBackends.retainOnly(snapshot.backends);
    view = next.view;
    return view;
  };
  const refresh = async (): Promise<CatalogView> => {
    if (view !== null && (await ports.catalog.version()) === view.version) return view;
    return load();
  };
  /** Many that ask at once share one look; nobody is given a look that began before it asked. */
  let queued: Promise<CatalogView> | null = null;
  const fresh = (): Promise<CatalogView> => {
    if (refreshing === null) {
      refreshing = refresh().finally(() => {
        refreshing = null;
      });
      return refreshing;
    }
    queued ??= refreshing.then(again, again);
    return queued;
  };
  const again = (): Promise<CatalogView> => {
    queued = null;
    return fresh();
  };

  return {
    current: async () => view ?? fresh(),
    fresh,
  };
}
