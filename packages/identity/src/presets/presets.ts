import { aws } from "./aws.ts";
import { entra } from "./entra.ts";
import { gcp } from "./gcp.ts";
import { githubActions } from "./github-actions.ts";
import { gitlab } from "./gitlab.ts";
import { kubernetes } from "./kubernetes.ts";
import type { Preset } from "./preset.ts";

export type { Preset } from "./preset.ts";

export const presetNames = [
  "aws",
  "entra",
  "gcp",
  "github_actions",
  "gitlab",
  "kubernetes",
] as const;
export type PresetName = (typeof presetNames)[number];

export const presets: Readonly<Record<PresetName, Preset>> = {
  aws,
  entra,
  gcp,
  github_actions: githubActions,
  gitlab,
  kubernetes,
};
