import { waitMs } from "@mayfly/backend-kit";
import {
  instantMs,
  Secret,
  type IssuePlan,
  type RecoverContext,
  type Recovered,
} from "@mayfly/spec";
import { z } from "zod";
import { ISSUE_CALL_SECONDS_MAX } from "./issue-call-bound.ts";
import { markOf, placeTombstone, tokensOf, type Lane } from "./lane.ts";
import { readHandle, type LeaseHandle } from "./lease-mark.ts";
import { leases } from "./role-settings.ts";
import { destroyLease } from "./revoke.ts";
import { unfinished } from "./vault-failure.ts";

/**
 * Cleans up after a mint whose outcome nobody recorded, by the token role of its name: with it go
 * all tokens that were made by it, and what they asked an engine for. Where there is no such role,
 * it is taken by one that makes no token, which says when, so that any process can go on.
 */
export async function recover(
  lane: Lane,
  plan: IssuePlan,
  context: RecoverContext,
  checkpoint: Secret | null,
): Promise<Recovered> {
  const { host, work } = lane;
  const kept: LeaseHandle = {
    ...(checkpoint === null ? {} : readHandle(checkpoint)),
    name: plan.externalName,
  };
  const mark = await markOf(lane, work, kept.name, context);
  if (mark === "strange") {
    throw unfinished(
      "recover: a token role bears this lease's name and no mark of ours, so it is not touched; " +
        "an administrator has to look at it",
      60,
    );
  }
  if (mark === null) {
    // Somebody took the role away, and its tokens live on.
    if ((await tokensOf(lane, kept.name, context)) > 0) return destroyed(lane, plan, kept, context);
    await placeTombstone(lane, kept.name, context);
    return wait(host.quarantineSeconds * 1_000);
  }
  if (mark.kind !== "tombstone") return destroyed(lane, plan, kept, context);
  const leftMs = mark.at + host.quarantineSeconds * 1_000 - host.clock.now();
  if (leftMs > 0) return wait(leftMs);
  const late = await tokensOf(lane, kept.name, context);
  if (late > 0) await context.found({ tokens: late, tombstone: true });
  const { tokens } = await destroyLease(lane, { name: kept.name }, context);
  const heldSeconds = Math.round((host.clock.now() - mark.at) / 1_000);
  const looked = { tokens, tombstone: true, held_seconds: heldSeconds };
  return { outcome: tokens > 0 ? "destroyed" : "absent", looked };
}

const wait = (ms: number): Recovered =>
  waitMs(ms, "the name is held by a token role that makes no token");

async function destroyed(
  lane: Lane,
  plan: IssuePlan,
  kept: LeaseHandle,
  context: RecoverContext,
): Promise<Recovered> {
  await context.found({ tombstone: false });
  const known = await withLearned(lane, plan, kept, context);
  const { tokens, until } = await destroyLease(lane, known, context);
  return until === null
    ? { outcome: "destroyed", looked: { tokens, tombstone: false } }
    : { outcome: "expires", notLaterThan: instantMs(Math.ceil(until)) };
}

const latestEnd = ({ expiresAt }: IssuePlan): number => expiresAt + ISSUE_CALL_SECONDS_MAX * 1_000;

const answer = z.object({
  lease_id: z.string(),
  data: z.object({
    serial_number: z.string().min(1).optional(),
    expiration: z.number().positive().optional(),
  }),
});

/**
 * Reads the answer that the mint had wrapped and perhaps not read yet, for the engine's lease or
 * the serial number in it; whoever has read it before us kept what there was to keep, or its
 * lease is found with the token's.
 */
async function withLearned(
  lane: Lane,
  plan: IssuePlan,
  { wrapping, ...kept }: LeaseHandle,
  context: RecoverContext,
): Promise<LeaseHandle> {
  const grant = leases.grantOf(plan);
  if (wrapping === undefined || grant.kind === "token") return kept;
  const { status, body } = await lane.work.call(
    "POST",
    "sys/wrapping/unwrap",
    Secret.of(wrapping),
    context,
    { also: [400, 403, 404] },
  );
  if (status >= 400) return kept;
  const { lease_id, data } = answer.parse(body);
  if (grant.kind === "dynamic") return lease_id === "" ? kept : { ...kept, lease_id };
  const { serial_number: serial, expiration } = data;
  const revokePath = grant.revoke_path;
  return {
    ...kept,
    unleased: {
      not_later_than: expiration === undefined ? latestEnd(plan) : expiration * 1_000,
      ...(serial === undefined || revokePath === undefined
        ? {}
        : { serial, revoke_path: revokePath }),
    },
  };
}
