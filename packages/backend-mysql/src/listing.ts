import { readShortLeaseName } from "@mayfly/backend-kit";
import type { CallContext, Marked, MarkedPage } from "@mayfly/spec";
import { readMark, writeHandle, type Account } from "./account-mark.ts";
import { toBackendError } from "./mysql-failure.ts";
import { deadlineIn, NOW_MS, numberIn, textIn, type Servers } from "./servers.ts";

/** As the interface allows. */
const PAGE = 1_000;
/** A tombstone this much older than its quarantine was forgotten by whoever made it. */
const FORGOTTEN_SECONDS = 60;

/** Every account whose name has the form of ours, of any installation, in the order of names. */
export async function listMarked(
  servers: Servers,
  after: string | null,
  context: CallContext,
): Promise<MarkedPage> {
  const deadline = deadlineIn(context, servers.settings.call_seconds_max * 1_000);
  try {
    return await servers.work.session(deadline, async (session) => {
      const { rows } = await session.run(
        `SELECT User AS name, MIN(Host) AS host, COUNT(*) AS hosts, ${NOW_MS} AS now_ms
         FROM mysql.user
         WHERE User LIKE 'mf|_%' ESCAPE '|' AND CAST(User AS BINARY) > CAST(? AS BINARY)
         GROUP BY User ORDER BY CAST(User AS BINARY) LIMIT ${PAGE}`,
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
        marked: rows.flatMap((row) => {
          const name = textIn(row, "name") ?? "";
          // Somebody else's account of the same name, for another host, is not ours.
          const host = numberIn(row, "hosts") === 1 ? textIn(row, "host") : null;
          const account = { name, host: host ?? "" };
          return markedOf(servers, account, marks.get(name) ?? null, numberIn(row, "now_ms"));
        }),
        next: names.length === PAGE ? (names.at(-1) ?? null) : null,
      };
    });
  } catch (thrown) {
    throw toBackendError(thrown, "list");
  }
}

/** A young tombstone is no credential and no orphan: whoever recovers takes it away. */
function markedOf(
  { host }: Servers,
  account: Account,
  text: string | null,
  nowMs: number,
): readonly Marked[] {
  const externalName = account.name;
  const named = readShortLeaseName(externalName);
  if (named === null) return [];
  if (named.installation !== host.installation) {
    return [{ externalName, mark: { kind: "foreign", installation: named.installation } }];
  }
  const mark = readMark(text, account, host);
  if (mark === null) return [{ externalName, mark: { kind: "unverified" } }];
  const keepMs = (host.quarantineSeconds + FORGOTTEN_SECONDS) * 1_000;
  if (mark.kind === "tombstone" && nowMs - mark.at < keepMs) return [];
  const handle = writeHandle(account);
  return [{ externalName, mark: { kind: "ours", leaseId: named.leaseId, handle } }];
}
