import type { Task } from "@mayfly/spec";
import { partiesOf } from "../actor-chain.ts";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { CoreParts } from "../core-parts.ts";
import { grantedDetails, type LongestLife } from "../descriptor/granted-details.ts";
import { endLeaseQuietly } from "../end-lease.ts";
import { signTaskToken, type SignedTaskToken } from "../task-token.ts";
import type { Ask } from "./ask.ts";
import type { ExchangeReply, IssuedCredential } from "./exchange-request.ts";

/**
 * The task's token, signed while its credentials are minted, if any are: nothing but the reply
 * hands it out. Its life begins here, so that it is shorter by what the mint takes. What fails,
 * fails the reply.
 */
export function signBeside(
  parts: CoreParts,
  task: Task,
  actors: Actors,
  isMinting: boolean,
): Promise<SignedTaskToken> {
  const signing = sign(parts, task, actors, isMinting);
  // Where the mint fails first, nobody waits for it.
  signing.catch(() => undefined);
  return signing;
}

type Actors = Pick<Ask, "actorChain" | "pastActors">;
async function sign(
  parts: CoreParts,
  task: Task,
  { actorChain, pastActors }: Actors,
  isMinting: boolean,
): Promise<SignedTaskToken> {
  const { clock } = parts.ports;
  // A mint is collected in one turn and sent in the next: then there is time.
  for (let turn = 0; isMinting && turn < 2; turn++) await clock.turn();
  return signTaskToken(parts, task, partiesOf(task, actorChain, pastActors));
}

/** Step 10. When the reply cannot be made, what it would have carried is ended. */
export async function reply(
  parts: CoreParts,
  view: CatalogView,
  task: Task,
  signing: Promise<SignedTaskToken>,
  credentials: readonly IssuedCredential[],
): Promise<ExchangeReply> {
  try {
    const signed = await signing;
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
