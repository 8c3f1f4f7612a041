import { LISTED_MAX, listedMarks, readShortLeaseName } from "@mayfly/backend-kit";
import type { CallContext, MarkedPage } from "@mayfly/spec";
import { readMark, writeHandle } from "./account-mark.ts";
import { deadlineIn, NOW_MS, numberIn, textIn, type Servers } from "./servers.ts";

/** Every account whose name has the form of ours, of any installation, in the order of names. */
export async function listMarked(
  servers: Servers,
  after: string | null,
  context: CallContext,
): Promise<MarkedPage> {
  const deadline = deadlineIn(context, servers.settings.call_seconds_max * 1_000);
  return await servers.work.session(deadline, async (session) => {
    const { rows } = await session.run(
      `SELECT User AS name, MIN(Host) AS host, COUNT(*) AS hosts, ${NOW_MS} AS now_ms
       FROM mysql.user
       WHERE User LIKE 'mf|_%' ESCAPE '|' AND CAST(User AS BINARY) > CAST(? AS BINARY)
       GROUP BY User ORDER BY CAST(User AS BINARY) LIMIT ${LISTED_MAX}`,
      [after ?? ""],
    );
    const names = rows.map((row) => textIn(row, "name") ?? "");
    const marks = new Map<string, string>();
    if (names.length > 0) {
      const places = names.map(() => "?").join(", ");
      const text = `SELECT name, mark FROM ${servers.marks} WHERE name IN (${places})`;
      for (const row of (await session.run(text, names)).rows) {
        marks.set(textIn(row, "name") ?? "", textIn(row, "mark") ?? "");
      }
    }
    return {
      // MySQL refuses REGEXP of what is compared by its bytes, so the form is looked at here.
      marked: rows
        .filter((row) => readShortLeaseName(textIn(row, "name") ?? "") !== null)
        .flatMap((row) => {
          const name = textIn(row, "name") ?? "";
          // Somebody else's account of the same name, for another host, is not ours.
          const host = numberIn(row, "hosts") === 1 ? textIn(row, "host") : null;
          const account = { name, host: host ?? "" };
          return listedMarks(
            {
              externalName: name,
              mark: () => readMark(marks.get(name) ?? null, account, servers.host),
              handle: () => writeHandle(account),
            },
            servers.host,
            numberIn(row, "now_ms"),
            readShortLeaseName,
          );
        }),
      next: names.length === LISTED_MAX ? (names.at(-1) ?? null) : null,
    };
  });
}
