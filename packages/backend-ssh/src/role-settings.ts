import { z } from "zod";
import { leaseName, parseStrict, plainObject, toJsonSchema } from "@mayfly/backend-kit";
import {
  InvalidInput,
  type IssuePlan,
  type JsonObject,
  type JsonSchema,
  type PlanRequest,
} from "@mayfly/spec";
import { keyObjectOf, publicKeyOf } from "./host-settings.ts";
import { sourceNetwork } from "./source-network.ts";

const asSet = <T extends string>(names: readonly T[]): T[] => [...new Set(names)].toSorted();

/** A login name: a comma would make two of one, a wildcard all of them. */
const principal = z
  .string()
  .regex(/^[a-z_][a-z0-9_.-]{0,31}$/, "expected the name of a user of the hosts");
const command = z
  .string()
  .min(1)
  .max(1_024)
  .regex(/^[\x20-\x7e]+$/, "expected a command of printable characters");
/** All that OpenSSH knows of user certificates; what is not named is not allowed. */
const extension = z.enum([
  "permit-X11-forwarding",
  "permit-agent-forwarding",
  "permit-port-forwarding",
  "permit-pty",
  "permit-user-rc",
]);

const role = z.strictObject({
  principals: z
    .array(principal)
    .min(1)
    .max(16)
    .transform(asSet)
    .describe("Users of the hosts that a certificate of this role may log in as."),
  source_addresses: z
    .array(sourceNetwork())
    .max(16)
    .transform(asSet)
    .default([])
    .describe("Where it may be used from; from anywhere, if there is none."),
  force_command: command.optional().describe("The one command that it runs, whatever is asked."),
  extensions: z
    .array(extension)
    .max(5)
    .transform(asSet)
    .default([])
    .describe("What it may do besides running commands: a terminal, forwarding."),
  key: z
    .enum(["any", "workload"])
    .default("any")
    .describe(
      "workload: only for a key that the workload made itself (`public_key`), so that no private " +
        "key is ever sent. any: Mayfly makes one where the request has none.",
    ),
});

const params = z.strictObject({
  principals: z
    .array(principal)
    .min(1)
    .max(16)
    .transform(asSet)
    .optional()
    .describe("Fewer users."),
  source_addresses: z
    .array(sourceNetwork())
    .min(1)
    .max(16)
    .transform(asSet)
    .optional()
    .describe("Some of the role's; any, where the role has none."),
  force_command: command.optional().describe("A command, where the role has none."),
  extensions: z.array(extension).max(5).transform(asSet).optional().describe("Fewer extensions."),
  public_key: z
    .string()
    .max(2_048)
    .refine(isAllowedKey, {
      message:
        "expected a public key of OpenSSH: ed25519, ECDSA, or RSA of 2,048 to 4,096 bits with an " +
        "odd exponent from 65,537 on",
    })
    .optional()
    .describe("The workload's own public key, as in `id_ed25519.pub`."),
});

function isAllowedKey(text: string): boolean {
  const parsed = publicKeyOf(text);
  if (parsed === null || text.includes("\n")) return false;
  const key = keyObjectOf(parsed);
  if (key === null || key.asymmetricKeyType !== "rsa") return key !== null;
  const { modulusLength: bits = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  // FIPS 186-5, section 5.4 (e): odd, and above 2^16.
  const isExponent = publicExponent > 65_536n && publicExponent % 2n === 1n;
  return bits >= 2_048 && bits <= 4_096 && isExponent;
}

const grant = z.strictObject({
  principals: z.array(principal).min(1).max(16),
  /** One on record may have what sshd does not take: its certificate was never let in. */
  source_addresses: z.array(z.string().max(64)).max(16),
  force_command: command.nullable(),
  extensions: z.array(extension).max(5),
  key: z.enum(["workload", "generated"]),
  public_key: z.string().max(2_048).refine(isAllowedKey).nullable(),
});
export type SshGrant = z.infer<typeof grant>;

export const ROLE_SCHEMA: JsonSchema = toJsonSchema(role);
export const PARAMS_SCHEMA: JsonSchema = toJsonSchema(params);

type RoleSettings = z.infer<typeof role>;
const roleSettings = (input: unknown): RoleSettings => parseStrict(role, input, "role");
export const parseRole = (input: unknown): JsonObject => plainObject(roleSettings(input));
export const parseParams = (input: unknown): JsonObject =>
  plainObject(parseStrict(params, input, "params"));
export const grantOf = (plan: IssuePlan): SshGrant => parseStrict(grant, plan.grant, "plan.grant");

export function planCertificate(request: PlanRequest): IssuePlan {
  const fixed = roleSettings(request.role);
  const asked = parseStrict(params, request.params, "params");
  const isAnywhere = fixed.source_addresses.length === 0;
  if (fixed.force_command !== undefined && asked.force_command !== undefined) {
    refuse("force_command", "the role has one already");
  }
  if (fixed.key === "workload" && asked.public_key === undefined) {
    refuse("public_key", "the role certifies only a key that the workload made itself");
  }
  const planned: SshGrant = {
    principals: within(asked.principals, fixed.principals, "principals"),
    source_addresses: isAnywhere
      ? (asked.source_addresses ?? [])
      : within(asked.source_addresses, fixed.source_addresses, "source_addresses"),
    force_command: fixed.force_command ?? asked.force_command ?? null,
    extensions: within(asked.extensions, fixed.extensions, "extensions"),
    key: asked.public_key === undefined ? "generated" : "workload",
    // Without its comment, which says nothing.
    public_key: asked.public_key?.trim().split(/\s+/).slice(0, 2).join(" ") ?? null,
  };
  return {
    leaseId: request.leaseId,
    externalName: leaseName(request.installation, request.leaseId),
    expiresAt: request.expiresAt,
    grant: plainObject(planned),
  };
}

function refuse(member: string, why: string): never {
  const where = `params.${member}`;
  throw new InvalidInput(`${where}: ${why}`, { where });
}

function within<T extends string>(asked: T[] | undefined, most: T[], member: string): T[] {
  const beyond = asked?.find((name) => !most.includes(name));
  if (beyond !== undefined) refuse(member, `the role does not have "${beyond}"`);
  return asked ?? most;
}

/** Fewer users, addresses and extensions, no later end, the same command where there is one. */
export function isWithinCertificate(inner: IssuePlan, outer: IssuePlan): boolean {
  const [narrow, wide] = [grant.safeParse(inner.grant), grant.safeParse(outer.grant)];
  if (!narrow.success || !wide.success || inner.expiresAt > outer.expiresAt) return false;
  const [a, b] = [narrow.data, wide.data];
  const fromWithin =
    b.source_addresses.length === 0 ||
    (a.source_addresses.length > 0 &&
      a.source_addresses.every((name) => b.source_addresses.includes(name)));
  return (
    fromWithin &&
    a.principals.every((name) => b.principals.includes(name)) &&
    a.extensions.every((name) => b.extensions.includes(name)) &&
    (b.force_command === null || a.force_command === b.force_command) &&
    (b.key === "generated" || a.key === "workload")
  );
}
