import { z } from "zod";
import type { CallContext, CheckProblem, JsonObject, SelfCheck } from "@mayfly/spec";
import { deadlineIn } from "./call-deadline.ts";
import {
  authorityOf,
  checkAuthority,
  checkMemberships,
  tryAuthority,
  VERSION_MIN,
} from "./check-authority.ts";
import { checkGroups } from "./check-groups.ts";
import { checkHandingOn } from "./check-handing-on.ts";
import { checkRestrictions } from "./check-restrictions.ts";
import { endpointOf } from "./connection-settings.ts";
import type { Deadline, Endpoint } from "./endpoint.ts";
import type { Lane } from "./lane.ts";
import { PgFailure } from "./pg-failure.ts";
import { leases } from "./role-settings.ts";

/** Proves every right that a lease's life needs, by looking and by a trial that is rolled back. */
export async function selfCheck(
  lane: Lane,
  roles: readonly JsonObject[],
  context: CallContext,
): Promise<SelfCheck> {
  const deadline = deadlineIn(context, lane.settings.call_seconds_max * 4_000);
  return await check(lane, roles, deadline);
}

async function check(
  lane: Lane,
  roles: readonly JsonObject[],
  deadline: Deadline,
): Promise<SelfCheck> {
  const { clock } = lane.host;
  const { settings } = lane;
  const shapes = roles.map(leases.roleOf);
  const groups = [...new Set(shapes.flatMap((shape) => shape.member_of))].toSorted();
  const named = [...shapes.map((shape) => shape.owner), settings.reassign_to];
  const owners = [...new Set(named.filter((owner) => owner !== undefined))].toSorted();
  // Connected first, so that the skew is measured over one round trip and not over a login.
  await lane.work.run("SELECT 1", deadline);
  const sentAt = clock.now();
  const authority = await authorityOf(lane, deadline);
  const midway = (sentAt + clock.now()) / 2;
  const problems: CheckProblem[] = [...checkAuthority(authority)];
  if (authority.version >= VERSION_MIN && !authority.standby) {
    problems.push(...(await checkGroups(lane, groups, deadline)));
    problems.push(...(await checkHandingOn(lane, groups, deadline)));
    const choices = shapes.map((shape) => shape.member_of);
    problems.push(...(await checkRestrictions(lane, choices, deadline)));
    problems.push(...(await checkMemberships(lane, authority, { groups, owners }, deadline)));
    // Where the cause is known by name, the trial could only say it again, worse.
    if (problems.length === 0) problems.push(...(await tryAuthority(lane, groups, deadline)));
  }
  const identity = await identityOf(lane, deadline);
  problems.push(...(await checkStandbys(lane, identity, deadline)));
  return {
    upstreamIdentity: `${identity ?? `unnamed:${endpointOf(settings)}`}/${settings.database}`,
    clockSkewMs: Math.round(Number(authority.now_ms) - midway),
    facts: {
      server_version: authority.version_text,
      superuser: authority.superuser,
      group_roles: groups,
      owners,
      standbys: settings.standbys.length,
    },
    problems,
  };
}

const identityRow = z.tuple([z.object({ id: z.string() })]);

/**
 * The cluster's system identifier, which its standbys share and no other cluster has; null where
 * the function is not allowed to us (some managed services), and host and port stand in for it.
 */
async function identityOf(lane: Lane, deadline: Deadline): Promise<string | null> {
  try {
    return await systemIdentifier(lane.work, deadline);
  } catch (thrown) {
    if (thrown instanceof PgFailure && thrown.sqlstate === "42501") return null;
    throw thrown;
  }
}

async function systemIdentifier(endpoint: Endpoint, deadline: Deadline): Promise<string> {
  const [rows] = await endpoint.run(
    "SELECT system_identifier::text AS id FROM pg_control_system()",
    deadline,
  );
  return identityRow.parse(rows)[0].id;
}

const standbyRow = z.tuple([z.object({ standby: z.boolean() })]);

async function checkStandbys(
  lane: Lane,
  identity: string | null,
  deadline: Deadline,
): Promise<readonly CheckProblem[]> {
  const problems: CheckProblem[] = [];
  for (const endpoint of lane.standbys) {
    try {
      const [rows] = await endpoint.run("SELECT pg_is_in_recovery() AS standby", deadline);
      const [{ standby }] = standbyRow.parse(rows);
      const same = identity === null || (await systemIdentifier(endpoint, deadline)) === identity;
      if (!same || !standby) problems.push(notOurStandby(endpoint));
    } catch (thrown) {
      if (!(thrown instanceof PgFailure) || thrown.kind === "refused") throw thrown;
      problems.push({
        code: "standby_unreachable",
        what: `The standby ${endpoint.label} does not answer, so no end could be proved there.`,
        fix: "Let the broker reach it, or take it out of `standbys` if it serves no leases.",
      });
    }
  }
  return problems;
}

const notOurStandby = (endpoint: Endpoint): CheckProblem => ({
  code: "standby_of_another",
  what: `${endpoint.label} is no standby of this primary.`,
  fix: "Name read replicas of the registered primary alone under `standbys`.",
});
