import type { Preset } from "./preset.ts";

/**
 * CI jobs. Ids and booleans are text (`"true"`). For a merge request from a fork, `project_*` is
 * the fork since 2025 and was the project that runs the pipeline before; `job_project_*`, where it
 * is there, is always the latter.
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
    user_id: { claim: "user_id", stability: "immutable", optional: true },
    job_project_id: { claim: "job_project_id", stability: "immutable", optional: true },
    ci_config_ref_uri: { claim: "ci_config_ref_uri", stability: "mutable", optional: true },
    environment: { claim: "environment", stability: "mutable", optional: true },
    environment_protected: {
      claim: "environment_protected",
      stability: "mutable",
      optional: true,
    },
    runner_environment: { claim: "runner_environment", stability: "mutable", optional: true },
  },
  requiredClaims: {},
  requiredText: null,
  absentClaims: [],
  callerChosenClaims: [],
  trustDomain: false,
  traps: [
    "Any project of this GitLab gets its tokens: a policy must ask for project_id or namespace_id.",
    'Ids and booleans are text: ask for ref_protected == "true".',
    "Whose project_id a merge request from a fork bears depends on GitLab's version: ask for " +
      "ref_protected as well, or for job_project_id.",
  ],
};
