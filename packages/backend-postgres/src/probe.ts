import { z } from "zod";
import type { CallContext, Probe, Secret } from "@mayfly/spec";
import { deadlineIn } from "./call-deadline.ts";
import { endpointOf } from "./connection-settings.ts";
import type { Deadline, Endpoint } from "./endpoint.ts";
import { findLeaseRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import type { LeaseBatches } from "./lease-batches.ts";
import { readHandle, type LeaseHandle } from "./lease-mark.ts";
import { oidLiteral, quoteLiteral } from "./quote.ts";

const accessRow = z.tuple([
  z.object({ roles: z.int(), roles_that_log_in: z.int(), sessions: z.int() }),
]);
const restRow = z.tuple([
  z.object({ name_taken_by_another: z.int(), prepared: z.int(), held: z.int() }),
]);

/**
 * Looks at all that revocation is to have removed, by OID, on every endpoint. A refused login
 * would prove less: an open session needs none.
 */
export async function probe(
  lane: Lane,
  batches: LeaseBatches,
  secret: Secret,
  context: CallContext,
): Promise<Probe> {
  const handle = readHandle(secret);
  const deadline = deadlineIn(context, lane.settings.call_seconds_max * 1_000);
  const { access, rest } = await onPrimary(lane, batches, handle, deadline);
  const standbys = [];
  for (const [place, endpoint] of lane.standbys.entries()) {
    const at = lane.settings.standbys[place];
    const seen = await batches.standbys[place]?.probes.run(handle, deadline.signal);
    standbys.push({
      endpoint: at === undefined ? endpoint.label : endpointOf(at),
      ...(seen ?? (await accessOn(endpoint, handle, deadline))),
    });
  }
  const live = [access, ...standbys].some((at) => at.roles_that_log_in > 0 || at.sessions > 0);
  return {
    verdict: live ? "accepted" : "refused",
    looked: { ...access, ...rest, endpoints: 1 + standbys.length, standbys },
  };
}

async function onPrimary(
  lane: Lane,
  batches: LeaseBatches,
  handle: LeaseHandle,
  deadline: Deadline,
) {
  const seen = await batches.primary.probes.run(handle, deadline.signal);
  if (seen !== null) return seen;
  // Throws where it cannot tell whose role it is.
  await findLeaseRole(lane, handle, deadline);
  return {
    access: await accessOn(lane.work, handle, deadline),
    rest: await restOn(lane.work, handle, deadline),
  };
}

async function accessOn(endpoint: Endpoint, handle: LeaseHandle, deadline: Deadline) {
  const oid = oidLiteral(handle.oid);
  const [rows] = await endpoint.run(
    `SELECT
       (SELECT count(*) FROM pg_roles WHERE oid = ${oid})::int AS roles,
       (SELECT count(*) FROM pg_roles WHERE oid = ${oid} AND rolcanlogin)::int
         AS roles_that_log_in,
       (SELECT count(*) FROM pg_stat_activity WHERE usesysid = ${oid})::int AS sessions`,
    deadline,
  );
  return accessRow.parse(rows)[0];
}

async function restOn(endpoint: Endpoint, handle: LeaseHandle, deadline: Deadline) {
  const oid = oidLiteral(handle.oid);
  const name = quoteLiteral(handle.name);
  const [rows] = await endpoint.run(
    `SELECT
       (SELECT count(*) FROM pg_roles WHERE rolname = ${name} AND oid <> ${oid})::int
         AS name_taken_by_another,
       (SELECT count(*) FROM pg_prepared_xacts WHERE owner = ${name}
          OR owner = (SELECT rolname FROM pg_roles WHERE oid = ${oid}))::int AS prepared,
       (SELECT count(*) FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass
          AND refobjid = ${oid})::int AS held`,
    deadline,
  );
  return restRow.parse(rows)[0];
}
