import { z } from "zod";
import { instantMs, type InstantMs, type IssueContext, type Secret } from "@mayfly/spec";
import { deadlineIn } from "./call-deadline.ts";
import type { Lane } from "./lane.ts";
import { readHandle, type LeaseHandle } from "./lease-mark.ts";
import { doBlock, localTimeouts, raiseIfPast } from "./mint-message.ts";
import { failures, SQLSTATE } from "./pg-failure.ts";
import { oidLiteral, quoteIdentifier, quoteLiteral, wholeNumber } from "./quote.ts";

const LOCK_MS = 1_000;

const extended = z.tuple([z.object({ until_ms: z.string() })]);

/**
 * Moves `VALID UNTIL`, and nothing else, of a role that is still the same and still lets in.
 *
 * The condition is tested in the transaction; a NOLOGIN that commits in between changes the same
 * catalog row, so this one fails ("tuple concurrently updated") instead of writing over it.
 */
export async function extend(
  lane: Lane,
  secret: Secret,
  expiresAt: InstantMs,
  context: IssueContext,
): Promise<InstantMs> {
  const handle = readHandle(secret);
  const leftMs = context.issueBy - context.clock.now();
  const deadline = deadlineIn(context, leftMs + 2_000);
  return await lane.work.session(
    deadline,
    async (session) => {
      const left = context.issueBy - context.clock.now();
      const rows = await session.run(extendMessage(handle, expiresAt, context.issueBy, left));
      const [{ until_ms: untilMs }] = extended.parse(rows.at(-1));
      return instantMs(Number(untilMs));
    },
    () => failures.refuseLate(context, "renew"),
  );
}

function extendMessage(
  handle: LeaseHandle,
  expiresAt: InstantMs,
  issueBy: InstantMs,
  leftMs: number,
): string {
  const oid = oidLiteral(handle.oid);
  const until = quoteLiteral(new Date(expiresAt).toISOString());
  return [
    ...localTimeouts(leftMs),
    // Nobody but the lease itself, or its end, holds its row for long: no slot waits for that.
    `SET LOCAL lock_timeout = ${wholeNumber(Math.max(1, Math.min(LOCK_MS, Math.floor(leftMs))))}`,
    doBlock([
      raiseIfPast(issueBy),
      `IF NOT EXISTS (SELECT FROM pg_roles WHERE oid = ${oid}`,
      `  AND rolname = ${quoteLiteral(handle.name)} AND rolcanlogin`,
      "  AND rolvaliduntil > clock_timestamp()) THEN",
      `RAISE EXCEPTION USING ERRCODE = '${SQLSTATE.leaseGone}',`,
      "  MESSAGE = 'the role is gone, disabled or expired'; END IF;",
      `ALTER ROLE ${quoteIdentifier(handle.name)} VALID UNTIL ${until};`,
      raiseIfPast(issueBy),
    ]),
    `SELECT floor(extract(epoch FROM rolvaliduntil) * 1000)::int8::text AS until_ms
     FROM pg_roles WHERE oid = ${oid}`,
  ].join(";\n");
}
