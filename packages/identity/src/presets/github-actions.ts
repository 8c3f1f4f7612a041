import type { Preset } from "./preset.ts";

/**
 * Workflow runs. `sub` has two forms, `repo:acme/pay:…` and, for repositories made or renamed since
 * July 2026, `repo:acme@65/pay@74:…`, and can be customised: match on the ids.
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
    actor_id: { claim: "actor_id", stability: "immutable", optional: true },
    enterprise_id: { claim: "enterprise_id", stability: "immutable", optional: true },
    environment: { claim: "environment", stability: "mutable", optional: true },
    ref_protected: { claim: "ref_protected", stability: "mutable", optional: true },
    ref_type: { claim: "ref_type", stability: "mutable", optional: true },
    repository_visibility: {
      claim: "repository_visibility",
      stability: "mutable",
      optional: true,
    },
    workflow_ref: { claim: "workflow_ref", stability: "mutable", optional: true },
  },
  requiredClaims: {},
  requiredText: null,
  absentClaims: [],
  callerChosenClaims: [],
  trustDomain: false,
  traps: [
    "Any repository at GitHub gets tokens of this issuer: a policy must ask for repository_id or " +
      "repository_owner_id.",
    "A workflow names the broker's issuer when it asks for the token; without it the audience is " +
      "the owner's URL and the token is refused.",
    "The subject has two forms and can be customised: match on the ids, not on it.",
  ],
};
