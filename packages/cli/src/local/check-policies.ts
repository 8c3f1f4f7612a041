import { createPolicyCompiler, type CompiledPolicies } from "@mayfly/policy";
import type { PolicyProblem, PolicySource } from "@mayfly/spec";
import { findPolicyFiles } from "../files/policy-files.ts";
import { cleanText } from "../render/clean-text.ts";
import type { Session } from "../session.ts";

/** `policy check`: compiles as the broker would. What it warns of is no reason to fail. */
export function checkPolicies(session: Session, paths: readonly string[]): void {
  const compiled = compilePolicies(session, findPolicyFiles(paths).sources);
  if (compiled === null) return;
  const { warnings } = compiled;
  const { digest, policyIds } = compiled.engine;
  if (session.json) {
    const shown = warnings.map((warning) => ({ ...warning }));
    return session.record({ ok: true, digest, policies: policyIds, warnings: shown });
  }
  for (const warning of warnings) session.note(warningLine(warning, session));
  session.note(`${policyIds.length} policies, policies@${digest.slice(0, 8)}`);
}

/** One line for a person: where, which policy, and what. */
export function warningLine(
  { source, policyId, message, line }: PolicyProblem,
  { paint }: Pick<Session, "paint">,
): string {
  const place = line === null ? source : `${source}:${line}`;
  const id = policyId === null ? "" : `${policyId}: `;
  return `${paint.yellow("!")} ${cleanText(`${place}  ${id}${message}`)}`;
}

/** Null when they do not compile: then the problems are out, and the run has failed. */
export function compilePolicies(
  session: Session,
  sources: readonly PolicySource[],
): Extract<CompiledPolicies, { readonly ok: true }> | null {
  const compiled = createPolicyCompiler().compile(sources);
  if (compiled.ok) return compiled;
  session.found();
  for (const problem of compiled.problems) {
    if (session.json) {
      session.record({ ok: false, ...problem });
      continue;
    }
    const line = problem.line === null ? "" : `:${problem.line}`;
    const place = problem.source === "" ? "" : `${problem.source}${line}  `;
    const id = problem.policyId === null ? "" : `${problem.policyId}: `;
    session.text(`${session.paint.red("✗")} ${cleanText(place + id + problem.message)}\n`);
  }
  return null;
}
