import {
  BUDGET_WAIT_SECONDS_MAX,
  END_PAUSE_SECONDS_MAX,
  PAUSE_SECONDS_MAX,
  type BackendBudget,
  type BackendId,
  type BudgetAnswer,
  type BudgetDraw,
} from "@mayfly/spec";
import { withRetries, type RetryPorts } from "./retry.ts";
import type { Sql } from "./sql.ts";

/** Of one backend. Each call is a statement of its own, so nobody waits for a frozen process. */
export function backendBudget(ports: RetryPorts, sql: Sql, id: BackendId): BackendBudget {
  return {
    draw: (asked) => withRetries(ports, () => draw(sql, id, asked)),
    pause: (seconds) => withRetries(ports, () => pause(sql, id, seconds)),
  };
}

interface DrawRow {
  readonly drawn: number;
  readonly in_seconds: number;
  readonly is_paused: boolean;
}

async function draw(sql: Sql, id: BackendId, asked: BudgetDraw): Promise<BudgetAnswer> {
  const { perSecond, burst, keptForEnds } = asked.rate;
  const [row] = await sql<DrawRow[]>`
    SELECT drawn, in_seconds, is_paused
    FROM mayfly.draw_backend_budget(${id}, ${asked.use === "ends"}::boolean,
      ${asked.tokens}::integer, ${perSecond}::float8, ${burst}::float8, ${keptForEnds}::float8,
      ${BUDGET_WAIT_SECONDS_MAX}::float8)`;
  if (row === undefined) throw new Error("a function answers its row");
  const { drawn: tokens } = row;
  // Of one who asked for none it says by how much there was more than one.
  const inSeconds = Math.max(0, row.in_seconds);
  if (tokens > 0) return { kind: "drawn", tokens, inSeconds };
  return { kind: row.is_paused ? "paused" : "empty", inSeconds };
}

async function pause(sql: Sql, id: BackendId, seconds: number): Promise<void> {
  const forMints = Math.min(seconds, PAUSE_SECONDS_MAX);
  const forEnds = Math.min(seconds, END_PAUSE_SECONDS_MAX);
  // What is further off than the longest pause was written before the clock was set back.
  await sql`
    INSERT INTO mayfly.backend_budgets AS known
      (backend_id, tokens, filled_at, mints_paused_until, ends_paused_until)
    VALUES (${id}, 0, now(), now() + make_interval(secs => ${forMints}::float8),
      now() + make_interval(secs => ${forEnds}::float8))
    ON CONFLICT (backend_id) DO UPDATE SET
      mints_paused_until = greatest(excluded.mints_paused_until, CASE
        WHEN known.mints_paused_until <= now() + make_interval(secs => ${PAUSE_SECONDS_MAX}::float8)
        THEN known.mints_paused_until END),
      ends_paused_until = greatest(excluded.ends_paused_until, CASE
        WHEN known.ends_paused_until
          <= now() + make_interval(secs => ${END_PAUSE_SECONDS_MAX}::float8)
        THEN known.ends_paused_until END)`;
}
