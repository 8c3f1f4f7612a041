import {
  uuidOfId,
  type LeaseId,
  type NewTask,
  type Reservation,
  type TaskId,
  type TokenUse,
} from "@mayfly/spec";
import { insertEvents, type NewEvent } from "./append-events.ts";
import { decisionData, insertDecisions, type RecordedDecision } from "./decision-rows.ts";
import type { Accepted } from "./judge-reservation.ts";
import { idempotencyKey, oneTimeKey } from "./reserve-facts.ts";
import { outageSoFar } from "./ledger-clock.ts";
import { promptEnd } from "./prompt-end.ts";
import { rows, uuids, type Fragment, type Statement, type Transaction } from "./sql.ts";
import { taskColumns, type TaskRow } from "./task-row.ts";
import { taskSha256 } from "./task-sha256.ts";
import type { OpenTransaction } from "./transact.ts";

/** How long a key is kept: RFC draft practice is a day, and no issue lives as long. */
const KEY_HOURS = 24;

const taskIdOf = ({ task }: Reservation): TaskId =>
  task.kind === "open" ? task.task.id : task.taskId;
export const taskUuidOf = (reservation: Reservation): string => uuidOfId(taskIdOf(reservation));

/**
 * Tokens and keys before all rows: who loses the race for one is not written. A token that is
 * recorded for a request which then loses its key is no loss: that request may present it again.
 */
export async function claimTokensAndKeys(
  sql: Transaction,
  accepted: readonly Accepted[],
): Promise<readonly (Accepted | RaceLost)[]> {
  const tokens = accepted.flatMap(({ reservation, tokenExists }) => {
    const { oneTime } = reservation;
    return oneTime === null || tokenExists ? [] : [{ ...reservation, oneTime }];
  });
  const gotTokens = tokens.length > 0 ? await insertTokens(sql, tokens) : [];
  const wonTokens = new Set(gotTokens.map(oneTimeKey));
  const left = accepted.map((each) =>
    lostToken(each, wonTokens) ? { kind: "lost" as const } : each,
  );
  const keyed = left.filter(
    (each): each is Accepted => each.kind === "accepted" && each.reservation.idempotency !== null,
  );
  const fresh = keyed.filter((each) => !each.keyExists);
  const known = keyed.filter((each) => each.keyExists);
  const [gotKeys] = await Promise.all([
    fresh.length > 0 ? insertKeys(sql, fresh) : [],
    known.length > 0 ? updateKeys(sql, known) : [],
  ]);
  const wonKeys = new Set(
    gotKeys.map((row) => idempotencyKey({ scopeSha256: row.scope_sha256, key: row.key })),
  );
  return left.map((each) =>
    each.kind === "accepted" && lostKey(each, wonKeys) ? { kind: "lost" as const } : each,
  );
}

/** Another request with the same key or token was written meanwhile. */
export interface RaceLost {
  readonly kind: "lost";
}

const lostToken = ({ reservation, tokenExists }: Accepted, won: ReadonlySet<string>): boolean =>
  reservation.oneTime !== null && !tokenExists && !won.has(oneTimeKey(reservation.oneTime));

const lostKey = ({ reservation, keyExists }: Accepted, won: ReadonlySet<string>): boolean =>
  reservation.idempotency !== null &&
  !keyExists &&
  !won.has(idempotencyKey(reservation.idempotency));

const keyRow = ({ reservation, generation }: Accepted) => ({
  scope_sha256: reservation.idempotency?.scopeSha256,
  key: reservation.idempotency?.key,
  body_sha256: reservation.idempotency?.bodySha256,
  task_id: taskUuidOf(reservation),
  generation,
});

