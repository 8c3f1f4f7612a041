import type { CheckAnswer } from "../api/answers.ts";
import { factLines, factsOf } from "../render/fact-lines.ts";
import type { Session } from "../session.ts";

/** What a self-check saw, and each problem with what to do about it; with `-q` the problems. */
export function showCheck(session: Session, check: CheckAnswer): void {
  const { paint } = session;
  const skew = check.clock_skew_ms === null ? "not measured" : `${check.clock_skew_ms} ms`;
  const facts = [["upstream", check.upstream_identity] as const, ["clock skew", skew] as const];
  session.detail(factLines([...facts, ...factsOf(check.facts)], paint));
  for (const { code, what, fix } of check.problems) {
    session.text(`${paint.red("✗")} ${what}  (${code})\n  ${fix}\n`);
  }
  if (check.problems.length === 0) session.detail(`${paint.green("✓")} no problem\n`);
}
