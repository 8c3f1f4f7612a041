import {
  certificates,
  ownSecret,
  serverTls,
  tlsMode,
  tokenFile,
  type ServerTls,
} from "@mayfly/backend-kit";
import { z } from "zod";

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html. */
export const INLINE_CHARACTERS_MAX = 10_240;
const CHAIN_MAX = 4;

const roleArn = z
  .string()
  .regex(
    /^arn:aws(?:-cn|-us-gov)?:iam::\d{12}:role\/[!-~]{1,512}$/,
    "expected the ARN of an IAM role",
  );
const link = z.strictObject({
  role_arn: roleArn,
  external_id: z
    .string()
    .regex(/^[\w+=,.@:/-]{2,1224}$/, "expected an external id")
    .optional(),
});

const accessKey = {
  access_key_id: z.string().regex(/^[A-Z0-9]{16,128}$/, "expected an access key id"),
  secret_access_key: ownSecret(),
};
const userKeys = z.strictObject({
  kind: z.literal("keys"),
  ...accessKey,
  previous: z
    .strictObject({ ...accessKey, rotation_began_at: z.iso.datetime() })
    .optional()
    .describe(
      "Written by `mayfly backend rotate` while it runs: whichever of both keys AWS accepts is used.",
    ),
});
export type UserKeys = z.infer<typeof userKeys>;

export const brokerLogin = z
  .discriminatedUnion("kind", [
    z
      .strictObject({ kind: z.literal("default") })
      .describe("As the AWS SDK finds them: environment, files, container, instance."),
    userKeys.describe("Of an IAM user."),
    z
      .strictObject({
        kind: z.literal("web_identity"),
        role_arn: roleArn,
        token_file: tokenFile(),
      })
      .describe("A token of OIDC, read anew each time, for AssumeRoleWithWebIdentity."),
  ])
  .default({ kind: "default" })
  .describe("Whom the broker itself logs in as, before `chain`.");

const ORIGIN = /^https?:\/\/[A-Za-z0-9.-]{1,253}(?::\d{1,5})?$/;
const origin = z.string().regex(ORIGIN, "expected such as https://sts.internal:8443");
const endpoints = z.strictObject({
  sts: origin.optional(),
  iam: origin.optional(),
});

export const accountSettings = z
  .strictObject({
    account_id: z
      .string()
      .regex(/^\d{12}$/, "expected the 12 digits of an account")
      .describe("The account whose roles leases are sessions of."),
    region: z
      .string()
      .regex(/^(?:us-gov|af|ap|ca|cn|eu|il|me|mx|sa|us)-[a-z]{4,9}-\d$/, "expected a region")
      .describe("Whose STS is asked; it says which partition it is: aws, aws-cn or aws-us-gov."),
    credentials: brokerLogin,
    chain: z
      .array(link)
      .max(CHAIN_MAX)
      .default([])
      .describe("Roles that the broker takes in turn, the last one in the account."),
    session_seconds_max: z
      .int()
      .min(900)
      .max(43_200)
      .default(3_600)
      .describe(
        "Of a session. More than 3,600 only where the broker is a user, as AWS bounds a role that " +
          "takes another; and where the roles' own maximum allows it.",
      ),
    deny_characters: z
      .int()
      .min(2_500)
      .max(INLINE_CHARACTERS_MAX)
      .default(8_192)
      .describe(
        "Of each IAM role's inline policies (10,240 in all), what denies may take; by it so many " +
          "leases at once.",
      ),
    propagation_seconds: z
      .int()
      .min(60)
      .max(900)
      .default(300)
      .describe("After it a deny that was read back counts as known everywhere."),
    unsafe_propagation_seconds: z
      .int()
      .min(0)
      .max(59)
      .optional()
      .describe("In place of the other, for tests: too short for AWS itself."),
    endpoints: endpoints.default({}).describe("In place of AWS's own: a private endpoint."),
    tls: tlsMode(),
    ca: certificates().optional().describe("Certificates to trust instead of the system's, PEM."),
    call_seconds_max: z.int().min(1).max(10).default(5).describe("Bound of one call of the API."),
  })
  .superRefine(({ endpoints: own, tls }, context) => {
    for (const name of ["sts", "iam"] as const) {
      const isPlain = own[name]?.startsWith("http:") ?? false;
      if (own[name] === undefined || isPlain === (tls === "unsafe_disable")) continue;
      const message = isPlain ? "http needs tls: unsafe_disable" : "https is not unsafe_disable";
      context.addIssue({ code: "custom", path: ["endpoints", name], message });
    }
    if (tls !== "unsafe_disable") return;
    if (own.sts !== undefined && own.iam !== undefined) return;
    const message = "AWS itself speaks TLS alone: name both endpoints";
    context.addIssue({ code: "custom", path: ["tls"], message });
  })
  .superRefine(({ account_id: account, region, chain, credentials: own }, context) => {
    const partition = partitionOf(region);
    const arns = [
      ...chain.map(({ role_arn: arn }, at) => ({ arn, path: ["chain", at, "role_arn"] })),
      ...(own.kind === "web_identity"
        ? [{ arn: own.role_arn, path: ["credentials", "role_arn"] }]
        : []),
    ];
    for (const { arn, path } of arns) {
      if (arn.startsWith(`arn:${partition}:`)) continue;
      context.addIssue({ code: "custom", path, message: `expected a role of ${partition}` });
    }
    const last = chain.at(-1);
    if (last === undefined || last.role_arn.split(":")[4] === account) return;
    const path = ["chain", chain.length - 1, "role_arn"];
    context.addIssue({ code: "custom", path, message: "the last one is of another account" });
  });
export type AccountSettings = z.infer<typeof accountSettings>;

export type Partition = "aws" | "aws-cn" | "aws-us-gov";

export function partitionOf(region: string): Partition {
  if (region.startsWith("cn-")) return "aws-cn";
  return region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}

/** Whose key signs for IAM, which has one endpoint in each partition. */
const IAM: Readonly<Record<Partition, { readonly origin: string; readonly region: string }>> = {
  aws: { origin: "https://iam.amazonaws.com", region: "us-east-1" },
  "aws-cn": { origin: "https://iam.cn-north-1.amazonaws.com.cn", region: "cn-north-1" },
  "aws-us-gov": { origin: "https://iam.us-gov.amazonaws.com", region: "us-gov-west-1" },
};

export interface ServiceAddress {
  readonly origin: string;
  readonly region: string;
  readonly tls: ServerTls | false;
}

/** Never from the environment: an address that stands there would be sent our signatures. */
export function addressOf(settings: AccountSettings, service: "sts" | "iam"): ServiceAddress {
  const { region, endpoints: own } = settings;
  const partition = partitionOf(region);
  const domain = partition === "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com";
  const standard =
    service === "iam" ? IAM[partition] : { origin: `https://sts.${region}.${domain}`, region };
  const address = { ...standard, origin: own[service] ?? standard.origin };
  return { ...address, tls: serverTls(settings, new URL(address.origin).hostname) };
}

export const arnOfRole = ({ region, account_id: id }: AccountSettings, iamRole: string): string =>
  `arn:${partitionOf(region)}:iam::${id}:role/${iamRole}`;

export const propagationSeconds = (settings: AccountSettings): number =>
  settings.unsafe_propagation_seconds ?? settings.propagation_seconds;
