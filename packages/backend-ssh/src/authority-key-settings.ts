import { ownSecret, tlsMode, tokenFile } from "@mayfly/backend-kit";
import { z } from "zod";

const ORIGIN = /^https?:\/\/[A-Za-z0-9.-]{1,253}(?::\d{1,5})?$/;
const KEY_ARN =
  /^arn:aws(?:-cn|-us-gov)?:kms:[a-z]{2}(?:-[a-z]+){1,2}-\d:\d{12}:key\/[A-Za-z0-9-]{1,64}$/;

const kms = z
  .strictObject({
    source: z.literal("aws_kms"),
    key_arn: z.string().regex(KEY_ARN, "expected the ARN of a key, with its region"),
    access_key_id: z
      .string()
      .regex(/^[A-Z0-9]{16,128}$/, "expected an access key id")
      .describe("Of an IAM user that may kms:GetPublicKey and kms:Sign with this key."),
    secret_access_key: ownSecret(),
    endpoint: z
      .string()
      .regex(ORIGIN, "expected such as https://kms.internal:8443")
      .optional()
      .describe("In place of AWS's own: a private endpoint."),
    tls: tlsMode(),
  })
  .refine(
    ({ endpoint = "https:", tls }) => endpoint.startsWith("http:") === (tls === "unsafe_disable"),
    { message: "expected https, or http together with tls: unsafe_disable", path: ["endpoint"] },
  )
  .describe("An asymmetric key of AWS KMS, ECC_NIST_P256 or RSA, that never leaves it.");
export type KmsKeySettings = z.infer<typeof kms>;

/** Whose keys certify. */
export const authorityKeySettings = z
  .discriminatedUnion("source", [
    z
      .strictObject({ source: z.literal("mayfly") })
      .describe("Mayfly makes them, seals and rotates them."),
    z
      .strictObject({
        source: z.literal("file"),
        file: tokenFile().describe(
          "A private key of OpenSSH's or in PEM, Ed25519, P-256 or RSA, without a passphrase; " +
            "read anew each time.",
        ),
      })
      .describe("A key that the operator makes, and puts beside the broker."),
    kms,
  ])
  .default({ source: "mayfly" });
export type AuthorityKeySettings = z.infer<typeof authorityKeySettings>;
