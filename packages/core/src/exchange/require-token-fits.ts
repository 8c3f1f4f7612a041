import {
  BrokerError,
  parseId,
  type Task,
  type TaskDescriptor,
  type VerifiedIdentity,
} from "@mayfly/spec";
import { partiesOf } from "../actor-chain.ts";
import type { CoreParts } from "../core-parts.ts";
import { tokenDetails } from "../descriptor/granted-details.ts";
import { detailsPath } from "../descriptor/task-details.ts";

/**
 * Servers and proxies take a header line of 8 KiB, and this one's verifier a token of that; with
 * `Authorization: DPoP` before it there is a little less.
 */
const TASK_TOKEN_CHARACTERS_MAX = 8_000;

/** What the token of a task that is to be opened will say. */
interface Opening {
  readonly identity: Pick<VerifiedIdentity, "workload" | "confirmation">;
  readonly verifiedInitiator: string | null;
  readonly descriptor: TaskDescriptor;
  readonly parent: Task | null;
  readonly actorChain: readonly string[];
  readonly pastActors: readonly string[];
}

/** As long as any other. */
const ANY_TASK = parseId("task", "task_00000000000070008000000000000000", "task");

/**
 * Before anything is reserved: a task whose token no header carries would be one that nobody can
 * use. It is as long as it will ever be, since nothing that it says of its parties changes. Throws
 * `invalid_input` at what makes it long.
 */
export function requireTokenFits(parts: CoreParts, opening: Opening): void {
  const { clock, taskTokens } = parts.ports;
  const { identity, verifiedInitiator, descriptor, actorChain, pastActors } = opening;
  const task = { workload: identity.workload, verifiedInitiator, descriptor };
  const length = taskTokens.lengthOf({
    taskId: ANY_TASK,
    ...partiesOf(task, actorChain, pastActors),
    issuedAt: clock.now(),
    expiresAt: clock.now(),
    confirmation: identity.confirmation,
    authorizationDetails: [tokenDetails({ id: ANY_TASK, descriptor })],
  });
  if (length <= TASK_TOKEN_CHARACTERS_MAX) return;
  throw new BrokerError(
    "invalid_input",
    `The task token would have ${length} characters, and no header carries more than ` +
      `${TASK_TOKEN_CHARACTERS_MAX} of it.`,
    {
      where: blamed(opening),
      public: {
        hint:
          "It names the task's roles, its subject and all who act for it: have a subject token with " +
          "a shorter act, shorter names, fewer tasks one below another, or fewer roles.",
      },
    },
  );
}

function blamed({ parent, verifiedInitiator }: Opening): string {
  if (parent !== null) return detailsPath("parent");
  return verifiedInitiator === null ? detailsPath("credentials") : "subject_token";
}
