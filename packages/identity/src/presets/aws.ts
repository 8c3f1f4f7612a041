import type { Preset } from "./preset.ts";

const NAMESPACE = "/https:~1~1sts.amazonaws.com~1";

/** AWS outbound identity federation: one issuer per account; `sub` is the role's ARN. */
export const aws: Preset = {
  title: "AWS outbound identity",
  source: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound.html",
  issuer: null,
  issuerPattern: /^https:\/\/[A-Za-z0-9-]+\.tokens\.sts\.global\.api\.aws$/,
  issuerHint: "https://<id>.tokens.sts.global.api.aws, as your account's settings show it",
  algorithms: ["RS256", "ES384"],
  oneTimeTokens: true,
  tokenAgeSecondsMax: 3600,
  attributes: {
    aws_account: { claim: `${NAMESPACE}/aws_account`, stability: "immutable" },
    role_arn: { claim: "sub", stability: "mutable" },
    org_id: { claim: `${NAMESPACE}/org_id`, stability: "immutable", optional: true },
  },
  requiredClaims: {},
  requiredText: { sub: { starts_with: "arn:aws" } },
  absentClaims: [],
  callerChosenClaims: [`${NAMESPACE}/request_tags`],
  trustDomain: false,
  traps: [
    "Every principal of the account that may call sts:GetWebIdentityToken gets tokens of this " +
      "issuer: a policy must ask for role_arn, which whoever manages roles can make anew.",
    "request_tags are chosen by the caller: they can be no attribute. principal_tags can.",
  ],
};
