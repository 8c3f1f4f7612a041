import { z } from "zod";
import type { Json } from "@mayfly/spec";
import { CliError } from "../cli-error.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";

/** RFC 9457 as the broker writes it; further members are its public extras. */
const problemShape = z.looseObject({
  title: z.string(),
  detail: z.string(),
  code: z.string(),
  todo: z.string(),
  where: z.string().optional(),
  trace: z.string().optional(),
  hint: z.string().optional(),
});
const SHOWN = new Set([
  "type",
  "title",
  "status",
  "detail",
  "code",
  "todo",
  "where",
  "trace",
  "hint",
]);

/** The broker's refusal as it says it itself: the same words and code as in its log. */
export function problemError(status: number, answer: unknown, url: string): CliError {
  const parsed = problemShape.safeParse(answer);
  if (!parsed.success) {
    return new CliError({
      code: "not_a_broker",
      what: `The answer has status ${status} and is no problem report of a Mayfly broker.`,
      where: url,
      todo: "Name the broker itself with --url or MAYFLY_URL; a proxy may stand in between.",
      exit: exitOf(status),
    });
  }
  const problem = parsed.data;
  return new CliError({
    code: problem.code,
    what: problem.detail,
    where: problem.where ?? null,
    why: problem.title,
    todo: problem.hint ?? problem.todo,
    trace: problem.trace ?? null,
    // The broker is well, and asking again changes nothing: a wrong password of a backend's.
    exit: problem.code === "backend_rejected" ? EXIT.refused : exitOf(status),
    more: Object.fromEntries(
      Object.entries(problem).flatMap(([name, value]): readonly [string, Json][] => {
        const json = z.json().safeParse(value);
        return SHOWN.has(name) || !json.success ? [] : [[name, json.data]];
      }),
    ),
  });
}

const exitOf = (status: number): ExitCode => (status >= 500 ? EXIT.unavailable : EXIT.refused);
