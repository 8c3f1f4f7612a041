import { z } from "zod";
import { leftMs } from "./call-deadline.ts";
import type { Deadline, Endpoint } from "./endpoint.ts";
import type { Lane } from "./lane.ts";
import { unfinished } from "./pg-failure.ts";
import { oidLiteral, wholeNumber } from "./quote.ts";

const counted = z.tuple([z.object({ sessions: z.string() })]);

/**
 * Terminates every session of the role on one endpoint, until there is none.
 *
 * By OID: `usesysid` stays visible when the role is gone, and its name no longer is.
 */
export async function endSessions(
  lane: Lane,
  endpoint: Endpoint,
  oid: number,
  deadline: Deadline,
): Promise<void> {
  const { clock } = lane.host;
  const patienceMs = lane.settings.call_seconds_max * 1000;
  const untilMs = Math.min(deadline.byMs, clock.monotonicMs() + patienceMs);
  for (let pauseMs = 5; ; pauseMs = Math.min(200, pauseMs * 2)) {
    const sessions = await endSessionsOnce(endpoint, oid, deadline);
    if (sessions === 0) return;
    if (clock.monotonicMs() >= untilMs) {
      throw sessionsStay(sessions, endpoint);
    }
    await clock.sleep(Math.min(pauseMs, leftMs(deadline, clock)), deadline.signal);
  }
}

export const sessionsStay = (sessions: number, { label }: Endpoint): Error =>
  unfinished(`revoke: ${wholeNumber(sessions)} sessions on ${label} do not end`);

/** Signals each session that there is now, and says how many there were. */
export async function endSessionsOnce(
  endpoint: Endpoint,
  oid: number,
  deadline: Deadline,
): Promise<number> {
  const rows = await endpoint.run(
    `SELECT count(pg_terminate_backend(pid))::text AS sessions
     FROM pg_stat_activity WHERE usesysid = ${oidLiteral(oid)}`,
    deadline,
  );
  const [{ sessions }] = counted.parse(rows[0]);
  return Number(sessions);
}
