import type { BackendId, BackendName, BackendNames, PlaceTurn } from "@mayfly/spec";
import { withRetries, type RetryPorts } from "./retry.ts";
import { texts, type Fragment, type Sql } from "./sql.ts";

const PLACES_MAX = 1_000;
const NAMES_MAX = 10_000;

interface NameRow {
  readonly name: string;
  readonly place: string;
  readonly is_taken: boolean;
  readonly refused_for: number | null;
  readonly seen_for: number | null;
  readonly left_seconds: number;
}

const nameOf = (row: NameRow): BackendName => ({
  name: row.name,
  place: row.place,
  isTaken: row.is_taken,
  refusedForSeconds: row.refused_for,
  seenForSeconds: row.seen_for,
  leftSeconds: row.left_seconds,
});

const columns = (sql: Sql): Fragment => sql`
  name, place, taken_at IS NOT NULL AS is_taken,
  extract(epoch FROM now() - refused_at)::float8 AS refused_for,
  extract(epoch FROM now() - seen_at)::float8 AS seen_for,
  extract(epoch FROM until - now())::float8 AS left_seconds`;

/** Of one backend. Each call is a statement of its own, so a place is never locked meanwhile. */
export function backendNames(ports: RetryPorts, sql: Sql, id: BackendId): BackendNames {
  const retried = <T>(run: () => Promise<T>): Promise<T> => withRetries(ports, run);
  return {
    take: (name, place, until, most) =>
      retried(async () => {
        const [row] = await sql<{ answer: "taken" | "known" | "full" }[]>`
          SELECT mayfly.take_backend_name(${id}, ${name}, ${place},
            mayfly.instant(${until}::float8), ${most}::integer) AS answer`;
        return row?.answer ?? "known";
      }),
    shorten: (name, until) =>
      retried(async () => {
        await sql`
          UPDATE mayfly.backend_names
          SET until = least(until, mayfly.instant(${until}::float8))
          WHERE backend_id = ${id} AND name = ${name} AND refused_at IS NULL`;
      }),
    find: (name) =>
      retried(async () => {
        const [row] = await sql<NameRow[]>`
          SELECT ${columns(sql)} FROM mayfly.backend_names
          WHERE backend_id = ${id} AND name = ${name}`;
        return row === undefined ? null : nameOf(row);
      }),
    refuse: (...refusal) => retried(() => refuse(sql, id, ...refusal)),
    places: () =>
      retried(async () => {
        const found = await sql<{ place: string }[]>`
          SELECT DISTINCT place FROM mayfly.backend_names
          WHERE backend_id = ${id} AND refused_at IS NOT NULL
            AND until > now() - interval '1 day'
          ORDER BY place LIMIT ${PLACES_MAX}::integer`;
        return found.map(({ place }) => place);
      }),
    sawRefused: (names, missing) =>
      retried(async () => {
        await sql`
          UPDATE mayfly.backend_names AS n SET seen_at = s.seen_at
          FROM (
            SELECT jsonb_array_elements_text(${texts(names)}::text::jsonb) AS name,
              now() AS seen_at
            UNION ALL
            SELECT jsonb_array_elements_text(${texts(missing)}::text::jsonb), NULL
          ) AS s
          WHERE n.backend_id = ${id} AND n.name = s.name
            AND (n.seen_at IS NULL) <> (s.seen_at IS NULL)`;
      }),
    ...turnsOf(retried, sql, id),
  };
}

async function refuse(
  sql: Sql,
  id: BackendId,
  ...[name, place, until]: Parameters<BackendNames["refuse"]>
): Promise<BackendName> {
  const [row] = await sql<NameRow[]>`
    INSERT INTO mayfly.backend_names AS known (backend_id, name, place, refused_at, until)
    VALUES (${id}, ${name}, ${place}, now(), mayfly.instant(${until}::float8))
    ON CONFLICT (backend_id, name) DO UPDATE
      SET refused_at = coalesce(known.refused_at, excluded.refused_at),
        until = greatest(known.until, excluded.until)
    RETURNING ${columns(sql)}`;
  if (row === undefined) throw new Error("an upsert answers its row");
  return nameOf(row);
}

function turnsOf(
  retried: <T>(run: () => Promise<T>) => Promise<T>,
  sql: Sql,
  id: BackendId,
): Pick<BackendNames, "beginTurn" | "holdTurn" | "endTurn"> {
  return {
    beginTurn: (place, seconds) =>
      retried(async (): Promise<PlaceTurn | null> => {
        const [begun] = await sql<{ turn: number }[]>`
          INSERT INTO mayfly.backend_places AS known (backend_id, place, turn, held_until)
          VALUES (${id}, ${place}, nextval('mayfly.backend_place_turns'),
            now() + make_interval(secs => ${seconds}::float8))
          ON CONFLICT (backend_id, place) DO UPDATE
            -- Not the number of the row that was not inserted: another may have come between.
            SET turn = nextval('mayfly.backend_place_turns'), held_until = excluded.held_until
            WHERE known.held_until <= now()
          RETURNING turn::float8 AS turn`;
        if (begun === undefined) return null;
        // After the turn began: whatever was to be refused before it is seen.
        const refused = await sql<NameRow[]>`
          SELECT ${columns(sql)} FROM mayfly.backend_names
          WHERE backend_id = ${id} AND place = ${place} AND refused_at IS NOT NULL
            AND until > now() - interval '1 hour'
          -- Those that are not over come first, whatever the limit.
          ORDER BY until DESC, name LIMIT ${NAMES_MAX}::integer`;
        return { turn: begun.turn, refused: refused.map(nameOf) };
      }),
    holdTurn: (place, turn, seconds) =>
      retried(async () => {
        const held = await sql`
          UPDATE mayfly.backend_places
          SET held_until = now() + make_interval(secs => ${seconds}::float8)
          WHERE backend_id = ${id} AND place = ${place} AND turn = ${turn}::bigint
            AND held_until > now()
          RETURNING turn`;
        return held.length === 1;
      }),
    endTurn: (place, turn) =>
      retried(async () => {
        await sql`
          UPDATE mayfly.backend_places SET held_until = now()
          WHERE backend_id = ${id} AND place = ${place} AND turn = ${turn}::bigint
            AND held_until > now()`;
      }),
  };
}
