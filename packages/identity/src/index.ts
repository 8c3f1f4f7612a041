/** Who calls: verifiers of workload identity, one per trust root, and the broker's task tokens. */
export { presetNames, presets, type Preset, type PresetName } from "./presets/presets.ts";
export {
  createTokenReviews,
  parseKubernetesClusters,
  type KubernetesCluster,
  type ReviewedCluster,
} from "./kubernetes-token-reviews.ts";
export { Refusal, REFUSAL_REASONS, type RefusalReason } from "./refusal.ts";
export {
  createTrustRoots,
  defaultTrustRootsSettings,
  type TrustRootsOptions,
  type TrustRootsSettings,
} from "./trust-roots.ts";
export { createDpopProofs, type DpopProofsOptions, type DpopSettings } from "./dpop-proofs.ts";
export { TRUST_CONFIG_SCHEMAS } from "./trust-config-schemas.ts";
export {
  createBackendKeyAdministration,
  createBackendKeys,
  type BackendKeysOptions,
} from "./backend-keys.ts";
export { createSigningKeyAdministration } from "./signing-key-administration.ts";
export { createTaskTokens, type TaskTokensOptions } from "./task-tokens.ts";
export { defaultTaskTokensSettings, type TaskTokensSettings } from "./task-tokens-settings.ts";
