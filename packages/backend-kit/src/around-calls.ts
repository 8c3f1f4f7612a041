import type { BackendOperations, CallContext, OpenBackend } from "@mayfly/spec";

export type BackendOperation =
  | "issue"
  | "recover"
  | "revoke"
  | "probe"
  | "extend"
  | "list"
  | "upkeep"
  | "adoptSecret"
  | "obtainSecret"
  | "selfCheck";

/** Makes the call, or does not; the context may be replaced by one of the same kind. */
export type AroundCall = <C extends CallContext, T>(
  operation: BackendOperation,
  context: C,
  call: (context: C) => Promise<T>,
) => Promise<T>;

function upkeepOf(open: OpenBackend, around: AroundCall): Pick<BackendOperations, "upkeep"> {
  if (open.upkeep === undefined) return {};
  const { upkeep } = open;
  return { upkeep: (context) => around("upkeep", context, (given) => upkeep(given)) };
}

function rotationOf(
  { adoptSecret, obtainSecret }: OpenBackend,
  around: AroundCall,
): Pick<BackendOperations, "adoptSecret" | "obtainSecret"> {
  return {
    ...(adoptSecret === undefined
      ? {}
      : {
          adoptSecret: (context) => around("adoptSecret", context, (given) => adoptSecret(given)),
        }),
    ...(obtainSecret === undefined
      ? {}
      : {
          obtainSecret: (context) =>
            around("obtainSecret", context, (given) => obtainSecret(given)),
        }),
  };
}

/** The same opened backend with something around each of its calls. */
export function aroundCalls(open: OpenBackend, around: AroundCall): OpenBackend {
  const { renewal, listing } = open;
  const operations: BackendOperations = {
    issue: (plan, context) => around("issue", context, (given) => open.issue(plan, given)),
    recover: (plan, checkpoint, context) =>
      around("recover", context, (given) => open.recover(plan, checkpoint, given)),
    selfCheck: (roles, context) =>
      around("selfCheck", context, (given) => open.selfCheck(roles, given)),
    renewal:
      renewal.kind === "none"
        ? renewal
        : {
            kind: "extend",
            extend: (plan, handle, expiresAt, context) =>
              around("extend", context, (given) => renewal.extend(plan, handle, expiresAt, given)),
          },
    listing:
      listing.kind === "none"
        ? listing
        : {
            kind: "marked",
            list: (after, context) =>
              around("list", context, (given) => listing.list(after, given)),
          },
    ...upkeepOf(open, around),
    ...rotationOf(open, around),
    // Asks no upstream: it reads and keeps our own keys.
    ...(open.verification === undefined ? {} : { verification: open.verification }),
    ...(open.authority === undefined ? {} : { authority: open.authority }),
    close: () => open.close(),
  };
  if (open.revocation === "none") {
    const { replaced } = open;
    if (replaced === undefined) return { ...operations, revocation: "none" };
    return {
      ...operations,
      revocation: "none",
      replaced: (handle, context) => around("probe", context, (given) => replaced(handle, given)),
    };
  }
  return {
    ...operations,
    revocation: open.revocation,
    revoke: (handle, context) => around("revoke", context, (given) => open.revoke(handle, given)),
    probe: (handle, context) => around("probe", context, (given) => open.probe(handle, given)),
  };
}
