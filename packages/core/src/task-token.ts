import { earliest, plusSeconds, type InstantMs, type Secret, type Task } from "@mayfly/spec";
import type { TokenParties } from "./actor-chain.ts";
import type { CoreParts } from "./core-parts.ts";
import { tokenDetails } from "./descriptor/granted-details.ts";

export interface SignedTaskToken {
  readonly taskToken: Secret;
  readonly taskTokenExpiresAt: InstantMs;
}

/** Dies at the earliest of its own bound, the deadline, and when identity must be proven again. */
export async function signTaskToken(
  parts: CoreParts,
  task: Task,
  parties: TokenParties,
): Promise<SignedTaskToken> {
  const { clock, settings, taskTokens } = parts.ports;
  const issuedAt = clock.now();
  const expiresAt = earliest(
    plusSeconds(issuedAt, settings.taskTokenSecondsMax),
    task.deadlineAt,
    plusSeconds(task.identityProvenAt, task.identityMaxAgeSeconds),
  );
  const taskToken = await taskTokens.sign({
    taskId: task.id,
    ...parties,
    issuedAt,
    expiresAt,
    confirmation: task.confirmation,
    authorizationDetails: [tokenDetails(task)],
  });
  return { taskToken, taskTokenExpiresAt: expiresAt };
}
