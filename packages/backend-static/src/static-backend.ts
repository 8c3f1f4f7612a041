import { defineBackend, upstreamFailures } from "@mayfly/backend-kit";
import {
  Secret,
  durationSeconds,
  type BackendHost,
  type IssuePlan,
  type Issued,
  type Probe,
  type SelfCheck,
} from "@mayfly/spec";
import { z } from "zod";
import { leases } from "./role-settings.ts";
import { secretSettings, type SecretSettings } from "./secret-settings.ts";

/** An opened backend: nobody is asked. */
interface Place {
  readonly settings: SecretSettings;
  readonly host: BackendHost;
}

/** A keyed tag tells whether the secret is still the same, and not what it is. */
const handle = z.strictObject({ v: z.literal(1), tag: z.string() });
const tagged = (secret: string): string => JSON.stringify(["static", 1, secret]);

const failures = upstreamFailures(
  "Static",
  (thrown) => (thrown instanceof Error ? thrown : new Error("unknown failure")),
  () => ({ reason: "unexpected", effect: "none", retrySeconds: 5, upstreamFails: false }),
);

async function issue({ settings, host }: Place, plan: IssuePlan): Promise<Issued> {
  leases.grantOf(plan);
  const { secret, secret_name: name } = settings;
  return {
    material: { ...settings.public, [name]: Secret.of(secret) },
    fingerprintOf: name,
    expiresAt: plan.expiresAt,
    handle: Secret.of(JSON.stringify({ v: 1, tag: host.tag(tagged(secret)) })),
  };
}

/** Compares what was handed out with what the configuration has today. */
async function replaced({ settings, host }: Place, text: Secret): Promise<Probe> {
  const { tag } = handle.parse(JSON.parse(text.expose("upstream")));
  if (!host.verifyTag(tagged(settings.secret), tag)) {
    return { verdict: "refused", looked: { secret: "replaced" } };
  }
  return { verdict: "accepted", looked: { secret: "the same" } };
}

const selfCheck = async ({ settings }: Place): Promise<SelfCheck> => ({
  upstreamIdentity: "static",
  clockSkewMs: null,
  facts: { handed_out: [settings.secret_name, ...Object.keys(settings.public)].toSorted() },
  problems: [],
});

/**
 * A secret that exists already, handed out as it is. Nothing about it is ephemeral but the lease,
 * and that says so: it does not end before the secret was replaced. `docs/backends/static.md` says
 * when this is better than not having it here.
 */
export const staticBackend = defineBackend({
  type: "static",
  capabilities: {
    expiryEnforcedBy: "broker",
    revocation: "none",
    canRenew: false,
    canList: false,
    ttlSecondsMin: durationSeconds(1),
    ttlSecondsMax: durationSeconds(86_400),
    issueCallSecondsMax: durationSeconds(1),
    // Nothing is made, and what is handed out late is withheld with its lease.
    lateMint: "refused",
    credentialKind: "static-secret",
    standingSecret: true,
  },
  config: secretSettings,
  leases,
  failures,
  open: (settings, host): Place => ({ settings, host }),
  close: async () => undefined,
  operations: {
    issue,
    // Nobody has it: a secret leaves the broker only after its lease is active.
    recover: async () => ({ outcome: "absent", looked: { handed_out: 0 } }),
    replaced,
    selfCheck,
  },
});
