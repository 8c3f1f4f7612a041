import type postgres from "postgres";

/** Every row of every table of the database, the queue's included, as `COPY … TO STDOUT` writes. */
export async function dumpDatabase(superuser: postgres.Sql): Promise<string> {
  const tables = await superuser<{ name: string }[]>`
    SELECT format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    ORDER BY 1`;
  const parts: string[] = [];
  for (const { name } of tables) {
    const rows = await superuser.unsafe(`COPY ${name} TO STDOUT`).readable();
    parts.push(`-- ${name}\n`);
    for await (const chunk of rows) parts.push(String(chunk));
  }
  return parts.join("");
}
