import { readLeaseName } from "@mayfly/backend-kit";
import type { CallContext } from "@mayfly/spec";
import { z } from "zod";
import { inParallel } from "./in-parallel.ts";
import { LEASES, ask, listAt, type Lane } from "./lane.ts";
import { saidIn } from "./vault-api.ts";
import { VaultFailure, failureOfAnswer, unfinished } from "./vault-failure.ts";

const lease = z.object({ data: z.object({ issue_time: z.iso.datetime(), ttl: z.number() }) });

interface EngineLease {
  readonly issuedAtMs: number;
  /** Whether its time is over: the server is about to revoke it, or fails to. */
  readonly isOverdue: boolean;
}

/** Null where the server has none of this id. */
async function lookAt(
  lane: Lane,
  leaseId: string,
  context: CallContext,
): Promise<EngineLease | null> {
  const { status, body } = await ask(lane, lane.work, "POST", LEASES, context, {
    body: { lease_id: leaseId },
    also: [400],
  });
  if (status === 400) {
    if (saidIn(body).includes("invalid lease")) return null;
    throw failureOfAnswer(status, null, false);
  }
  const { issue_time: issued, ttl } = lease.parse(body).data;
  return { issuedAtMs: Date.parse(issued), isOverdue: ttl <= 0 };
}

export const isThere = async (lane: Lane, leaseId: string, context: CallContext) =>
  (await lookAt(lane, leaseId, context)) !== null;

/** Returns once the engine has revoked it, which `sync` makes the server wait for. */
export async function revokeEngineLease(
  lane: Lane,
  leaseId: string,
  context: CallContext,
): Promise<void> {
  try {
    // By its path, so that a policy can say of which engines' leases it may be.
    await ask(lane, lane.work, "POST", `sys/leases/revoke/${inPath(leaseId)}`, context, {
      body: { sync: true },
    });
  } catch (thrown) {
    if (!(thrown instanceof VaultFailure) || thrown.status === null) throw thrown;
    if (thrown.kind === "busy" || thrown.sealed || thrown.status === 403) throw thrown;
    // Two that revoke one lease at once make the engine fail for one of them.
    if (!(await isThere(lane, leaseId, context))) return;
    throw await notRevoked(lane, leaseId, thrown.status, context);
  }
}

const inPath = (leaseId: string): string => leaseId.split("/").map(encodeURIComponent).join("/");

const irrevocable = z.object({
  data: z.object({ leases: z.array(z.object({ lease_id: z.string() })).nullable() }),
});

async function notRevoked(lane: Lane, leaseId: string, status: number, context: CallContext) {
  const path = pathOf(leaseId);
  const givenUp = await isIrrevocable(lane, leaseId, context);
  return unfinished(
    `revoke: the engine does not revoke its lease at ${path} (status ${status})` +
      (givenUp
        ? "; the server has given it up as irrevocable, and Mayfly goes on asking"
        : "; look at what the engine manages, and at the server's log"),
  );
}

export const pathOf = (leaseId: string): string => leaseId.split("/").slice(0, -1).join("/");

/** Where the broker may not ask, nobody is told. */
async function isIrrevocable(lane: Lane, leaseId: string, context: CallContext): Promise<boolean> {
  try {
    const path = "sys/leases?type=irrevocable&limit=none";
    const { body } = await ask(lane, lane.work, "GET", path, context);
    const { leases } = irrevocable.parse(body).data;
    return (leases ?? []).some(({ lease_id: id }) => id === leaseId);
  } catch {
    return false;
  }
}

/** Beyond it nothing is claimed of a path. */
const LOOKS_MAX = 10_000;
const LOOKS_AT_ONCE = 8;
/** Clocks of ours and of the server differ. */
const MARGIN_MS = 300_000;
/** Tokens have leases too, those of wrapped answers below the path; in a namespace with its id. */
const OF_A_TOKEN = /^h[0-9a-f]{64}(?:\.\w+)?$/;

/**
 * Revokes an engine's leases whose time is over. Those of a token that was revoked are made so at
 * that moment, and the server revokes them afterwards, or gives up on them. Which of them were that
 * token's cannot be asked, so that all since the lease began are: they are over anyway.
 */
export async function revokeOverdue(
  lane: Lane,
  path: string,
  externalName: string,
  context: CallContext,
): Promise<void> {
  const names = await listAt(lane, `${LEASES}/${path}/`, context);
  const ids = names
    .filter((name) => !name.endsWith("/") && !OF_A_TOKEN.test(name))
    .map((name) => `${path}/${name}`);
  if (ids.length > LOOKS_MAX) {
    throw unfinished(
      `revoke: more than ${LOOKS_MAX} leases at ${path}: what a lost answer left there cannot ` +
        "be told",
    );
  }
  const since = beganAtMs(lane, externalName) - MARGIN_MS;
  await inParallel(ids, LOOKS_AT_ONCE, async (id) => {
    const found = await lookAt(lane, id, context);
    if (found?.isOverdue !== true || found.issuedAtMs < since) return;
    await revokeEngineLease(lane, id, context);
  });
}

/** Ids of leases begin with when they were made: RFC 9562 section 5.7. */
function beganAtMs({ host }: Lane, externalName: string): number {
  const hex = readLeaseName(externalName)?.leaseId.slice("lease_".length) ?? "";
  const at = Number.parseInt(hex.slice(0, 12), 16);
  return at <= host.clock.now() + MARGIN_MS ? at : 0;
}
