import type { Task } from "@mayfly/spec";
import { partiesOf } from "../actor-chain.ts";
import type { CoreParts } from "../core-parts.ts";
import { grantedDetails } from "../descriptor/granted-details.ts";
import { endLeaseQuietly } from "../end-lease.ts";
import { signTaskToken } from "../task-token.ts";
import type { Ask } from "./ask.ts";
import type { ExchangeReply, IssuedCredential } from "./exchange-request.ts";

/** Step 10. When the reply cannot be made, what it would have carried is ended. */
export async function reply(
  parts: CoreParts,
  task: Task,
  { actorChain, pastActors }: Pick<Ask, "actorChain" | "pastActors">,
  credentials: readonly IssuedCredential[],
): Promise<ExchangeReply> {
  try {
    const signed = await signTaskToken(parts, task, partiesOf(task, actorChain, pastActors));
    return { task, ...signed, authorizationDetails: [grantedDetails(task)], credentials };
  } catch (error) {
    for (const { lease } of credentials) {
      await endLeaseQuietly(parts, lease, "the reply could not be made");
    }
    throw error;
  }
}
