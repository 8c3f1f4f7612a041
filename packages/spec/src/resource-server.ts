import type { Workload } from "./identity.ts";
import { backendOfRole, type BackendId, type ResourceServerName } from "./ids.ts";
import { matchesSpiffeId, parseSpiffeIdPattern } from "./spiffe-id-pattern.ts";
import { parseSpiffeId } from "./spiffe-id.ts";
import type { Task } from "./task.ts";

/** A workload, or all whose SPIFFE IDs a pattern names ({@link parseSpiffeIdPattern}). */
export type ResourceServerIdentity =
  | { readonly spiffeId: string }
  | { readonly issuer: string; readonly subject: string };

/**
 * A server of an API that is presented with tokens and asks whether they count (RFC 7662). By this
 * it may do that and nothing else; how it proves who it is, the trust root does.
 */
export interface ResourceServer {
  readonly name: ResourceServerName;
  /** It is told nothing while disabled. */
  readonly enabled: boolean;
  readonly description: string;
  /** Who it is: any of these. */
  readonly identities: readonly ResourceServerIdentity[];
  /** What `aud` says of tokens that are for it. */
  readonly audiences: readonly string[];
  /**
   * Backends of which it may introspect the task tokens: of tasks that declared a role of one of
   * them. Absent where an earlier version registered it: then of all, as it was.
   */
  readonly taskTokens?: "all" | readonly BackendId[];
}

/** Whether a verified workload is this server. */
export const isResourceServer = (
  { enabled, identities }: Pick<ResourceServer, "enabled" | "identities">,
  workload: Pick<Workload, "kind" | "issuer" | "subject">,
): boolean => enabled && identities.some((identity) => isIdentity(identity, workload));

/** RFC 7662 section 4: whether it has to do with the task, so that it may learn of its token. */
export const isTaskTokenOf = (
  { taskTokens = "all" }: Pick<ResourceServer, "taskTokens">,
  { descriptor }: Pick<Task, "descriptor">,
): boolean =>
  taskTokens === "all" ||
  descriptor.credentials.some(({ role }) => taskTokens.includes(backendOfRole(role)));

function isIdentity(
  identity: ResourceServerIdentity,
  { kind, issuer, subject }: Pick<Workload, "kind" | "issuer" | "subject">,
): boolean {
  if ("spiffeId" in identity) {
    const pattern = parseSpiffeIdPattern(identity.spiffeId);
    const id = kind === "spiffe" ? parseSpiffeId(subject) : null;
    return pattern !== null && id !== null && matchesSpiffeId(pattern, id);
  }
  return kind === "oidc" && identity.issuer === issuer && identity.subject === subject;
}
