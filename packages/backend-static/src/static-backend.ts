import { createHmac, timingSafeEqual } from "node:crypto";
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

/**
 * Tells whether the secret is still the same, and not what it is. All that comparing takes is in
 * the handle, which is sealed: where its sealing key is missing nothing is compared, and nothing
 * ends. The first form had a tag of the installation's, which with other keys is no other secret's.
 */
const handle = z.discriminatedUnion("v", [
  z.strictObject({ v: z.literal(1), tag: z.string() }),
  z.strictObject({ v: z.literal(2), salt: z.hex().length(32), digest: z.hex().length(64) }),
]);
const digestOf = (salt: string, secret: string): Buffer =>
  createHmac("sha256", Buffer.from(salt, "hex")).update(secret).digest();

const failures = upstreamFailures(
  "Static",
  (thrown) => (thrown instanceof Error ? thrown : new Error("unknown failure")),
  () => ({ reason: "unexpected", effect: "none", retrySeconds: 5, upstreamFails: false }),
);

async function issue({ settings, host }: Place, plan: IssuePlan): Promise<Issued> {
  leases.grantOf(plan);
  const { secret, secret_name: name } = settings;
  const salt = Buffer.from(host.random.bytes(16)).toString("hex");
  const digest = digestOf(salt, secret).toString("hex");
  return {
    material: { ...settings.public, [name]: Secret.of(secret) },
    fingerprintOf: name,
    expiresAt: plan.expiresAt,
    handle: Secret.of(JSON.stringify({ v: 2, salt, digest })),
  };
}

/** Compares what was handed out with what the configuration has today. */
async function replaced({ settings }: Place, text: Secret): Promise<Probe> {
  const kept = handle.parse(JSON.parse(text.expose("upstream")));
  if (kept.v === 1) return { verdict: "accepted", looked: { secret: "cannot be compared" } };
  const today = digestOf(kept.salt, settings.secret);
  return timingSafeEqual(today, Buffer.from(kept.digest, "hex"))
    ? { verdict: "accepted", looked: { secret: "the same" } }
    : { verdict: "refused", looked: { secret: "replaced" } };
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
