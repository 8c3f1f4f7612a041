import {
  policyToJson,
  validate,
  type DetailedError,
  type PolicyJson,
  type PolicyToJsonAnswer,
} from "@cedar-policy/cedar-wasm/nodejs";
import {
  parsePolicyId,
  type PolicyCompiler,
  type PolicyId,
  type PolicyProblem,
  type PolicySource,
} from "@mayfly/spec";
import { createCedarPolicyEngine, type CedarPolicyEngine } from "./cedar-policy-engine.ts";
import { parseExpression, ShapeProblem } from "./expression.ts";
import { LIMITS } from "./limits.ts";
import { pairProblems } from "./pair-rule.ts";
import { policiesOn, type ParsedPolicy } from "./parsed-policy.ts";
import { policySide } from "./policy-side.ts";
import { presenceProblems } from "./presence-rule.ts";
import { ADMINISTRATION_SCHEMA, IMPERSONATION_SCHEMA, POLICY_SCHEMA } from "./schema.ts";
import { segmentWarnings } from "./segment-warnings.ts";
import { newlines, splitSource, type PolicyText } from "./split-source.ts";
import { vocabularyProblems } from "./vocabulary-rule.ts";

export type CompiledPolicies =
  | {
      readonly ok: true;
      readonly engine: CedarPolicyEngine;
      /** What may mean more than was meant; refuses nothing. */
      readonly warnings: readonly PolicyProblem[];
    }
  | { readonly ok: false; readonly problems: readonly PolicyProblem[] };

export interface CedarPolicyCompiler extends PolicyCompiler {
  compile(sources: readonly PolicySource[]): CompiledPolicies;
  compileActive(sources: readonly PolicySource[]): CompiledPolicies;
}

/** Cedar behind `PolicyCompiler`. Compiling is synchronous: about 0.3 ms for each policy. */
export const createPolicyCompiler = (): CedarPolicyCompiler => ({
  compile: (sources) => {
    const admitted = admitPolicies(sources);
    return admitted.ok ? engineOf(admitted.policies, []) : admitted;
  },
  compileActive: (sources) => {
    const { policies, problems } = readPolicies(sources);
    const unfit = validationProblems(policies);
    const fatal = [...problems, ...unfit.filter((problem) => !isErringRead(problem))];
    return fatal.length > 0 ? refused(fatal) : engineOf(policies, unfit);
  },
});

/**
 * Reading what a thing has not is an error whenever it comes to it, and so a denial. Whatever else
 * does not validate may instead be silently false: a `forbid` on a type of things that is not known
 * would no longer forbid.
 */
