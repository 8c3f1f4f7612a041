import { preparsePolicySet, preparseSchema } from "@cedar-policy/cedar-wasm/nodejs";
import { ADMINISTRATION_SCHEMA, IMPERSONATION_SCHEMA, POLICY_SCHEMA } from "./schema.ts";

/**
 * Policy sets that Cedar keeps parsed.
 *
 * Cedar's WebAssembly is one per process and keeps each set under a name for ever: nothing frees
 * one, so a name per version would leak. Here names are handed out from a fixed stock to whichever
 * set is asked for, least recently used first out, and an evicted set is parsed again when it is
 * next needed. Any number of engines may be alive; a bounded number of policies is held.
 */
export interface PreparedPolicies {
  /** Id to text. The object itself is the key: keep it as long as it is in use. */
  readonly policies: Readonly<Record<string, string>>;
  readonly count: number;
}

export const PREPARED_SETS_MAX = 1_024;
export const PREPARED_POLICIES_MAX = 20_000;
/** Cedar's names of the prepared schemas. */
export const PREPARED_SCHEMA = "mayfly";
export const PREPARED_ADMINISTRATION = "mayfly-administration";
export const PREPARED_IMPERSONATION = "mayfly-impersonation";

const names = new Map<PreparedPolicies, string>();
const spare: string[] = [];
const state = { named: 0, held: 0, schemaReady: false };

/** The name under which Cedar has the set now. Throws if Cedar cannot read it. */
export function preparedName(prepared: PreparedPolicies): string {
  ensureSchema();
  const known = names.get(prepared);
  if (known !== undefined) {
    names.delete(prepared);
    names.set(prepared, known);
    return known;
  }
  makeRoom(prepared.count);
  const name = spare.pop() ?? `set-${(state.named += 1)}`;
  const answer = preparsePolicySet(name, { staticPolicies: { ...prepared.policies } });
  if (answer.type === "failure") {
    spare.push(name);
    throw new Error(`Cedar cannot read the policies: ${answer.errors[0]?.message ?? "unknown"}`);
  }
  names.set(prepared, name);
  state.held += prepared.count;
  return name;
}

/** For tests and diagnostics: what Cedar holds parsed now. */
export const heldPolicies = (): { readonly sets: number; readonly policies: number } => ({
  sets: names.size,
  policies: state.held,
});

function makeRoom(count: number): void {
  while (
    names.size > 0 &&
    (names.size >= PREPARED_SETS_MAX || state.held + count > PREPARED_POLICIES_MAX)
  ) {
    const [oldest] = names;
    if (oldest === undefined) return;
    const [prepared, name] = oldest;
    preparsePolicySet(name, { staticPolicies: {} });
    names.delete(prepared);
    spare.push(name);
    state.held -= prepared.count;
  }
}

function ensureSchema(): void {
  if (state.schemaReady) return;
  for (const [name, schema] of [
    [PREPARED_SCHEMA, POLICY_SCHEMA],
    [PREPARED_ADMINISTRATION, ADMINISTRATION_SCHEMA],
    [PREPARED_IMPERSONATION, IMPERSONATION_SCHEMA],
  ] as const) {
    const answer = preparseSchema(name, schema);
    if (answer.type === "success") continue;
    throw new Error(`the schema ${name} is ill-formed: ${answer.errors[0]?.message ?? "unknown"}`);
  }
  state.schemaReady = true;
}
