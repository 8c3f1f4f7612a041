import { LEASE_NAME_PATTERN, LISTED_MAX, listedMarks } from "@mayfly/backend-kit";
import type { BackendHost, CallContext, Marked, MarkedPage } from "@mayfly/spec";
import { z } from "zod";
import { deadlineIn } from "./call-deadline.ts";
import { foundRoles, ROLE_COLUMNS, type FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import { readMark, writeHandle } from "./lease-mark.ts";
import { quoteLiteral } from "./quote.ts";

const clockRow = z.tuple([z.object({ now_ms: z.string() })]);

/** Every role whose name has the form of ours, of any installation, in the order of names. */
export async function listMarked(
  lane: Lane,
  after: string | null,
  context: CallContext,
): Promise<MarkedPage> {
  for (const reserve of lane.reserves) reserve.begin();
  const beyond = after === null ? "" : `AND r.rolname > ${quoteLiteral(after)}::name`;
  const [rows, clock] = await lane.work.run(
    `SELECT ${ROLE_COLUMNS} FROM pg_roles r
     WHERE r.rolname ~ ${quoteLiteral(LEASE_NAME_PATTERN)} ${beyond}
     ORDER BY r.rolname LIMIT ${LISTED_MAX};
     SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8::text AS now_ms`,
    deadlineIn(context, lane.settings.call_seconds_max * 1_000),
  );
  const roles = foundRoles(rows);
  const [{ now_ms: nowMs }] = clockRow.parse(clock);
  return {
    marked: roles.flatMap((role) => markedOf(role, lane.host, Number(nowMs))),
    next: roles.length === LISTED_MAX ? (roles.at(-1)?.name ?? null) : null,
  };
}

function markedOf(
  { name: externalName, comment, oid }: FoundRole,
  host: BackendHost,
  nowMs: number,
): readonly Marked[] {
  return listedMarks(
    {
      externalName,
      mark: () => readMark(comment, externalName, host),
      handle: (mark) =>
        writeHandle({ name: externalName, oid, owner: mark.kind === "lease" ? mark.owner : null }),
    },
    host,
    nowMs,
  );
}
