import {
  instantMs,
  type CallContext,
  type JsonObject,
  type Probe,
  type Revoked,
  type Secret,
} from "@mayfly/spec";
import { z } from "zod";
import { isThere, revokeEngineLease, revokeOverdue } from "./engine-lease.ts";
import { ask, createPath, markOf, rolePath, tokensOf, type Lane } from "./lane.ts";
import { readHandle, type LeaseHandle, type Mark } from "./lease-mark.ts";
import { VaultFailure, unfinished } from "./vault-failure.ts";

/**
 * The engine's lease first, since of a token that is revoked the leases end some time afterwards;
 * then the token, with all that it made, and its role.
 */
export async function revoke(lane: Lane, secret: Secret, context: CallContext): Promise<Revoked> {
  const { until } = await destroyLease(lane, readHandle(secret), context);
  return until === null
    ? { outcome: "refused" }
    : { outcome: "expires", notLaterThan: instantMs(Math.ceil(until)) };
}

export interface Destroyed {
  /** Tokens, and answers not unwrapped, that were there before. */
  readonly tokens: number;
  /** Of a credential without lease: when it is certainly dead, in ms. */
  readonly until: number | null;
}

/** Returns once nothing of it is left but what only its expiry ends. */
export async function destroyLease(
  lane: Lane,
  known: LeaseHandle,
  context: CallContext,
): Promise<Destroyed> {
  const { name, accessor, lease_id: leaseId, unleased } = known;
  if (leaseId !== undefined) await revokeEngineLease(lane, leaseId, context);
  if (unleased !== undefined) await revokeSerial(lane, unleased, context);
  const tokens = await tokensOf(lane, name, context);
  if (tokens > 0) await revokeTokens(lane, name, accessor, context);
  const mark = leaseId === undefined ? await markOf(lane, lane.work, name, context) : null;
  // The role says where an engine was asked: it goes only when nothing is left there.
  if (isMark(mark, "dynamic")) await revokeOverdue(lane, mark.path, name, context);
  const until = unleased?.not_later_than ?? (isMark(mark, "unleased") ? mark.until : null);
  if (until === null || until < lane.host.clock.now()) {
    await ask(lane, lane.work, "DELETE", rolePath(name, lane.host), context);
  }
  if ((await tokensOf(lane, name, context)) > 0) {
    await revokeTokens(lane, name, undefined, context);
    const left = await tokensOf(lane, name, context);
    if (left > 0) throw unfinished(`revoke: ${left} tokens of the lease are not gone yet`);
  }
  return { tokens, until };
}

const isMark = <Kind extends Mark["kind"]>(
  mark: Mark | "strange" | null,
  kind: Kind,
): mark is Extract<Mark, { readonly kind: Kind }> =>
  mark !== null && mark !== "strange" && mark.kind === kind;

async function revokeTokens(
  lane: Lane,
  name: string,
  accessor: string | undefined,
  context: CallContext,
): Promise<void> {
  if (accessor !== undefined && (await revokeAccessor(lane, accessor, context))) return;
  const path = `sys/leases/revoke-prefix/${createPath(name, lane.host)}`;
  await ask(lane, lane.work, "POST", path, context, { body: { sync: true } });
}

/** False where the server knows it no more: then there is something else to revoke. */
async function revokeAccessor(
  lane: Lane,
  accessor: string,
  context: CallContext,
): Promise<boolean> {
  const { status, body } = await ask(
    lane,
    lane.work,
    "POST",
    "auth/token/revoke-accessor",
    context,
    { body: { accessor }, also: [400, 404] },
  );
  return status === 204 || (status < 300 && body === null);
}

type Unleased = NonNullable<LeaseHandle["unleased"]>;

async function revokeSerial(
  lane: Lane,
  { serial, revoke_path: path, not_later_than: diesAt }: Unleased,
  context: CallContext,
): Promise<void> {
  // An engine refuses to put on its list what has expired.
  if (serial === undefined || path === undefined || diesAt <= lane.host.clock.now()) return;
  try {
    await ask(lane, lane.work, "POST", path, context, { body: { serial_number: serial } });
  } catch (thrown) {
    if (!(thrown instanceof VaultFailure) || thrown.kind !== "refused") throw thrown;
    if ((await revokedAt({ lane, serial, path, context })) === null) throw thrown;
  }
}

const read = z.object({ data: z.object({ revocation_time: z.number().default(0) }) });

/** In seconds; null where the engine does not call it revoked. */
async function revokedAt(at: {
  readonly lane: Lane;
  readonly serial: string;
  readonly path: string;
  readonly context: CallContext;
}): Promise<number | null> {
  const mount = at.path.split("/").slice(0, -1).join("/");
  const path = `${mount}/cert/${encodeURIComponent(at.serial)}`;
  const { status, body } = await ask(at.lane, at.lane.work, "GET", path, at.context, {
    also: [404],
  });
  if (status === 404) return null;
  const { revocation_time: seconds } = read.parse(body).data;
  return seconds > 0 ? seconds : null;
}

/** Looks at all that revocation is to have removed: tokens, and what the engine leased. */
export async function probe(lane: Lane, secret: Secret, context: CallContext): Promise<Probe> {
  const known = readHandle(secret);
  const tokens = await tokensOf(lane, known.name, context);
  const leases =
    known.lease_id !== undefined && (await isThere(lane, known.lease_id, context)) ? 1 : 0;
  const unleased = await unleasedOf(lane, known, context);
  const looked = { tokens, engine_leases: leases, ...unleased };
  const lives = tokens + leases > 0 || unleased["valid"] === true;
  return { verdict: lives ? "accepted" : "refused", looked };
}

/** Of a credential without lease: whether it is valid by its time, and not called revoked. */
async function unleasedOf(
  lane: Lane,
  { name, accessor, unleased }: LeaseHandle,
  context: CallContext,
): Promise<JsonObject> {
  const now = lane.host.clock.now();
  if (unleased === undefined) {
    // Nobody recorded more than its name: its role says until when it may live.
    if (accessor !== undefined) return {};
    const mark = await markOf(lane, lane.work, name, context);
    return isMark(mark, "unleased") ? { valid: now <= mark.until } : {};
  }
  const { serial, revoke_path: path, not_later_than: diesAt } = unleased;
  if (serial === undefined || path === undefined) return { valid: now <= diesAt };
  const revoked = (await revokedAt({ lane, serial, path, context })) !== null;
  return { valid: now <= diesAt && !revoked, called_revoked: revoked };
}
