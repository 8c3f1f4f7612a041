import { z } from "zod";
import { leaseName, parseStrict, plainObject, toJsonSchema } from "@mayfly/backend-kit";
import {
  InvalidInput,
  type IssuePlan,
  type JsonObject,
  type JsonSchema,
  type PlanRequest,
} from "@mayfly/spec";
import { absoluteUri, dnsName, emailAddress, subjectText } from "./certified-names.ts";
import { requestedKey } from "./signing-request.ts";

const asSet = (names: readonly string[]): string[] => [...new Set(names)].toSorted();
const uris = z.array(absoluteUri()).max(16).transform(asSet);
const dnsNames = z.array(dnsName()).max(16).transform(asSet);
const emails = z.array(emailAddress()).max(16).transform(asSet);

const role = z.strictObject({
  uris: uris
    .default([])
    .describe("URIs that a certificate of this role bears, such as a SPIFFE ID."),
  dns_names: dnsNames.default([]).describe("DNS names that it bears; no wildcards."),
  emails: emails.default([]).describe("E-mail addresses that it bears."),
  common_name: subjectText()
    .optional()
    .describe(
      "Common name of its subject, for servers that go by it. Default: the lease's name, of which " +
        "the serial number is made in any case.",
    ),
  organization: subjectText().optional().describe("Organization in its subject."),
  key: z
    .enum(["any", "workload"])
    .default("any")
    .describe(
      "workload: only for a key that the workload made itself and asks with (`csr`), so that no " +
        "private key is ever sent. any: Mayfly makes one where the request has none.",
    ),
});

const params = z.strictObject({
  uris: uris.optional().describe("Fewer URIs than the role has."),
  dns_names: dnsNames.optional().describe("Fewer DNS names than the role has."),
  emails: emails.optional().describe("Fewer e-mail addresses than the role has."),
  csr: z
    .string()
    .max(8_192)
    .optional()
    .describe(
      "A PKCS #10 request in PEM form, signed by the workload's own key: its key is certified, and " +
        "nothing else of it counts.",
    ),
});

const grant = z.strictObject({
  uris: z.array(absoluteUri()).max(16),
  dns_names: z.array(dnsName()).max(16),
  emails: z.array(emailAddress()).max(16),
  common_name: subjectText(),
  organization: subjectText().nullable(),
  key: z.enum(["workload", "generated"]),
  public_key: z.base64().max(1_024).nullable(),
});
export type CertificateGrant = z.infer<typeof grant>;

export const ROLE_SCHEMA: JsonSchema = toJsonSchema(role);
export const PARAMS_SCHEMA: JsonSchema = toJsonSchema(params);

export type RoleSettings = z.infer<typeof role>;
export const roleSettings = (input: unknown): RoleSettings => {
  const parsed = parseStrict(role, input, "role");
  if (hasName(parsed) || parsed.common_name !== undefined) return parsed;
  const where = "role.uris";
  throw new InvalidInput(
    `${where}: a certificate needs a name: uris, dns_names, emails or common_name`,
    { where },
  );
};
export const parseRole = (input: unknown): JsonObject => plainObject(roleSettings(input));
const requestSettings = (input: unknown): z.infer<typeof params> => {
  const asked = parseStrict(params, input, "params");
  if (asked.csr !== undefined) requestedKey(asked.csr, "params.csr");
  return asked;
};
export const parseParams = (input: unknown): JsonObject => plainObject(requestSettings(input));
export const grantOf = (plan: IssuePlan): CertificateGrant =>
  parseStrict(grant, plan.grant, "plan.grant");

type Names = Pick<RoleSettings, "uris" | "dns_names" | "emails">;
const hasName = ({ uris, dns_names, emails }: Names): boolean =>
  uris.length + dns_names.length + emails.length > 0;

export function planCertificate(request: PlanRequest): IssuePlan {
  const fixed = roleSettings(request.role);
  const asked = requestSettings(request.params);
  const names: Names = {
    uris: within(asked.uris, fixed.uris, "uris"),
    dns_names: within(asked.dns_names, fixed.dns_names, "dns_names"),
    emails: within(asked.emails, fixed.emails, "emails"),
  };
  if (!hasName(names) && fixed.common_name === undefined) {
    throw new InvalidInput("params.uris: a certificate needs one of the role's names", {
      where: "params.uris",
    });
  }
  const externalName = leaseName(request.installation, request.leaseId);
  const planned: CertificateGrant = {
    ...names,
    common_name: fixed.common_name ?? externalName,
    organization: fixed.organization ?? null,
    ...keyOf(fixed.key, asked.csr),
  };
  return {
    leaseId: request.leaseId,
    externalName,
    expiresAt: request.expiresAt,
    grant: plainObject(planned),
  };
}

function within(asked: string[] | undefined, most: string[], member: string): string[] {
  const beyond = asked?.find((name) => !most.includes(name));
  if (beyond === undefined) return asked ?? most;
  const where = `params.${member}`;
  throw new InvalidInput(`${where}: the role does not have "${beyond}"`, { where });
}

function keyOf(
  ofRole: RoleSettings["key"],
  csr: string | undefined,
): Pick<CertificateGrant, "key" | "public_key"> {
  if (csr !== undefined) {
    const key = requestedKey(csr, "params.csr");
    return { key: "workload", public_key: Buffer.from(key).toString("base64") };
  }
  if (ofRole === "any") return { key: "generated", public_key: null };
  const where = "params.csr";
  throw new InvalidInput(`${where}: the role certifies only a key that the workload made itself`, {
    where,
  });
}

/** Fewer names, no later end, the same subject, and a key that is sent no more than the outer's. */
export function isWithinCertificate(inner: IssuePlan, outer: IssuePlan): boolean {
  const [narrow, wide] = [grant.safeParse(inner.grant), grant.safeParse(outer.grant)];
  if (!narrow.success || !wide.success || inner.expiresAt > outer.expiresAt) return false;
  const [a, b] = [narrow.data, wide.data];
  return (
    a.uris.every((name) => b.uris.includes(name)) &&
    a.dns_names.every((name) => b.dns_names.includes(name)) &&
    a.emails.every((name) => b.emails.includes(name)) &&
    subjectOf(inner, a) === subjectOf(outer, b) &&
    a.organization === b.organization &&
    (b.key === "generated" || a.key === "workload")
  );
}

/** Whose lease it is makes no difference: a name of one's own is no authority. */
const subjectOf = ({ externalName }: IssuePlan, { common_name: name }: CertificateGrant) =>
  name === externalName ? null : name;
