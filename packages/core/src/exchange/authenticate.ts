import {
  BrokerError,
  type CallContext,
  type Task,
  type TaskTokenClaims,
  type VerifiedIdentity,
} from "@mayfly/spec";
import { authenticateTask, requireActive } from "../authenticate-task.ts";
import type { CoreParts } from "../core-parts.ts";
import { isSameWorkload } from "../same-workload.ts";
import { sha256Hex } from "../sha256-hex.ts";
import { verifyIdentity } from "../verify-identity.ts";
import type { ExchangeRequest } from "./exchange-request.ts";

/** Who sent the exchange. Everything after this may write rows; nothing before it does. */
export type Caller =
  | {
      readonly kind: "identity";
      readonly identity: VerifiedIdentity;
      /** Whose token was the subject, where the identity is the actor's. */
      readonly initiator: VerifiedIdentity | null;
    }
  | {
      readonly kind: "task_token";
      readonly task: Task;
      readonly claims: TaskTokenClaims;
      readonly tokenSha256: string;
      readonly actor: VerifiedIdentity | null;
    };

/** Step 2. Throws `invalid_identity`, `unauthenticated` or `task_ended`. */
export async function authenticate(
  parts: CoreParts,
  request: Pick<ExchangeRequest, "subject" | "actor">,
  context: CallContext,
): Promise<Caller> {
  const { subject } = request;
  const actor = request.actor === null ? null : await verifyIdentity(parts, request.actor, context);
  switch (subject.kind) {
    case "identity": {
      const proven = await verifyIdentity(parts, subject.presented, context);
      if (actor === null) return { kind: "identity", identity: proven, initiator: null };
      requireTwo(actor, proven);
      requireOneOneTime(actor, proven);
      return {
        kind: "identity",
        identity: { ...actor, oneTime: actor.oneTime ?? proven.oneTime },
        initiator: proven,
      };
    }
    case "task_token": {
      const { task, claims } = await authenticateTask(parts, subject.token, context);
      requireActive(parts, task);
      const tokenSha256 = sha256Hex(subject.token.expose("crypto"));
      return { kind: "task_token", task, claims, tokenSha256, actor };
    }
  }
}

/** Who acts for itself has no initiator: else it would satisfy a policy that asks for one. */
function requireTwo(actor: VerifiedIdentity, initiator: VerifiedIdentity): void {
  if (!isSameWorkload(actor.workload, initiator.workload)) return;
  throw new BrokerError(
    "invalid_request",
    "Subject and actor are the same workload; one that acts for itself sends no actor token.",
    { where: "actor_token" },
  );
}

/** One exchange records the use of one one-time token. */
function requireOneOneTime(actor: VerifiedIdentity, initiator: VerifiedIdentity): void {
  if (actor.oneTime === null || initiator.oneTime === null) return;
  throw new BrokerError(
    "invalid_request",
    "Subject and actor token are both of trust roots whose tokens count once; one of them must " +
      "be of another trust root.",
    { where: "actor_token" },
  );
}
