import { waitMs } from "@mayfly/backend-kit";
import type { IssuePlan, RecoverContext, Recovered } from "@mayfly/spec";
import { deadlineIn } from "./call-deadline.ts";
import type { Deadline } from "./endpoint.ts";
import { lookUpName, type FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import type { LeaseBatches } from "./lease-batches.ts";
import { readMark, writeMark } from "./lease-mark.ts";
import { PgFailure, SQLSTATE, unfinished } from "./pg-failure.ts";
import { quoteIdentifier, quoteLiteral } from "./quote.ts";
import { destroyRole } from "./revoke.ts";

/**
 * Cleans up after a mint whose outcome nobody recorded, by taking its name.
 *
 * `CREATE ROLE name NOLOGIN` waits for a mint that is not committed yet and makes any later one
 * fail. This tombstone says in its comment when it was made, by the server's clock, so any process
 * can go on where another one crashed.
 */
export async function recover(
  lane: Lane,
  batches: LeaseBatches,
  plan: IssuePlan,
  context: RecoverContext,
): Promise<Recovered> {
  const deadline = deadlineIn(context, lane.settings.call_seconds_max * 4_000);
  return await takeOrSettle(lane, batches, plan.externalName, deadline, context.found);
}

async function takeOrSettle(
  lane: Lane,
  batches: LeaseBatches,
  name: string,
  deadline: Deadline,
  found: RecoverContext["found"],
): Promise<Recovered> {
  const { role, serverMs } = await lookUpName(lane, name, deadline);
  if (role !== null) return settle(lane, batches, { name, role, serverMs }, deadline, found);
  const role_ = quoteIdentifier(name);
  const comment = writeMark({ kind: "tombstone", name, at: serverMs }, lane.host);
  try {
    await lane.work.run(
      `CREATE ROLE ${role_} NOLOGIN; COMMENT ON ROLE ${role_} IS ${quoteLiteral(comment)}`,
      deadline,
    );
  } catch (thrown) {
    if (!(thrown instanceof PgFailure)) throw thrown;
    switch (thrown.sqlstate) {
      case SQLSTATE.lockTimeout:
        return waitMs(1_000, "a mint of this name is still under way on the server");
      case SQLSTATE.duplicateObject:
      case SQLSTATE.uniqueViolation:
        // It was committed while we waited: that is what the waiting was for.
        return waitMs(0, "a role of this name has just appeared");
      default:
        throw thrown;
    }
  }
  return waitMs(lane.host.quarantineSeconds * 1_000);
}

interface Taken {
  readonly name: string;
  readonly role: FoundRole;
  readonly serverMs: number;
}

async function settle(
  lane: Lane,
  batches: LeaseBatches,
  { name, role, serverMs }: Taken,
  deadline: Deadline,
  found: RecoverContext["found"],
): Promise<Recovered> {
  const mark = readMark(role.comment, name, lane.host);
  if (mark === null) {
    throw unfinished(
      "recover: a role bears this lease's name without a valid mark of ours, so it is not " +
        "touched; an administrator has to look at it",
      60,
    );
  }
  switch (mark.kind) {
    case "lease": {
      const looked = { roles: 1, tombstone: false };
      await found(looked);
      await destroyRole(lane, batches, { name, oid: role.oid, owner: mark.owner }, deadline);
      return { outcome: "destroyed", looked };
    }
    case "tombstone": {
      const leftMs = mark.at + lane.host.quarantineSeconds * 1_000 - serverMs;
      if (leftMs > 0) return waitMs(leftMs);
      await destroyRole(lane, batches, { name, oid: role.oid, owner: null }, deadline);
      const after = await lookUpName(lane, name, deadline);
      if (after.role !== null) return waitMs(0, "a role of this name has just appeared");
      return {
        outcome: "absent",
        looked: {
          roles: 0,
          tombstone: true,
          held_seconds: Math.round((serverMs - mark.at) / 1000),
        },
      };
    }
  }
}
