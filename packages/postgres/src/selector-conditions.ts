import { InvalidInput, uuidOfId, type EndSelector } from "@mayfly/spec";
import type { Fragment, Statement } from "./sql.ts";

/** Throws `invalid_input` for a selector of nothing: to end all there is has to be spelled out. */
export function mustSelect(selector: EndSelector): void {
  if (Object.values(selector).some((value) => value !== undefined)) return;
  throw new InvalidInput("selector: name at least one of what is to end", { where: "selector" });
}

const both = (sql: Statement, conditions: readonly (Fragment | null)[]): Fragment =>
  conditions.reduce<Fragment>(
    (all, one) => (one === null ? all : sql`${all} AND ${one}`),
    sql`true`,
  );

/** Of `mayfly.leases AS l`. */
export function leasesSelected(sql: Statement, selector: EndSelector): Fragment {
  const { workload, taskId, backendId, role, initiator, trustRoot, trustDomain } = selector;
  const ofTask = both(sql, [
    initiator === undefined ? null : ofInitiator(sql, initiator),
    trustRoot === undefined ? null : ofTrustRoot(sql, trustRoot),
  ]);
  return both(sql, [
    workload === undefined ? null : sql`l.workload = ${workload}`,
    backendId === undefined ? null : sql`l.backend_id = ${backendId}`,
    role === undefined ? null : sql`l.role = ${role}`,
    trustDomain === undefined ? null : sql`starts_with(l.workload, ${spiffePrefix(trustDomain)})`,
    taskId === undefined
      ? null
      : sql`l.task_id IN (
          SELECT t.id FROM mayfly.tasks AS t WHERE ${inTree(sql, uuidOfId(taskId))})`,
    initiator === undefined && trustRoot === undefined
      ? null
      : sql`EXISTS (SELECT FROM mayfly.tasks AS t WHERE t.id = l.task_id AND ${ofTask})`,
  ]);
}

/** Of `mayfly.tasks AS t`. */
export function tasksSelected(sql: Statement, selector: EndSelector): Fragment {
  const { workload, taskId, backendId, role, initiator, trustRoot, trustDomain } = selector;
  return both(sql, [
    workload === undefined ? null : sql`t.workload_name = ${workload}`,
    trustDomain === undefined
      ? null
      : sql`starts_with(t.workload_name, ${spiffePrefix(trustDomain)})`,
    taskId === undefined ? null : inTree(sql, uuidOfId(taskId)),
    initiator === undefined ? null : ofInitiator(sql, initiator),
    trustRoot === undefined ? null : ofTrustRoot(sql, trustRoot),
    backendId === undefined
      ? null
      : draws(
          sql,
          sql`l.backend_id = ${backendId}`,
          sql`split_part(c ->> 'role', '/', 1) = ${backendId}`,
        ),
    role === undefined ? null : draws(sql, sql`l.role = ${role}`, sql`c ->> 'role' = ${role}`),
  ]);
}

/** A task that holds such a lease, or has declared that it may draw one. */
const draws = (sql: Statement, held: Fragment, declared: Fragment): Fragment => sql`(
  EXISTS (
    SELECT FROM mayfly.leases AS l WHERE l.task_id = t.id AND l.state <> 'ended' AND ${held})
  OR EXISTS (
    SELECT FROM jsonb_array_elements(t.descriptor -> 'credentials') AS c WHERE ${declared}))`;

const ofInitiator = (sql: Statement, initiator: string): Fragment =>
  sql`(t.verified_initiator = ${initiator} OR t.claimed_initiator = ${initiator})`;

/** It vouched for the workload, or for the person on whose behalf. */
const ofTrustRoot = (sql: Statement, root: string): Fragment =>
  sql`(t.workload ->> 'trustRoot' = ${root} OR t.verified_initiator_trust_root = ${root})`;

const inTree = (sql: Statement, task: string): Fragment => sql`(
  t.root_id = (SELECT s.root_id FROM mayfly.tasks AS s WHERE s.id = ${task}::uuid)
  AND (t.id = ${task}::uuid OR ${task}::uuid = ANY (t.ancestors)))`;

const spiffePrefix = (domain: string): string => `spiffe://${domain}/`;

/** A live lease of `mayfly.leases AS l` whose end nobody has requested. */
export const stillToEnd = (sql: Statement): Fragment =>
  sql`(l.state = 'active' OR (l.state = 'reserved' AND l.end_requested_at IS NULL))`;

/** The active tasks that are selected and all active ones below them: `id`, `selected`. */
export const tasksToKill = (sql: Statement, selector: EndSelector): Fragment => sql`
  WITH selected AS MATERIALIZED (
    SELECT t.id FROM mayfly.tasks AS t
    WHERE t.state = 'active' AND ${tasksSelected(sql, selector)}
  )
  SELECT t.id, t.opened_at, t.id IN (SELECT s.id FROM selected AS s) AS selected
  FROM mayfly.tasks AS t
  WHERE t.state = 'active' AND (
    t.id IN (SELECT s.id FROM selected AS s)
    OR (t.depth > 0 AND EXISTS (
      SELECT FROM unnest(t.ancestors) AS a WHERE a IN (SELECT s.id FROM selected AS s))))`;
