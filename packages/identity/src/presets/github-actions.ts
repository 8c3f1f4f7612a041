import type { Preset } from "./preset.ts";

/**
 * Workflow runs. `sub` has two forms, with and without ids, and can be customised: match on the
 * ids. `environment` is there for jobs that have one: add it where all of yours do.
 */
export const githubActions: Preset = {
  title: "GitHub Actions",
  source: "https://docs.github.com/en/actions/reference/security/oidc",
  issuer: "https://token.actions.githubusercontent.com",
  issuerPattern: /^https:\/\/\S+$/,
  issuerHint: "https://token.actions.githubusercontent.com, or that of your enterprise",
  algorithms: ["RS256"],
  oneTimeTokens: true,
  tokenAgeSecondsMax: 600,
  attributes: {
    repository_id: { claim: "repository_id", stability: "immutable" },
    repository_owner_id: { claim: "repository_owner_id", stability: "immutable" },
    repository: { claim: "repository", stability: "mutable" },
    repository_owner: { claim: "repository_owner", stability: "mutable" },
    job_workflow_ref: { claim: "job_workflow_ref", stability: "mutable" },
    ref: { claim: "ref", stability: "mutable" },
    event_name: { claim: "event_name", stability: "mutable" },
    runner_environment: { claim: "runner_environment", stability: "mutable" },
  },
  requiredClaims: {},
  callerChosenClaims: [],
};