const insertKeys = (sql: Transaction, accepted: readonly Accepted[]) =>
  sql<{ scope_sha256: string; key: string }[]>`
    INSERT INTO mayfly.idempotency_keys
      (scope_sha256, key, body_sha256, task_id, generation, expires_at)
    SELECT scope_sha256, key, body_sha256, task_id, generation,
      now() + make_interval(hours => ${KEY_HOURS}::integer)
    FROM jsonb_to_recordset(${rows(accepted.map(keyRow))}::text::jsonb) AS k (
      scope_sha256 text, key text, body_sha256 text, task_id uuid, generation integer)
    ORDER BY key, scope_sha256
    ON CONFLICT DO NOTHING
    RETURNING scope_sha256, key`.execute();

/** Their rows are locked already. */
const updateKeys = (sql: Transaction, accepted: readonly Accepted[]) =>
  sql`
    UPDATE mayfly.idempotency_keys AS k
    SET body_sha256 = w.body_sha256, task_id = w.task_id, generation = w.generation,
      expires_at = now() + make_interval(hours => ${KEY_HOURS}::integer)
    FROM jsonb_to_recordset(${rows(accepted.map(keyRow))}::text::jsonb) AS w (
      scope_sha256 text, key text, body_sha256 text, task_id uuid, generation integer)
    WHERE k.key = w.key AND k.scope_sha256 = w.scope_sha256`.execute();

export const insertTokens = (sql: Transaction, uses: readonly TokenUse[]) =>
  sql<{ issuer: string; jti: string }[]>`
    INSERT INTO mayfly.one_time_tokens
      (issuer, jti, scope_sha256, key, body_sha256, confirmation, expires_at)
    SELECT issuer, jti, scope_sha256, key, body_sha256, confirmation, mayfly.instant(expires_ms)
    FROM jsonb_to_recordset(${rows(
      uses.map(({ oneTime, idempotency, confirmation }) => ({
        issuer: oneTime.issuer,
        jti: oneTime.jti,
        scope_sha256: idempotency?.scopeSha256 ?? null,
        key: idempotency?.key ?? null,
        body_sha256: idempotency?.bodySha256 ?? null,
        confirmation,
        expires_ms: oneTime.expiresAt,
      })),
    )}::text::jsonb) AS o (
      issuer text, jti text, scope_sha256 text, key text, body_sha256 text, confirmation text,
      expires_ms double precision)
    ORDER BY issuer, jti
    ON CONFLICT DO NOTHING
    RETURNING issuer, jti`.execute();

/** All rows of the accepted reservations, in one message with COMMIT; answers their tasks. */
export async function commitReservations(
  { sql, commitWith }: OpenTransaction,
  accepted: readonly Accepted[],
  sweepIntervalSeconds: number,
): Promise<readonly TaskRow[]> {
  const outage = outageSoFar(sql, sweepIntervalSeconds);
  const proven = accepted.filter(
    ({ reservation: { task } }) => task.kind === "existing" && task.identity !== null,
  );
  const repeated = accepted.filter((each) => each.generation > 1);
  const drawn = accepted.filter((each) => each.reservation.task.kind === "existing");
  const inserted = insertRows(sql, accepted, outage);
  const told = drawn.length > 0 ? [readDrawn(sql, drawn)] : [];
  await commitWith([
    ...(proven.length > 0 ? [proveTasks(sql, proven, outage)] : []),
    ...(repeated.length > 0 ? [endEarlierGenerations(sql, repeated)] : []),
    inserted,
    ...told,
    ...(repeated.length > 0 ? [promptEnd(sql)] : []),
  ]);
  return (await Promise.all([inserted, ...told])).flat();
}

/** What has to hold for any row to be written: CTEs with a comma behind them, and a WHERE. */
interface Condition {
  readonly with: Fragment;
  readonly onlyIf: Fragment;
  /** What else is answered, with a comma before it. */
  readonly also: Fragment;
}
interface OpenedRow extends TaskRow {
  /** Workloads with many live leases, and how many. */
  readonly busy?: readonly (readonly [string, number])[] | null;
}

/**
 * All rows that are new, in one statement: each further one would have its own answer, for which
 * the server and we take a turn each. Answers the tasks that were opened.
 */
