import type { CheckProblem, CredentialBackend, JsonObject } from "@mayfly/spec";

/** A rotation that broke off leaves two secrets alive, and nobody goes on with it by himself. */
export function rotationProblems(
  { rotation }: Pick<CredentialBackend, "rotation">,
  config: JsonObject,
): readonly CheckProblem[] {
  if (rotation?.isUnderWay(config) !== true) return [];
  return [
    {
      code: "rotation_under_way",
      what: "The broker's secret is being replaced, or that broke off: both secrets may be accepted.",
      fix: "If nobody is at it, run `mayfly backend rotate`, which goes on where it was.",
    },
  ];
}
