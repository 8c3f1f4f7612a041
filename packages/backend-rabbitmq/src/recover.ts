import { waitMs } from "@mayfly/backend-kit";
import type { IssuePlan, RecoverContext, Recovered } from "@mayfly/spec";
import { userOf, userPath, type Lane } from "./lane.ts";
import { readMark, writeMark } from "./lease-mark.ts";
import { unfinished } from "./rabbit-failure.ts";
import { destroyUser } from "./revoke.ts";

/**
 * Cleans up after a mint whose outcome nobody recorded, by taking its name with a user that cannot
 * log in: it has no password. This tombstone says when it was made, so that any process can go on
 * where another one crashed. Of a late mint one request alone can still come, and none gives
 * anybody anything; a user that it makes after the quarantine is found by the listing.
 */
export async function recover(
  lane: Lane,
  { externalName: name }: IssuePlan,
  context: RecoverContext,
): Promise<Recovered> {
  const { host, work } = lane;
  const user = await userOf(work, name, context);
  if (user === null) {
    await work.call("PUT", userPath(name), context, {
      body: {
        password_hash: "",
        tags: writeMark({ kind: "tombstone", name, at: host.clock.now() }, host),
      },
    });
    return waitMs(host.quarantineSeconds * 1_000);
  }
  const mark = readMark(user, host);
  switch (mark?.kind) {
    case undefined:
      throw unfinished(
        "recover: a user bears this lease's name without a valid mark of ours, so it is not " +
          "touched; an administrator has to look at it",
        60,
      );
    case "lease": {
      const looked = { users: 1, tombstone: false };
      await context.found(looked);
      await destroyUser(lane, name, context);
      return { outcome: "destroyed", looked };
    }
    case "tombstone": {
      const leftMs = mark.at + host.quarantineSeconds * 1_000 - host.clock.now();
      if (leftMs > 0) return waitMs(leftMs);
      await destroyUser(lane, name, context);
      if ((await userOf(work, name, context)) !== null) return waitMs(0);
      const heldSeconds = Math.round((host.clock.now() - mark.at) / 1_000);
      return {
        outcome: "absent",
        looked: { users: 0, tombstone: true, held_seconds: heldSeconds },
      };
    }
  }
}
