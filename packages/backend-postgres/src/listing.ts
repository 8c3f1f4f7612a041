import { LEASE_NAME_PATTERN, readLeaseName } from "@mayfly/backend-kit";
import type { BackendHost, CallContext, Marked, MarkedPage } from "@mayfly/spec";
import { z } from "zod";
import { deadlineIn } from "./call-deadline.ts";
import { foundRoles, ROLE_COLUMNS, type FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import { readMark, writeHandle } from "./lease-mark.ts";
import { toBackendError } from "./pg-failure.ts";
import { quoteLiteral } from "./quote.ts";

/** As the interface allows. */
const PAGE = 1_000;
/** A tombstone this much older than its quarantine was forgotten by whoever made it. */
const FORGOTTEN_SECONDS = 60;

const clockRow = z.tuple([z.object({ now_ms: z.string() })]);

/** Every role whose name has the form of ours, of any installation, in the order of names. */
export async function listMarked(
  lane: Lane,
  after: string | null,
  context: CallContext,
): Promise<MarkedPage> {
  for (const reserve of lane.reserves) reserve.begin();
  const beyond = after === null ? "" : `AND r.rolname > ${quoteLiteral(after)}::name`;
  try {
    const [rows, clock] = await lane.work.run(
      `SELECT ${ROLE_COLUMNS} FROM pg_roles r
       WHERE r.rolname ~ ${quoteLiteral(LEASE_NAME_PATTERN)} ${beyond}
       ORDER BY r.rolname LIMIT ${PAGE};
       SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8::text AS now_ms`,
      deadlineIn(context, lane.settings.call_seconds_max * 1_000),
    );
    const roles = foundRoles(rows);
    const [{ now_ms: nowMs }] = clockRow.parse(clock);
    return {
      marked: roles.flatMap((role) => markedOf(role, lane.host, Number(nowMs))),
      next: roles.length === PAGE ? (roles.at(-1)?.name ?? null) : null,
    };
  } catch (thrown) {
    throw toBackendError(thrown, "list");
  }
}

/**
 * A young tombstone is no credential and no orphan: whoever recovers takes it away. One that is
 * left over is listed like a lease, so that it is destroyed.
 */
function markedOf(role: FoundRole, host: BackendHost, nowMs: number): readonly Marked[] {
  const externalName = role.name;
  const named = readLeaseName(externalName);
  if (named === null) return [{ externalName, mark: { kind: "unverified" } }];
  if (named.installation !== host.installation) {
    return [{ externalName, mark: { kind: "foreign", installation: named.installation } }];
  }
  const mark = readMark(role.comment, externalName, host);
  if (mark === null) return [{ externalName, mark: { kind: "unverified" } }];
  const keepMs = (host.quarantineSeconds + FORGOTTEN_SECONDS) * 1_000;
  if (mark.kind === "tombstone" && nowMs - mark.at < keepMs) return [];
  const owner = mark.kind === "lease" ? mark.owner : null;
  const handle = writeHandle({ name: externalName, oid: role.oid, owner });
  return [{ externalName, mark: { kind: "ours", leaseId: named.leaseId, handle } }];
}
