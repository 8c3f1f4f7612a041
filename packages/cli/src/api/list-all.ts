import type { z } from "zod";
import { CliError, usageError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import { jsonText } from "../render/clean-text.ts";
import type { Session } from "../session.ts";
import { pageAnswer, rawAnswer, readAnswer } from "./answers.ts";
import type { BrokerApi, Query } from "./broker-api.ts";

export interface PageOptions {
  readonly limit?: number;
  readonly after?: string;
  readonly all?: true;
}

const PAGE_MAX = 1_000;
/** What a person reads in a table; a program takes `--json`, which is unbounded. */
const TABLE_MAX = 10_000;

export interface Listed<T> {
  readonly items: readonly T[];
  /** Where to go on, or null at the end. */
  readonly next: string | null;
}

/**
 * Reads pages until `limit` records or the end. With `--json` prints each as the broker gave it and
 * answers none; otherwise answers them, parsed by `shape`.
 */
export async function listAll<T>(
  session: Session,
  api: BrokerApi,
  path: string,
  query: Query,
  page: PageOptions,
  shape: z.ZodType<T>,
): Promise<Listed<T>> {
  const most = page.all === true ? (session.json ? Infinity : TABLE_MAX) : (page.limit ?? 100);
  const items: T[] = [];
  let [count, after] = [0, page.after];
  for (;;) {
    const limit = String(Math.min(PAGE_MAX, most - count));
    const answer = rawAnswer(pageAnswer, await api.get(path, { ...query, limit, after }));
    for (const item of answer.items) {
      if (session.json) session.record(item);
      else items.push(readAnswer(shape, item));
    }
    // Without a reader there is no end to what nobody takes.
    if (session.json && (await session.io.written()) !== null) return { items, next: null };
    count += answer.items.length;
    if (answer.next !== null && answer.next === after) throw endless(path);
    after = answer.next ?? undefined;
    if (answer.next === null || count >= most) return { items, next: answer.next };
  }
}

/** A page that leads to itself would be read for ever. */
const endless = (path: string): CliError =>
  new CliError({
    code: "not_a_broker",
    what: "The broker's answer is not as expected: a page names itself as the next one.",
    where: path,
    todo: "Use the version of `mayfly` that belongs to the broker; a proxy may stand in between.",
    exit: EXIT.unavailable,
  });

/** Says how to go on where more is there. */
export function noteMore(session: Session, next: string | null): void {
  if (next === null) return;
  if (session.json && !session.quiet) session.io.err(`${jsonText({ next })}\n`);
  session.note(`More: --after ${next}`);
}

export function parseLimit(text: string): number {
  const limit = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (limit < 1) throw usageError("--limit takes a whole number from 1.", "For all, give --all.");
  return limit;
}
