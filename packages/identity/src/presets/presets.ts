import { aws } from "./aws.ts";
import { entra } from "./entra.ts";
import { gcp, gcpServiceAccount } from "./gcp.ts";
import { githubActions } from "./github-actions.ts";
import { gitlab } from "./gitlab.ts";
import { keycloak } from "./keycloak.ts";
import { kubernetes } from "./kubernetes.ts";
import type { Preset } from "./preset.ts";
import { spireOidc } from "./spire-oidc.ts";

export type { Preset } from "./preset.ts";

export const presetNames = [
  "aws",
  "entra",
  "gcp",
  "gcp_service_account",
  "github_actions",
  "gitlab",
  "keycloak",
  "kubernetes",
  "spire_oidc",
] as const;
export type PresetName = (typeof presetNames)[number];

export const presets: Readonly<Record<PresetName, Preset>> = {
  aws,
  entra,
  gcp,
  gcp_service_account: gcpServiceAccount,
  github_actions: githubActions,
  gitlab,
  keycloak,
  kubernetes,
  spire_oidc: spireOidc,
};