export function insertRows(
  sql: Statement,
  accepted: readonly Accepted[],
  outage: Fragment,
  { with: before, onlyIf, also }: Condition = { with: sql``, onlyIf: sql``, also: sql`` },
) {
  const opened = accepted.filter((each) => each.reservation.task.kind === "open");
  const leases = accepted.filter((each) => each.reservation.leases.length > 0);
  const decided = accepted.filter((each) => each.reservation.decisions.length > 0);
  const events = accepted.flatMap(eventsOf);
  const parts: Fragment[] = [sql`told AS (${insertEvents(sql, events, onlyIf)})`];
  if (opened.length > 0) parts.push(sql`opened AS (${insertTasks(sql, opened, outage, onlyIf)})`);
  if (decided.length > 0) {
    const decisions = decided.flatMap(recordedDecisions);
    parts.push(sql`decided AS (${insertDecisions(sql, decisions, onlyIf)})`);
  }
  if (leases.length > 0) parts.push(sql`reserved AS (${insertLeases(sql, leases, onlyIf)})`);
  return sql<OpenedRow[]>`
    WITH ${before} ${parts.reduce((all, part) => sql`${all}, ${part}`)}
    SELECT ${opened.length > 0 ? sql`*${also} FROM opened` : sql`WHERE false`}`;
}

/** The tasks that were open before, as they are after all else was written. */
const readDrawn = (sql: Transaction, drawn: readonly Accepted[]) =>
  sql<TaskRow[]>`
    SELECT ${taskColumns(sql)} FROM mayfly.tasks AS t
    WHERE t.id = ANY (${uuids(new Set(drawn.map(({ reservation }) => taskUuidOf(reservation))))}
      ::text::uuid[])`;

function taskRow(task: NewTask, { standing, workload, reservation }: Accepted) {
  return {
    id: uuidOfId(task.id),
    parent_id: standing?.id ?? null,
    root_id: standing?.root_id ?? uuidOfId(task.id),
    ancestors: standing === null ? [] : [...standing.ancestors, standing.id],
    depth: standing === null ? 0 : standing.depth + 1,
    workload: task.identity.workload,
    workload_name: workload,
    verified_initiator: task.verifiedInitiator,
    verified_initiator_trust_root: task.initiatorTrustRoot,
    claimed_initiator: task.descriptor.claimedInitiator,
    ref: task.descriptor.ref,
    descriptor: task.descriptor,
    confirmation: reservation.confirmation,
    deadline_ms: Math.min(task.deadlineAt, standing?.deadline_at ?? task.deadlineAt),
    idle_timeout_seconds: task.descriptor.idleTimeoutSeconds,
    identity_proven_ms: task.identity.provenAt,
    identity_max_age_seconds: task.identity.identityMaxAgeSeconds,
  };
}

const insertTasks = (
  sql: Statement,
  accepted: readonly Accepted[],
  outage: Fragment,
  onlyIf: Fragment,
) =>
  sql<TaskRow[]>`
    INSERT INTO mayfly.tasks AS t (id, parent_id, root_id, ancestors, depth, workload,
      workload_name, verified_initiator, verified_initiator_trust_root, claimed_initiator, ref,
      descriptor, confirmation, deadline_at, idle_timeout_seconds, heartbeat_outage_seconds,
      identity_proven_at, identity_max_age_seconds)
    SELECT id, parent_id, root_id, ancestors, depth, workload, workload_name, verified_initiator,
      verified_initiator_trust_root, claimed_initiator, ref, descriptor, confirmation,
      mayfly.instant(deadline_ms), idle_timeout_seconds, ${outage},
      mayfly.instant(identity_proven_ms), identity_max_age_seconds
    FROM jsonb_to_recordset(${rows(
      accepted.flatMap((each) => {
        const { task } = each.reservation;
        return task.kind === "open" ? [taskRow(task.task, each)] : [];
      }),
    )}::text::jsonb) AS n (
      id uuid, parent_id uuid, root_id uuid, ancestors uuid[], depth integer, workload jsonb,
      workload_name text, verified_initiator text, verified_initiator_trust_root text,
      claimed_initiator text, ref text,
      descriptor jsonb, confirmation text, deadline_ms double precision,
      idle_timeout_seconds double precision, identity_proven_ms double precision,
      identity_max_age_seconds double precision)
    ${onlyIf}
    RETURNING ${taskColumns(sql)}`;