const isErringRead = ({ message }: PolicyProblem): boolean =>
  /^Attribute `[^`]+` (on entity type `\w+`|in context) not found/u.test(message);

function engineOf(
  policies: readonly ParsedPolicy[],
  unfit: readonly PolicyProblem[],
): CompiledPolicies {
  try {
    return {
      ok: true,
      engine: createCedarPolicyEngine(policies),
      warnings: [...unfit, ...policies.flatMap(warningsOf)].slice(0, LIMITS.problems),
    };
  } catch (error) {
    const message = `Cedar refused the policies: ${error instanceof Error ? error.message : ""}`;
    return refused([{ source: "", policyId: null, message, line: null }]);
  }
}

const warningsOf = ({ source, id, line, clauses }: ParsedPolicy): readonly PolicyProblem[] =>
  segmentWarnings(clauses).map((message) => ({ source, policyId: id, message, line }));

export type AdmittedPolicies =
  | { readonly ok: true; readonly policies: readonly ParsedPolicy[] }
  | Extract<CompiledPolicies, { readonly ok: false }>;

/** Parses, validates and checks the rules of shape. */
export function admitPolicies(sources: readonly PolicySource[]): AdmittedPolicies {
  const { policies, problems } = readPolicies(sources);
  const all = [...problems, ...validationProblems(policies)];
  return all.length > 0 ? refused(all) : { ok: true, policies };
}

interface ReadPolicies {
  /** Those that could be read; none where the set is too large. */
  readonly policies: readonly ParsedPolicy[];
  readonly problems: readonly PolicyProblem[];
}

/** Parses and checks the rules of shape, without the schema. */
function readPolicies(sources: readonly PolicySource[]): ReadPolicies {
  const oversized = sizeProblems(sources);
  if (oversized.length > 0) return { policies: [], problems: oversized };
  const split = sources.map(splitSource);
  const problems = split.flatMap((source) => source.problems);
  const texts = split.flatMap((source) => source.policies);
  if (texts.length > LIMITS.policies) {
    const message = `There are ${texts.length} policies; at most ${LIMITS.policies} are read.`;
    return { policies: [], problems: [{ source: "", policyId: null, message, line: null }] };
  }
  const policies: ParsedPolicy[] = [];
  for (const text of texts) {
    const parsed = parsePolicy(text);
    problems.push(...parsed.problems);
    if (parsed.policy !== null) policies.push(parsed.policy);
  }
  return { policies, problems: [...problems, ...repeatedIds(policies)] };
}

function refused(
  problems: readonly PolicyProblem[],
): Extract<CompiledPolicies, { readonly ok: false }> {
  const place = ({ source, line }: PolicyProblem): readonly [string, number] => [source, line ?? 0];
  const sorted = problems.toSorted((a, b) => {
    const [sourceA, lineA] = place(a);
    const [sourceB, lineB] = place(b);
    return sourceA === sourceB ? lineA - lineB : sourceA < sourceB ? -1 : 1;
  });
  const more = sorted.length - LIMITS.problems;
  if (more <= 0) return { ok: false, problems: sorted };
  const message = `There are ${more} more problems.`;
  const last = { source: "", policyId: null, message, line: null };
  return { ok: false, problems: [...sorted.slice(0, LIMITS.problems), last] };
}

function sizeProblems(sources: readonly PolicySource[]): readonly PolicyProblem[] {
  const problems: PolicyProblem[] = [];
  const report = (source: string, message: string): void => {
    problems.push({ source, policyId: null, message, line: null });
  };
  if (sources.length > LIMITS.sources) {
    report("", `There are ${sources.length} sources; at most ${LIMITS.sources} are read.`);
  }
  const seen = new Set<string>();
  let total = 0;
  for (const { name, text } of sources) {
    if (!/^[^\p{Cc}]+$/u.test(name) || name.length > LIMITS.nameLength || !name.isWellFormed()) {
      const shown = JSON.stringify(name.slice(0, LIMITS.nameLength));
      report("", `${shown} is no source name: 1 to ${LIMITS.nameLength} printable characters.`);
    }
    if (seen.has(name)) report(name, "Two sources have this name: rename one.");
    seen.add(name);
    const bytes = Buffer.byteLength(text);
    total += bytes;
    if (bytes > LIMITS.sourceBytes) {
      report(name, `The source has ${bytes} bytes; at most ${LIMITS.sourceBytes} are read.`);
    }
    if (!text.isWellFormed()) report(name, "The source is not well-formed Unicode.");
  }
  if (total > LIMITS.totalBytes) {
    report("", `The sources have ${total} bytes; at most ${LIMITS.totalBytes} are read.`);
  }
  return problems;
}

interface ParseResult {
  readonly policy: ParsedPolicy | null;
  readonly problems: readonly PolicyProblem[];
}

function parsePolicy(place: PolicyText): ParseResult {
  const { text, source, line } = place;
  const fail = (message: string, at: number | null = null, id: PolicyId | null = null) => ({
    policy: null,
    problems: [{ source, policyId: id, message, line: at ?? line }],
  });
  const answer = readPolicy(text);
  if (answer.type === "failure") {
    const [error] = answer.errors;
    const message = error?.message ?? "Cedar cannot read the policy";
    if (message.includes("got a template")) {
      return fail("Templates (?principal, ?resource) are not offered: name the entity.");
    }
    return fail(wordsOf(error, "failed to parse policy from string: "), lineOf(place, error));
  }
  const { json } = answer;
  const named = idOf(json);
  if ("problem" in named) return fail(named.problem);
  const { id } = named;
  try {
    const clauses = json.conditions.map(({ kind, body }) => ({
      kind,
      body: parseExpression(body),
    }));
    const side = policySide(json, clauses);
    if (typeof side === "object") return fail(side.problem, null, id);
    const messages = [
      ...annotationProblems(json),
      ...(side === "impersonation" ? pairProblems(json) : []),
      ...presenceProblems(json.effect, clauses),
      ...vocabularyProblems([json.principal, json.resource], clauses),
    ];
    const problems = messages.map((message) => ({ source, policyId: id, message, line }));
    const description = json.annotations?.["description"] ?? null;
    const accepts = json.annotations?.["accepts"] ?? null;
    return { policy: { ...place, id, description, accepts, json, clauses, side }, problems };
  } catch (error) {
    if (error instanceof ShapeProblem) return fail(error.message, null, id);
    throw error;
  }
}

function readPolicy(text: string): PolicyToJsonAnswer {
  try {
    return policyToJson(text);
  } catch {
    const message = "Cedar cannot read the policy";
    const error = { message, help: null, code: null, url: null, severity: null };
    return { type: "failure", errors: [error] };
  }
}

function idOf(json: PolicyJson): { readonly id: PolicyId } | { readonly problem: string } {
  const id: unknown = json.annotations?.["id"];
  if (typeof id !== "string") {
    return { problem: 'The policy has no name: write @id("a-name-for-it") before it.' };
  }
  try {
    return { id: parsePolicyId(id, "@id") };
  } catch {
    const shown = JSON.stringify(id.slice(0, 128));
    return {
      problem: `@id(${shown}) is no policy id: 1 to 128 of A-Z, a-z, 0-9, dots, dashes, underscores.`,
    };
  }
}

function annotationProblems(json: PolicyJson): readonly string[] {
  const problems: string[] = [];
  for (const [name, value] of Object.entries(json.annotations ?? {})) {
    if (name !== "id" && name !== "description" && name !== "accepts") {
      problems.push(`@${name} is not known: the annotations are @id, @description and @accepts.`);
    }
    const shown: unknown = value;
    if (name === "accepts") problems.push(...acceptsProblems(json.effect, shown));
    if (name !== "description") continue;
    if (typeof shown !== "string" || !/^[^\p{Cc}]+$/u.test(shown)) {
      problems.push('@description is one line of text: write @description("Why it is so.").');
    } else if (shown.length > LIMITS.descriptionLength) {
      problems.push(`@description is longer than ${LIMITS.descriptionLength} characters.`);
    }
  }
  return problems;
}

const RISK = /^[a-z][a-z_]{0,99}$/;

/** Only a permit accepts a risk. */
function acceptsProblems(effect: PolicyJson["effect"], risk: unknown): readonly string[] {
  if (effect !== "permit") return ["@accepts stands before a permit: a forbid accepts nothing."];
  if (typeof risk === "string" && RISK.test(risk)) return [];
  return [
    "@accepts names a risk as the backend type's page does, such as secret_outlives_the_lease.",
  ];
}

function repeatedIds(policies: readonly ParsedPolicy[]): readonly PolicyProblem[] {
  const first = new Map<PolicyId, ParsedPolicy>();
  const problems: PolicyProblem[] = [];
  for (const policy of policies) {
    const earlier = first.get(policy.id);
    if (earlier === undefined) first.set(policy.id, policy);
    else {
      const message = `This @id is already that of the policy at ${earlier.source}:${earlier.line}.`;
      problems.push({ source: policy.source, policyId: policy.id, message, line: policy.line });
    }
  }
  return problems;
}

/**
 * Cedar's warnings count too: each says that a policy can never apply, or looks like another. Of
 * two with the same id the last is looked at; that they have it is a problem already.
 */
function validationProblems(policies: readonly ParsedPolicy[]): readonly PolicyProblem[] {
  return [
    ...problemsUnder(POLICY_SCHEMA, policiesOn("credentials", policies)),
    ...problemsUnder(ADMINISTRATION_SCHEMA, policiesOn("administration", policies)),
    // What is about all asks of the principal alone, which is the same in the other schemas.
    ...problemsUnder(
      IMPERSONATION_SCHEMA,
      policies.filter(({ side }) => side === "impersonation"),
    ),
  ];
}

function problemsUnder(
  schema: string,
  policies: readonly ParsedPolicy[],
): readonly PolicyProblem[] {
  if (policies.length === 0) return [];
  const byId = new Map<string, ParsedPolicy>(policies.map((policy) => [policy.id, policy]));
  const texts = [...byId].map(([id, policy]) => [id, policy.text] as const);
  try {
    const answer = validate({
      schema,
      validationSettings: { mode: "strict" },
      policies: { staticPolicies: Object.fromEntries(texts) },
    });
    if (answer.type === "failure") return answer.errors.map(unplaced);
    const seen = new Set<string>();
    return [...answer.validationErrors, ...answer.validationWarnings].flatMap((found) => {
      const policy = byId.get(found.policyId);
      if (policy === undefined) return [unplaced(found.error)];
      const { source, id } = policy;
      const line = lineOf(policy, found.error) ?? policy.line;
      const message = wordsOf(found.error, `for policy \`${id}\`, `);
      const key = JSON.stringify([id, line, message]);
      if (seen.has(key)) return [];
      seen.add(key);
      return [{ source, policyId: id, message, line }];
    });
  } catch {
    const message = "Cedar could not validate the policies.";
    return [{ source: "", policyId: null, message, line: null }];
  }
}

const unplaced = (error: DetailedError): PolicyProblem => {
  return { source: "", policyId: null, message: wordsOf(error, ""), line: null };
};

/** Cedar's offsets count bytes of UTF-8 in the text of the one policy. */
function lineOf(place: PolicyText, error: DetailedError | undefined): number | null {
  const start = error?.sourceLocations?.[0]?.start;
  if (start === undefined) return null;
  return place.line + newlines(Buffer.from(place.text).subarray(0, start).toString());
}

function wordsOf(error: DetailedError | undefined, prefix: string): string {
  // One fact misspelt is one problem, not one for each action.
  const message = (error?.message ?? "Cedar cannot read it")
    .replace(prefix, "")
    .replace(/ in context for Action::"\w+"/u, " in context");
  const label = error?.sourceLocations?.[0]?.label ?? null;
  const said = `${message.charAt(0).toUpperCase()}${message.slice(1)}`;
  return [said, label, error?.help ?? null].filter((part) => part !== null).join("; ") + ".";
}
