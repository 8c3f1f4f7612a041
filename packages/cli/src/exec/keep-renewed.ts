import type { Credential, Task } from "@mayfly/client";
import type { Clock } from "@mayfly/spec";
import { toCliError } from "../cli-error.ts";

interface Surroundings {
  readonly clock: Clock;
  warn(text: string): void;
}

/** Of what is left, so that a refusal comes while there is time to end in order. */
const RENEW_AT = 2 / 3;
/** Nothing that lives shorter is worth a call. */
const LEFT_MS_MIN = 1_000;

/**
 * Moves the expiry of each credential while the command runs, as far as role and policy allow: a
 * role's time is often shorter than a command's. When that is refused it says so, once.
 */
export function keepRenewed(task: Task, around: Surroundings, over: AbortSignal): void {
  for (const credential of task.credentials) {
    keepOne(task, credential, around, over).catch((error: unknown) => {
      if (over.aborted || !task.isOpen) return;
      const { what, todo } = toCliError(error).parts;
      around.warn(`mayfly: the credential of ${credential.role} is not renewed: ${what} ${todo}`);
    });
  }
}

async function keepOne(
  task: Task,
  first: Credential,
  { clock }: Surroundings,
  over: AbortSignal,
): Promise<void> {
  let credential = first;
  for (;;) {
    const leftMs = task.leftMs(credential);
    // As long as the task itself: there is nothing to win.
    if (credential.expiresAt.getTime() >= task.deadline.getTime() - LEFT_MS_MIN) return;
    if (leftMs < LEFT_MS_MIN) return;
    await clock.sleep(leftMs * RENEW_AT, over);
    credential = await task.renew(credential);
  }
}