/** Fresh proof under an open task is also a sign of life. */
const proveTasks = (sql: Transaction, accepted: readonly Accepted[], outage: Fragment) =>
  sql`
    WITH proof AS MATERIALIZED (
      SELECT p.id, max(p.proven_ms) AS proven_ms,
        (array_agg(p.max_age ORDER BY p.proven_ms DESC))[1] AS max_age
      FROM jsonb_to_recordset(${rows(
        accepted.flatMap(({ reservation: { task } }) =>
          task.kind === "existing" && task.identity !== null
            ? {
                id: uuidOfId(task.taskId),
                proven_ms: task.identity.provenAt,
                max_age: task.identity.identityMaxAgeSeconds,
              }
            : [],
        ),
      )}::text::jsonb) AS p (id uuid, proven_ms double precision, max_age double precision)
      GROUP BY p.id
    ), held AS MATERIALIZED (
      SELECT t.id FROM mayfly.tasks AS t WHERE t.id IN (SELECT id FROM proof)
      ORDER BY t.depth, t.id FOR NO KEY UPDATE OF t
    )
    UPDATE mayfly.tasks AS t
    SET identity_proven_at = greatest(t.identity_proven_at, mayfly.instant(p.proven_ms)),
      identity_max_age_seconds = p.max_age, last_heartbeat_at = now(),
      heartbeat_outage_seconds = ${outage}
    FROM proof AS p JOIN held USING (id)
    WHERE t.id = p.id`;

/** Each with its task: a decision that came before the task's id was known gets it here. */
const recordedDecisions = ({ reservation, workload }: Accepted): RecordedDecision[] =>
  reservation.decisions.map((decision) => ({
    decision: { ...decision, taskId: decision.taskId ?? taskIdOf(reservation) },
    workload,
    role: reservation.leases.find((lease) => lease.decisionId === decision.id)?.role ?? null,
  }));

const insertLeases = (sql: Statement, accepted: readonly Accepted[], onlyIf: Fragment) =>
  sql`
    INSERT INTO mayfly.leases (id, task_id, workload, role, decision_id, backend_id, backend_type,
      backend_revision, plan, idempotency_scope, idempotency_key, generation, state, issue_by,
      settle_by, expires_at, due_at)
    SELECT id, task_id, workload, role, decision_id, backend_id, backend_type, backend_revision,
      plan, idempotency_scope, idempotency_key, generation, 'reserved',
      mayfly.instant(issue_by_ms), mayfly.instant(settle_by_ms), mayfly.instant(expires_ms),
      mayfly.instant(settle_by_ms)
    FROM jsonb_to_recordset(${rows(
      accepted.flatMap(({ reservation, workload, generation }) =>
        reservation.leases.map((lease) => ({
          id: uuidOfId(lease.id),
          task_id: taskUuidOf(reservation),
          workload,
          role: lease.role,
          decision_id: uuidOfId(lease.decisionId),
          backend_id: lease.backendId,
          backend_type: lease.backendType,
          backend_revision: lease.backendRevision,
          plan: lease.plan,
          idempotency_scope: reservation.idempotency?.scopeSha256 ?? null,
          idempotency_key: reservation.idempotency?.key ?? null,
          generation,
          issue_by_ms: lease.issueBy,
          settle_by_ms: lease.settleBy,
          expires_ms: lease.plan.expiresAt,
        })),
      ),
    )}::text::jsonb) AS l (
      id uuid, task_id uuid, workload text, role text, decision_id uuid, backend_id text,
      backend_type text, backend_revision integer, plan jsonb, idempotency_scope text,
      idempotency_key text, generation integer, issue_by_ms double precision,
      settle_by_ms double precision, expires_ms double precision)
    ${onlyIf}`;

