import {
  policyProblemJson,
  tagOfAttribute,
  type DescribedBackend,
  type PoliciesActivated,
  type RoleTest,
  type TrustRootPreview,
} from "@mayfly/core";
import type {
  BackendCheck,
  PolicyActivation,
  PolicyBundle,
  RegisteredRole,
  RegisteredTrustRoot,
  SelfCheck,
  TrustRootLook,
} from "@mayfly/spec";
import type {
  activationAnswer,
  backendAnswer,
  checkAnswer,
  lastCheckAnswer,
  policiesAnswer,
  policiesPutAnswer,
  roleAnswer,
  sampleAnswer,
  trustAnswer,
  trustPreviewAnswer,
  trustTestAnswer,
} from "../schemas/answers-administration.ts";
import type { View } from "../schemas/view.ts";
import { instantText } from "./json-views.ts";

export const checkView = (check: SelfCheck): View<typeof checkAnswer> => ({
  upstream_identity: check.upstreamIdentity,
  clock_skew_ms: check.clockSkewMs,
  facts: check.facts,
  problems: check.problems.map(({ code, what, fix }) => ({ code, what, fix })),
});

const lastCheckView = ({
  checkedAt,
  revision,
  outcome,
}: BackendCheck): View<typeof lastCheckAnswer> => ({
  checked_at: instantText(checkedAt),
  revision,
  result:
    outcome.kind === "failed"
      ? "failed"
      : outcome.check.problems.length === 0
        ? "sound"
        : "problems",
  check: outcome.kind === "failed" ? null : checkView(outcome.check),
  error: outcome.kind === "failed" ? outcome.error : null,
});

export const backendView = (
  backend: DescribedBackend,
  last: BackendCheck | undefined,
): View<typeof backendAnswer> => ({
  id: backend.id,
  type: backend.type,
  revision: backend.revision,
  enabled: backend.enabled,
  config: backend.config,
  upstream_identity: backend.upstreamIdentity,
  updated_at: instantText(backend.updatedAt),
  last_check: last === undefined ? null : lastCheckView(last),
});

export const roleView = (role: RegisteredRole): View<typeof roleAnswer> => ({
  ...role.settings,
  role: role.name,
  backend: role.backendId,
  revision: role.revision,
  enabled: role.enabled,
  description: role.description,
  ttl_max_seconds: role.ttlSecondsMax,
  data_class: role.dataClass,
  reversibility: role.reversibility,
  environment: role.environment,
  updated_at: instantText(role.updatedAt),
});

export const sampleView = (sample: RoleTest["sample"]): View<typeof sampleAnswer> =>
  sample.kind === "planned"
    ? { kind: sample.kind, grant: sample.grant, ttl_seconds: sample.ttlSeconds }
    : { kind: sample.kind, why: sample.why };

export const trustRootView = (root: RegisteredTrustRoot): View<typeof trustAnswer> => ({
  name: root.name,
  kind: root.kind,
  revision: root.revision,
  enabled: root.enabled,
  config: root.config,
  updated_at: instantText(root.updatedAt),
});

export const trustTestView = (look: TrustRootLook): View<typeof trustTestAnswer> => ({
  source: look.source,
  fetched: look.fetched,
  keys: look.keys.map(({ kid, algorithms }) => ({ kid, algorithms: [...algorithms] })),
  max_age_seconds: look.maxAgeSeconds,
  problem: look.problem,
});

export const trustPreviewView = ({
  trustRoot,
  facts,
  look,
  policy,
}: TrustRootPreview): View<typeof trustPreviewAnswer> => ({
  name: trustRoot.name,
  kind: trustRoot.kind,
  config: trustRoot.config,
  issuer: facts.issuer,
  audience: facts.audience,
  attributes: facts.attributes.map((attribute) => ({
    tag: tagOfAttribute(attribute),
    claim: attribute.claim,
    stability: attribute.stability,
    optional: attribute.optional,
  })),
  requirements: [...facts.requirements],
  once: facts.once,
  traps: [...facts.traps],
  policy,
  look: trustTestView(look),
});

export const policiesView = (bundle: PolicyBundle | null): View<typeof policiesAnswer> => ({
  digest: bundle?.digest ?? null,
  sources: (bundle?.sources ?? []).map(({ name, text }) => ({ name, text })),
  activated_at: bundle === null ? null : instantText(bundle.activatedAt),
});

export const policiesPutView = ({
  put,
  digest,
  warnings,
}: PoliciesActivated): View<typeof policiesPutAnswer> => ({
  result: put,
  digest,
  warnings: warnings.map(policyProblemJson),
});

export const activationView = (one: PolicyActivation): View<typeof activationAnswer> => ({
  digest: one.digest,
  before: one.before,
  activated_at: instantText(one.at),
  actor: { kind: one.actor.kind, name: one.actor.name },
  decision: one.decisionId,
});
