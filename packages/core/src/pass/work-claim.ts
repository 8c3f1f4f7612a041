import {
  BackendError,
  BrokerError,
  bindingOf,
  type CallContext,
  type Claim,
  type ClaimOutcome,
  type JsonObject,
  type OpenBackend,
  type RegisteredBackend,
} from "@mayfly/spec";
import type { CatalogView } from "../catalog/catalog-view.ts";
import { installedType } from "../catalog/open-backends.ts";
import type { CoreParts } from "../core-parts.ts";
import { withDeadline } from "../with-deadline.ts";
import { backOff } from "./back-off.ts";
import { recoverClaim } from "./recover-claim.ts";
import { revokeClaim, type ClaimWorld, type Worked } from "./revoke-claim.ts";

const NOT_REPLACED =
  "The secret outlives the lease and cannot be revoked; replace it where it is used and in the " +
  "backend's configuration, and the lease ends.";
const UNTIL_REPLACED_SECONDS = 300;

/** Does what a claim asks for within `seconds`, and says what to record of it. Never throws. */
export async function workClaim(
  parts: CoreParts,
  view: CatalogView,
  claim: Claim,
  seconds: number,
  context: CallContext,
): Promise<ClaimOutcome> {
  const { clock } = parts.ports;
  const what = `${claim.work.kind} ${claim.leaseId} at ${claim.backendId}`;
  try {
    const worked = await withDeadline(
      { clock, seconds, signal: context.signal, what },
      async (signal) => attempt(parts, view, claim, { ...context, signal }),
    );
    switch (worked.kind) {
      case "still_accepted":
        return failed(parts, claim, "The backend still accepts the credential.", 0);
      case "not_replaced":
        return { ...failed(parts, claim, NOT_REPLACED, UNTIL_REPLACED_SECONDS), stuck: true };
      default:
        return worked;
    }
  } catch (error) {
    const fields = { lease: claim.leaseId, backend: claim.backendId, attempts: claim.attempts };
    parts.ports.log.warn("an end failed and will be tried again", fields, error);
    return failed(parts, claim, publicText(error), askedSeconds(error));
  }
}

async function attempt(
  parts: CoreParts,
  view: CatalogView,
  claim: Claim,
  context: CallContext,
): Promise<Worked> {
  const { sealer, settings, failPoints } = parts.ports;
  const { sealedHandle } = claim.work;
  const handle =
    sealedHandle === null
      ? null
      : await sealer.open(sealedHandle, bindingOf.leaseHandle(claim.leaseId)).catch(noHandle);
  const world: ClaimWorld = {
    failPoints,
    marginSeconds: 2 * settings.clockSkewSecondsMax,
    retryBaseSeconds: settings.retryBaseSeconds,
  };
  return withBackend(parts, view, claim, async (open, registered) => {
    const type = installedType(parts.ports, registered.id, registered.type);
    const { capabilities } = type;
    if (claim.work.kind === "revoke" && handle !== null) {
      return revokeClaim(world, claim, handle, open, capabilities, context);
    }
    const tellFound = (looked: JsonObject): Promise<boolean> =>
      parts.ports.sweepLedger.settle(claim, { kind: "found", looked });
    return recoverClaim({ ...world, tellFound }, claim, handle, open, capabilities, context);
  });
}

function noHandle(cause: unknown): never {
  throw new BrokerError(
    "config_invalid",
    "The stored handle cannot be unsealed; check the sealing keys of this process.",
    { cause },
  );
}

/** Today's configuration; where that cannot be opened, the one that the lease was issued under. */
async function withBackend<T>(
  parts: CoreParts,
  view: CatalogView,
  claim: Claim,
  run: (open: OpenBackend, registered: RegisteredBackend) => Promise<T>,
): Promise<T> {
  const current = view.backends.get(claim.backendId)?.registered ?? null;
  let opened = false;
  const useIt = (registered: RegisteredBackend): Promise<T> =>
    parts.openBackends.use(registered, (open) => {
      opened = true;
      return run(open, registered);
    });
  try {
    if (current !== null) return await useIt(current);
  } catch (error) {
    if (opened || current?.revision === claim.backendRevision) throw error;
  }
  const issuedUnder = await parts.ports.catalog.backendAt(claim.backendId, claim.backendRevision);
  if (issuedUnder !== null) return useIt(issuedUnder);
  throw new BrokerError(
    "config_invalid",
    `backend ${claim.backendId} is not registered (revision ${claim.backendRevision}); register ` +
      "it again so that what it holds can be ended",
    { where: claim.backendId },
  );
}

function failed(
  parts: CoreParts,
  claim: Claim,
  error: string,
  atLeastSeconds: number,
): Extract<ClaimOutcome, { kind: "failed" }> {
  const { settings, random } = parts.ports;
  return {
    kind: "failed",
    error,
    retryInSeconds: backOff(settings, random, claim.attempts, atLeastSeconds),
    stuck: claim.attempts + 1 >= settings.attemptsUntilStuck,
  };
}

const publicText = (error: unknown): string =>
  BrokerError.is(error) ? error.message : "Unexpected failure; the worker's log has the cause.";

const askedSeconds = (error: unknown): number =>
  BackendError.isBackendError(error) && error.retry.kind === "after" ? error.retry.seconds : 0;
