import {
  instantMs,
  plusSeconds,
  type BackendName,
  type CallContext,
  type Probe,
  type Revoked,
  type Secret,
} from "@mayfly/spec";
import { propagationSeconds } from "./account-settings.ts";
import { failures } from "./aws-failure.ts";
import { SKEW_SECONDS } from "./issue.ts";
import type { Lane } from "./lane.ts";
import { readHandle, type LeaseHandle } from "./lease-handle.ts";

/**
 * Denies the session everything, by an inline policy of its role. `refused` only by a look that
 * comes later than a deny takes to be known everywhere, counted from the first that saw it.
 */
export async function revoke(lane: Lane, secret: Secret, context: CallContext): Promise<Revoked> {
  const handle = readHandle(secret);
  if (isOver(handle, context)) return { outcome: "refused" };
  const left = await deny(lane, handle, context);
  if (left === 0) return { outcome: "refused" };
  return { outcome: "propagating", until: instantMs(context.clock.now() + left * 1_000) };
}

/** AWS ended it by itself: by the expiry that AWS told, and by any clock. */
const isOver = ({ until }: LeaseHandle, { clock }: CallContext): boolean =>
  clock.now() > until + SKEW_SECONDS * 1_000;

/**
 * Whatever bears the name is denied. Resolves to the seconds until that counts as known everywhere;
 * 0: a look just now, later than that, saw it.
 */
export async function deny(
  lane: Lane,
  { name, place, until }: LeaseHandle,
  context: CallContext,
): Promise<number> {
  const { names } = lane.host;
  const before = await names.refuse(name, place, plusSeconds(until, SKEW_SECONDS));
  if (unsettledSeconds(lane, before) === 0 && (await isDenied(lane, place, name, context))) {
    return 0;
  }
  await untilAborted(lane.rewrites(place), context);
  const after = await names.find(name);
  const left = after === null ? propagationSeconds(lane.settings) : unsettledSeconds(lane, after);
  return left > 0 || (await isDenied(lane, place, name, context)) ? left : 1;
}

function unsettledSeconds({ settings }: Lane, { seenForSeconds }: BackendName): number {
  if (seenForSeconds === null) return propagationSeconds(settings);
  return Math.max(0, propagationSeconds(settings) - seenForSeconds);
}

export async function isDenied(
  lane: Lane,
  place: string,
  name: string,
  context: CallContext,
): Promise<boolean> {
  const { documents } = await untilAborted(lane.looks(place), context);
  return documents.some(({ names }) => names.includes(name));
}

/** Looks at all that revocation brings about: the deny that stands at the role, and since when. */
export async function probe(lane: Lane, secret: Secret, context: CallContext): Promise<Probe> {
  const handle = readHandle(secret);
  const { documents } = await untilAborted(lane.looks(handle.place), context);
  const known = await lane.host.names.find(handle.name);
  const looked = {
    deny_documents: documents.length,
    denied: documents.some(({ names }) => names.includes(handle.name)),
    known_everywhere: known !== null && unsettledSeconds(lane, known) === 0,
    session_is_over: isOver(handle, context),
  };
  const isRefused = looked.session_is_over || (looked.denied && looked.known_everywhere);
  return { verdict: isRefused ? "refused" : "accepted", looked };
}

/** What many wait for goes on without whoever gives up. */
export async function untilAborted<T>(work: Promise<T>, { signal }: CallContext): Promise<T> {
  const aborted = () => failures.unfinished("it was given up before AWS had answered", 1);
  if (signal.aborted) {
    work.catch(() => undefined);
    throw aborted();
  }
  let stop = (): void => undefined;
  const givenUp = new Promise<never>((_, reject) => {
    stop = () => reject(aborted());
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([work, givenUp]);
  } finally {
    signal.removeEventListener("abort", stop);
    work.catch(() => undefined);
    givenUp.catch(() => undefined);
  }
}
