import { createPolicyCompiler, type CedarPolicyEngine } from "@mayfly/policy";
import type { PolicySource } from "@mayfly/spec";
import { findPolicyFiles } from "../files/policy-files.ts";
import { cleanText } from "../render/clean-text.ts";
import type { Session } from "../session.ts";

/** `policy check`: compiles as the broker would. */
export function checkPolicies(session: Session, paths: readonly string[]): void {
  const engine = compilePolicies(session, findPolicyFiles(paths).sources);
  if (engine === null) return;
  const { digest, policyIds } = engine;
  if (session.json) session.record({ ok: true, digest, policies: policyIds });
  else session.note(`${policyIds.length} policies, policies@${digest.slice(0, 8)}`);
}

/** Null when they do not compile: then the problems are out, and the run has failed. */
export function compilePolicies(
  session: Session,
  sources: readonly PolicySource[],
): CedarPolicyEngine | null {
  const compiled = createPolicyCompiler().compile(sources);
  if (compiled.ok) return compiled.engine;
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
