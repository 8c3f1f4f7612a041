import type { Task } from "@mayfly/spec";
import { partiesOf } from "../actor-chain.ts";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { CoreParts } from "../core-parts.ts";
import { grantedDetails, type LongestLife } from "../descriptor/granted-details.ts";
import { endLeaseQuietly } from "../end-lease.ts";
import { signTaskToken } from "../task-token.ts";
import type { Ask } from "./ask.ts";
import type { ExchangeReply, IssuedCredential } from "./exchange-request.ts";

/** Step 10. When the reply cannot be made, what it would have carried is ended. */
export async function reply(
  parts: CoreParts,
  view: CatalogView,
  task: Task,
  { actorChain, pastActors }: Pick<Ask, "actorChain" | "pastActors">,
  credentials: readonly IssuedCredential[],
): Promise<ExchangeReply> {
  try {
    const signed = await signTaskToken(parts, task, partiesOf(task, actorChain, pastActors));
    const granted = grantedDetails(task, longestLifeIn(view));
    return { task, ...signed, authorizationDetails: [granted], credentials };
  } catch (error) {
    for (const { lease } of credentials) {
      await endLeaseQuietly(parts, lease, "the reply could not be made");
    }
    throw error;
  }
}

/** As the role and its backend's type have it now; a role that is gone gives nothing to cut. */
const longestLifeIn =
  ({ roles, backends }: CatalogView): LongestLife =>
  (name) => {
    const role = roles.get(name);
    if (role === undefined) return Number.POSITIVE_INFINITY;
    const type = backends.get(role.backendId)?.type;
    return Math.min(
      role.ttlSecondsMax,
      type?.capabilities.ttlSecondsMax ?? Number.POSITIVE_INFINITY,
    );
  };
