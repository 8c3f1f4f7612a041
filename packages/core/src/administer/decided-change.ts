import { hasMovedOn } from "@mayfly/spec";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { CoreParts } from "../core-parts.ts";

/** More than change things at once in earnest: of all who try, one gets through each time. */
const ATTEMPTS_MAX = 50;

/**
 * Decides and changes on one version of the catalogue: `attempt` asks policy of the view's facts
 * and makes the change at `view.version`, which the catalogue refuses once it has moved on. Then
 * all of it is done again, so that nobody changes what became another's between decision and
 * change, or has lost the right meanwhile, or switches on again what was just switched off. Throws
 * `conflict` if others never pause.
 */
export async function decidedChange<T>(
  parts: CoreParts,
  attempt: (view: CatalogView) => Promise<T>,
): Promise<T> {
  for (let n = 1; ; n++) {
    const view = await parts.catalog.fresh();
    try {
      return await attempt(view);
    } catch (error) {
      if (n === ATTEMPTS_MAX || !hasMovedOn(error)) throw error;
    }
  }
}
