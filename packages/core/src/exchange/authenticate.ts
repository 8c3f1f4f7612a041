import {
  BrokerError,
  clientIdOf,
  unreachable,
  workloadName,
  type CallContext,
  type PresentedIdentity,
  type Task,
  type TaskTokenClaims,
  type VerifiedIdentity,
  type Workload,
} from "@mayfly/spec";
import { authenticateTask, requireActive } from "../authenticate-task.ts";
import type { CoreParts } from "../core-parts.ts";
import { isSameWorkload } from "../same-workload.ts";
import { sha256Hex } from "../sha256-hex.ts";
import { verifyClient, verifyDelegated, verifyIdentity } from "../verify-identity.ts";
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

/**
 * Step 2. However the request shows who asks, one form comes out of it. Throws `invalid_client`,
 * `invalid_identity`, `unauthenticated` or `task_ended`.
 */
export async function authenticate(
  parts: CoreParts,
  request: CallerParts,
  context: CallContext,
): Promise<Caller> {
  const caller = await callerOf(parts, request, context);
  requireNamed(caller, request.unprovenClientId ?? null);
  return caller;
}

/** What of a request says who sent it. */
export type CallerParts = Pick<
  ExchangeRequest,
  "subject" | "actor" | "client" | "unprovenClientId"
>;

async function callerOf(
  parts: CoreParts,
  request: CallerParts,
  context: CallContext,
): Promise<Caller> {
  const { subject } = request;
  const client = request.client ?? null;
  const sender = client === null ? null : await verifyClient(parts, client, context);
  const named =
    request.actor === null
      ? null
      : await standingAt("actor_token", verifyIdentity(parts, request.actor, context));
  if (named !== null && sender !== null) requireOne(named, sender);
  const actor = named === null ? sender : withUseOf(named, sender);
  switch (subject.kind) {
    case "client": {
      if (sender === null) throw new BrokerError("invalid_client", "No client is authenticated.");
      return { kind: "identity", identity: sender, initiator: null };
    }
    case "identity": {
      const { presented } = subject;
      if (actor === null) {
        const identity = await standingAt(
          "subject_token",
          verifyIdentity(parts, presented, context),
        );
        return { kind: "identity", identity, initiator: null };
      }
      const proven = await standingAt("subject_token", verifyInitiator(parts, presented, context));
      // The client's own token as the subject: it acts for itself.
      const isAlone = (proven.delegation?.actors.length ?? 0) === 0;
      if (named === null && isAlone && isSameWorkload(actor.workload, proven.workload)) {
        return { kind: "identity", identity: withUseOf(proven, actor), initiator: null };
      }
      requireTwo(actor, proven);
      requireForInitiators(proven);
      requireMayAct(actor, proven);
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
      const isHolder =
        named === null && actor !== null && isSameWorkload(actor.workload, task.workload);
      if (isHolder) requireNoUse(actor);
      return { kind: "task_token", task, claims, tokenSha256, actor: isHolder ? null : actor };
    }
  }
}

/**
 * RFC 6749 section 2.3: a client whose certificate did not arrive is not authenticated. Passed
 * over, somebody else's subject token would make that person the one who acts, in its place.
 */
function requireNamed(caller: Caller, clientId: string | null): void {
  if (clientId === null) return;
  const { workload } = caller.kind === "identity" ? caller.identity : (caller.actor ?? caller.task);
  if (clientIdOf(workloadName(workload)) === clientId) return;
  throw new BrokerError(
    "invalid_client",
    "The client_id names a client that showed no certificate, and is not who acts here.",
    {
      where: "client_id",
      public: {
        hint:
          "Show its certificate by mTLS; a proxy that terminates TLS has to pass it on. Or leave " +
          "client_id out, where a token says who asks.",
      },
    },
  );
}

/** Who sends the request and whom it names as the actor are one, or one of them is not true. */
function requireOne(actor: VerifiedIdentity, client: VerifiedIdentity): void {
  if (isSameWorkload(actor.workload, client.workload)) return;
  throw new BrokerError(
    "invalid_request",
    "The actor token is another workload's than the client's assertion.",
    { where: "actor_token" },
  );
}

/** What one proof proved, and that the other one, where it counts once, was used for it too. */
function withUseOf(identity: VerifiedIdentity, other: VerifiedIdentity | null): VerifiedIdentity {
  if (other === null || other.oneTime === null) return identity;
  requireOneOneTime(identity, other);
  return { ...identity, oneTime: other.oneTime };
}

/** Beside a task token no use is recorded, and what counts once could be sent again. */
function requireNoUse({ oneTime }: VerifiedIdentity): void {
  if (oneTime === null) return;
  throw new BrokerError(
    "invalid_request",
    "A client assertion that counts once goes with no task token of the client's own.",
    {
      where: "client_assertion",
      public: { hint: "Leave it out: the task token says whose it is." },
    },
  );
}

/** Of two tokens, which one was refused; never why. */
async function standingAt<T>(where: string, verified: Promise<T>): Promise<T> {
  try {
    return await verified;
  } catch (error) {
    if (!BrokerError.is(error) || error.code !== "invalid_identity" || error.where !== null) {
      throw error;
    }
    throw new BrokerError("invalid_identity", error.message, {
      where,
      public: error.public,
      cause: error.cause,
    });
  }
}

/** A trust root whose setting was changed a moment ago counts, as one that was registered does. */
async function verifyInitiator(
  parts: CoreParts,
  presented: PresentedIdentity,
  context: CallContext,
): Promise<VerifiedIdentity> {
  const before = await parts.catalog.current();
  const proven = await verifyDelegated(parts, presented, context);
  if (proven.mayInitiate) return proven;
  const after = await parts.catalog.fresh();
  return after.version === before.version ? proven : verifyDelegated(parts, presented, context);
}

/**
 * Policies take an initiator for a person. A workload vouches for nobody but itself: else two of
 * them would make one.
 */
function requireForInitiators({ mayInitiate, workload }: VerifiedIdentity): void {
  if (mayInitiate) return;
  throw new BrokerError(
    "invalid_identity",
    `The subject token is of trust root ${workload.trustRoot}, which is not for initiators.`,
    {
      where: "subject_token",
      public: {
        hint:
          "Send the agent's own token alone, as the subject, or the token of the person who asked. " +
          "An administrator marks the trust roots at which people log in with initiators: true.",
      },
    },
  );
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

/**
 * RFC 8693 section 4.4: every claim of `may_act` is the actor's, or it does not act. A token
 * without it permits nobody by that: policies decide.
 */
function requireMayAct({ workload: actor }: VerifiedIdentity, initiator: VerifiedIdentity): void {
  const mayAct = initiator.delegation?.mayAct ?? null;
  if (mayAct === null) return;
  const isNamed =
    mayAct.issuer === null
      ? isNamedAlone(mayAct.subject, actor, initiator.workload.issuer)
      : mayAct.issuer === actor.issuer && mayAct.subject === actor.subject;
  if (mayAct.isComparable && isNamed) return;
  throw new BrokerError(
    "invalid_identity",
    "The subject token names in may_act who may act for its subject, and that is not the actor.",
    { where: "actor_token" },
  );
}

/** By a subject alone: of the token's own issuer, or by an id that is nobody else's. */
function isNamedAlone(subject: string, actor: Workload, issuer: string): boolean {
  switch (actor.kind) {
    case "spiffe":
      return subject === actor.subject;
    case "x509":
      return subject === workloadName(actor);
    case "oidc":
      return subject === actor.subject && actor.issuer === issuer;
    default:
      return unreachable(actor.kind);
  }
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
