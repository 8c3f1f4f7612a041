import type { Preset } from "./preset.ts";

/**
 * CI jobs. Ids and booleans are text (`"true"`). For a merge request from a fork, `project_*` is
 * the project that runs the pipeline: `ref_protected` tells whether to believe its configuration.
 */
export const gitlab: Preset = {
  title: "GitLab CI/CD",
  source: "https://docs.gitlab.com/ci/secrets/id_token_authentication/",
  issuer: "https://gitlab.com",
  issuerPattern: /^https?:\/\/\S+$/,
  issuerHint: "the URL of your GitLab",
  algorithms: ["RS256"],
  oneTimeTokens: true,
  tokenAgeSecondsMax: 3600,
  attributes: {
    project_id: { claim: "project_id", stability: "immutable" },
    namespace_id: { claim: "namespace_id", stability: "immutable" },
    project_path: { claim: "project_path", stability: "mutable" },
    namespace_path: { claim: "namespace_path", stability: "mutable" },
    ref: { claim: "ref", stability: "mutable" },
    ref_type: { claim: "ref_type", stability: "mutable" },
    ref_protected: { claim: "ref_protected", stability: "mutable" },
    pipeline_source: { claim: "pipeline_source", stability: "mutable" },
  },
  requiredClaims: {},
  callerChosenClaims: [],
};
