import {
  BrokerError,
  type CallContext,
  type ClientAuthentication,
  type PresentedIdentity,
  type Task,
  type VerifiedIdentity,
} from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";
import { isSameWorkload } from "./same-workload.ts";

/**
 * Who is presented, and which key it was proven to hold. What is written before that is known is
 * nothing, whoever sends what; then the use of the proof. Throws `invalid_identity`, and
 * `invalid_dpop_proof` where the proof was used before, or is missing though the trust root asks
 * for it.
 */
export async function verifyIdentity(
  parts: CoreParts,
  presented: PresentedIdentity,
  context: CallContext,
): Promise<VerifiedIdentity> {
  return alone(await verifyDelegated(parts, presented, context));
}

/** Throws for a token that says who acts for its subject. */
function alone(identity: VerifiedIdentity): VerifiedIdentity {
  if ((identity.delegation?.actors.length ?? 0) === 0) return identity;
  throw new BrokerError(
    "invalid_identity",
    "The token says that somebody else acts for its subject, so it proves no identity alone.",
    {
      public: {
        hint:
          "Send it as the subject_token with the actor's own token as the actor_token. Nobody can " +
          "be another here: the result always says who acts.",
      },
    },
  );
}

/** As {@link verifyIdentity}, of a token that may say who acted for its subject before. */
export async function verifyDelegated(
  parts: CoreParts,
  presented: PresentedIdentity,
  context: CallContext,
): Promise<VerifiedIdentity> {
  const { trustRoots } = parts.ports;
  return withKey(await verifiedNow(parts, () => trustRoots.verify(presented, context)), context);
}

/** Who a client is. Throws `invalid_client` for what no trust root vouches for. */
export async function verifyClient(
  parts: CoreParts,
  client: ClientAuthentication,
  context: CallContext,
): Promise<VerifiedIdentity> {
  const { trustRoots } = parts.ports;
  const verified = verifiedNow(parts, () => trustRoots.verifyClient(client, context));
  const identity = await verified.then(alone).catch((error: unknown) => {
    if (!BrokerError.is(error) || error.code !== "invalid_identity") throw error;
    throw new BrokerError("invalid_client", "The client could not be authenticated.", {
      where: "token" in client ? "client_assertion" : "client_id",
      cause: error.cause,
    });
  });
  return withKey(identity, context);
}

/**
 * RFC 7523 section 3, 7: what counts once is used up here, since no reservation will do it. Throws
 * `assertion_replayed` where it was used before, here or at the token endpoint.
 */
export async function useUp(
  { ports }: CoreParts,
  identity: VerifiedIdentity,
): Promise<VerifiedIdentity> {
  const { oneTime } = identity;
  if (oneTime === null || (await ports.issueLedger.recordTokenUse(oneTime))) return identity;
  throw usedAssertion();
}

const usedAssertion = (): BrokerError =>
  new BrokerError("assertion_replayed", "This assertion was used before: it counts once.", {
    where: "client_assertion",
    public: {
      hint:
        "Make a new one for each request, with a jti of its own. At the token endpoint, a request " +
        "that is repeated under its Idempotency-Key bears the one that it had.",
    },
  });

/**
 * The ledger says that what counts once was used before, and not what it was. Beside a client's
 * assertion, each of which counts once, nothing else that does is taken: it was the assertion.
 */
export async function aboutAssertion<T>(
  client: ClientAuthentication | null,
  outcome: Promise<T>,
): Promise<T> {
  try {
    return await outcome;
  } catch (error) {
    const isReplay = BrokerError.is(error) && error.code === "replayed";
    throw isReplay && client?.type === "jwt-bearer" ? usedAssertion() : error;
  }
}

async function withKey(
  identity: VerifiedIdentity,
  { provenKey }: CallContext,
): Promise<VerifiedIdentity> {
  if (provenKey === undefined) {
    if (identity.confirmation === null && identity.mustProvePossession) throw needsProof(identity);
    return identity;
  }
  await provenKey.spend();
  return { ...identity, confirmation: provenKey.confirmation };
}

const needsProof = ({ workload }: VerifiedIdentity): BrokerError =>
  new BrokerError(
    "invalid_dpop_proof",
    `Identities of trust root ${workload.trustRoot} count with a proof of possession alone.`,
    {
      where: "DPoP",
      public: { hint: "Send a DPoP header (RFC 9449): the SDKs do so with `dpop`." },
    },
  );

/**
 * A refusal looks at the catalog again first, so that a trust root which was registered a moment
 * ago counts in every process.
 */
async function verifiedNow(
  parts: CoreParts,
  verify: () => Promise<VerifiedIdentity>,
): Promise<VerifiedIdentity> {
  const before = await parts.catalog.current();
  try {
    return await verify();
  } catch (error) {
    if (!BrokerError.is(error) || error.code !== "invalid_identity") throw error;
    const after = await parts.catalog.fresh();
    if (after.version === before.version) throw error;
    return verify();
  }
}

/**
 * The task, for a fresh proof by its own workload. Throws `not_found` for everybody else: a
 * stranger does not learn which tasks exist.
 */
export async function findOwnTask(
  parts: CoreParts,
  taskId: Task["id"],
  identity: VerifiedIdentity,
): Promise<Task> {
  const task = await parts.ports.taskLedger.find(taskId);
  if (task === null || !isSameWorkload(task.workload, identity.workload)) throw notYours(taskId);
  if (task.confirmation !== null && task.confirmation !== identity.confirmation) {
    throw new BrokerError(
      "invalid_identity",
      `${taskId} is bound to a key, and this identity was presented without proof of that key.`,
    );
  }
  return task;
}

const notYours = (taskId: Task["id"]): BrokerError =>
  new BrokerError("not_found", `There is no task ${taskId} of yours.`, { where: "task" });