/** Whoever lost the reply of an earlier one never gets that secret, so it has no more use. */
const endEarlierGenerations = (sql: Transaction, accepted: readonly Accepted[]) =>
  sql`
    WITH earlier AS MATERIALIZED (
      SELECT l.id, l.state FROM mayfly.leases AS l
      WHERE l.state IN ('reserved', 'active') AND (l.idempotency_key, l.idempotency_scope) IN (
        SELECT w.key, w.scope_sha256
        FROM jsonb_to_recordset(${rows(accepted.map(keyRow))}::text::jsonb)
          AS w (scope_sha256 text, key text, generation integer)
        WHERE l.generation < w.generation)
      ORDER BY l.id FOR NO KEY UPDATE OF l
    ), ended AS (
      UPDATE mayfly.leases AS l
      SET end_requested_at = coalesce(l.end_requested_at, now()),
        end_reason = coalesce(l.end_reason, 'superseded by a repeated request'),
        state = CASE l.state WHEN 'active' THEN 'ending' ELSE l.state END,
        due_at = CASE l.state WHEN 'active' THEN now() ELSE l.due_at END,
        version = l.version + CASE l.state WHEN 'active' THEN 1 ELSE 0 END
      FROM earlier WHERE l.id = earlier.id AND l.state IN ('reserved', 'active')
      RETURNING l.id, l.task_id, l.state
    )
    INSERT INTO mayfly.events (kind, actor, task_id, lease_id, data)
    SELECT 'lease.ending', '{"kind": "system", "name": "broker"}', task_id, id,
      '{"reason": "superseded by a repeated request"}'
    FROM ended WHERE state = 'ending'`;

function eventsOf(accepted: Accepted): NewEvent[] {
  const { reservation, workload, generation } = accepted;
  const { task } = reservation;
  const actor = { kind: "workload", name: workload } as const;
  const taskId = taskIdOf(reservation);
  const events: NewEvent[] = [];
  if (task.kind === "open") {
    const { identity, descriptor, verifiedInitiator, initiatorTrustRoot, initiatorActors } =
      task.task;
    const row = taskRow(task.task, accepted);
    const data = {
      workload,
      trustRoot: identity.workload.trustRoot,
      tokenSha256: identity.tokenSha256,
      confirmation: reservation.confirmation,
      parentId: task.task.parentId,
      verifiedInitiator,
      ...(initiatorTrustRoot === null ? {} : { initiatorTrustRoot }),
      ...(initiatorActors === undefined ? {} : { initiatorActors }),
      deadlineAt: row.deadline_ms,
      taskSha256: taskSha256(row),
      descriptor: {
        ...descriptor,
        credentials: descriptor.credentials.map((each) => ({ ...each })),
      },
    };
    events.push({ kind: "task.opened", actor, taskId, data });
  } else if (task.identity !== null) {
    const { tokenSha256, provenAt } = task.identity;
    events.push({ kind: "task.heartbeat_proven", actor, taskId, data: { tokenSha256, provenAt } });
  }
  const leaseOf = (decisionId: string): LeaseId | null =>
    reservation.leases.find((lease) => lease.decisionId === decisionId)?.id ?? null;
  for (const recorded of recordedDecisions(accepted)) {
    const { id, verdict } = recorded.decision;
    events.push({
      kind: verdict.effect === "permit" ? "decision.permitted" : "decision.denied",
      actor,
      taskId,
      leaseId: leaseOf(id),
      decisionId: id,
      data: decisionData(recorded),
    });
  }
  for (const { id, decisionId, role, backendId, backendRevision, plan } of reservation.leases) {
    const data = { role, backendId, backendRevision, plan: { ...plan }, generation };
    events.push({ kind: "lease.reserved", actor, taskId, leaseId: id, decisionId, data });
  }
  return events;
}
