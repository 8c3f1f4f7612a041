import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { EmbeddedError } from "./embedded-error.ts";
import type { EmbeddedPostgres } from "./start-postgres.ts";

/**
 * Creates a database and answers the superuser's URL to it.
 * @param name lower-case letters, digits and `_`; default: a random one.
 * @param template the database to copy; nobody may be connected to it. Default: `template1`.
 * @throws EmbeddedError for a name of another form; the driver's error when the server refuses.
 */
export async function freshDatabase(
  pg: Pick<EmbeddedPostgres, "url">,
  name: string = `db_${randomBytes(6).toString("hex")}`,
  template: string = "template1",
): Promise<string> {
  const [database, source] = [quoted(name), quoted(template)];
  const sql = postgres(pg.url("postgres"), { max: 1, onnotice: () => undefined });
  try {
    await sql.unsafe(`CREATE DATABASE ${database} TEMPLATE ${source}`);
  } finally {
    await sql.end({ timeout: 5 });
  }
  return pg.url(name);
}

function quoted(name: string): string {
  if (/^[a-z_][a-z0-9_]{0,62}$/.test(name)) return `"${name}"`;
  throw new EmbeddedError({
    what: `"${name}" is not accepted as a database name`,
    where: "freshDatabase",
    why: "it has to be 1 to 63 lower-case letters, digits and _, and not begin with a digit",
    remedy: "Choose another name.",
  });
}
